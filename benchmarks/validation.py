"""How quickly a prediction is checked: GB of its file a second, without torch.

    python -m benchmarks.validation [--cells N] [--genes G] [--repeats N]

The check alone is what the confined child does to every value and index of a file in the page cache:
structure, names, finite values, rising columns, one answer for each request. ``ingest`` is taking a
prediction in as a whole: that, two SHA-256 (of the file and of its content), and writing the canonical copy.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.sparse as sp
from lanner.h5ad.checked import CheckedPrediction
from lanner.h5ad.expectation import Expectation
from lanner.ingest import ingest

from benchmarks import figures

REQUESTS = 50
LAYOUTS = {"dense": False, "dense, chunks of 100 rows": True, "CSR": False, "CSR, chunks of 65,536": True}


def write(path: Path, layout: str, cells: int, genes: int) -> None:
    """A valid prediction of REQUESTS requests, about 13 % of a CSR's values stored."""
    generator = np.random.default_rng(0)
    values = generator.random((REQUESTS * cells, genes), dtype=np.float32)
    chunked = LAYOUTS[layout]
    with h5py.File(path, "w") as file:
        file["obs/_index"] = [f"r{r}/{c}" for r in range(REQUESTS) for c in range(cells)]
        file["var/_index"] = [f"g{g}" for g in range(genes)]
        for table in ("obs", "var"):
            file[table].attrs["_index"] = "_index"
        if layout.startswith("dense"):
            file.create_dataset("X", data=values * 5, chunks=(100, genes) if chunked else None)
            return
        values[values > 0.134] = 0
        matrix = sp.csr_matrix(values * 20)
        group = file.create_group("X")
        group.attrs.update(
            {"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": matrix.shape}
        )
        for name in ("data", "indices"):
            group.create_dataset(name, data=getattr(matrix, name), chunks=(1 << 16,) if chunked else None)
        group["indptr"] = matrix.indptr


def best(work: Callable[[], Any], repeats: int) -> float:
    """Wall seconds of the quickest of several."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def main() -> None:
    """Measure, print, write ``validation.json``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=100, help="of each of 50 requests [100]")
    parser.add_argument("--genes", type=int, default=5_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    rows = Expectation.on_scale(
        "log1p-cp10k",
        request_ids=tuple(f"r{r}" for r in range(REQUESTS)),
        n_cells=chosen.cells,
        genes=tuple(f"g{g}" for g in range(chosen.genes)),
    )
    found = []
    for layout in LAYOUTS:
        with tempfile.TemporaryDirectory(prefix="lanner-validation-") as folder:
            path = Path(folder) / "prediction.h5ad"
            write(path, layout, chosen.cells, chosen.genes)
            path.read_bytes()  # into the page cache
            gb = path.stat().st_size / 1e9
            prediction = CheckedPrediction(path, rows)

            def check(prediction: CheckedPrediction = prediction) -> None:
                for _ in prediction.blocks():
                    pass

            number = iter(range(100))

            def whole(
                path: Path = path, folder: str = folder, number: Any = number
            ) -> None:  # each into a folder of its own
                ingest(path, rows=rows, destination=Path(folder) / f"canonical-{next(number)}")

            found.append(
                {
                    "layout": layout,
                    "file_mb": gb * 1e3,
                    "check_gb_per_s": gb / best(check, chosen.repeats),
                    "ingest_gb_per_s": gb / best(whole, chosen.repeats),
                }
            )
    document = {"machine": figures.machine(), "rows": found, "torch_loaded": "torch" in sys.modules}
    figures.show(
        "Checking a prediction",
        ("layout", "MB", "check, GB/s", "whole ingest, GB/s"),
        [
            (
                row["layout"],
                *(f"{row[name]:.2f}" for name in ("file_mb", "check_gb_per_s", "ingest_gb_per_s")),
            )
            for row in found
        ],
    )
    print("torch loaded" if document["torch_loaded"] else "torch not loaded")
    print(figures.write("validation", document, chosen.out))


if __name__ == "__main__":
    main()
