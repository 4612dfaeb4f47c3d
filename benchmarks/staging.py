"""Wall time, processor time and peak memory from a source file to the staged input, on a large dataset.

    python -m benchmarks.staging [--size S|M|L]

Goal: staging 210,000 cells x 8,000 genes peaks below 1,000 MB. Each phase runs in a process of its own,
because ``ru_maxrss`` is the peak since a process began; exec hands a child its parent's, so the process
that starts them imports nothing large.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import figures

if TYPE_CHECKING:
    import pandas as pd
    import scipy.sparse as sp

GOAL_MB = 1000.0
NONZERO = 0.13
NAME = "synthetic"
DESIGN = {"id": "unseen-perturbation", "parameters": {"fraction": 0.2}, "seed": 0}
BLOCK_ROWS = 500


def generate(size: str, home: Path) -> dict[str, Any]:
    """Write a source file and its registry entry under ``home``; returns what was written."""
    import yaml
    from lanner.h5ad.source import write_source
    from lanner.simulator import SIZES

    n_perturbations, n_genes = SIZES[size]["n_perturbations"], SIZES[size]["n_genes"]
    genes = [f"GENE{g:05d}" for g in range(n_genes)]
    obs = _obs(genes[:n_perturbations], SIZES[size]["n_cells_per_condition"], SIZES[size]["n_controls"])
    folder = home / "datasets" / NAME
    folder.mkdir(parents=True)
    path = home / "source.h5ad"
    write_source(path, obs, genes, ({None: block} for block in _blocks(len(obs), n_genes)))
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    entry = _entry(path, digest)
    (folder / "dataset.yaml").write_text(yaml.safe_dump(entry), encoding="utf-8")
    return {"rows": len(obs), "genes": n_genes, "source_mb": path.stat().st_size / 1e6}


def _obs(targets: list[str], n_cells: int, n_controls: int) -> pd.DataFrame:
    """Labels in random order, as sequencing gives them: no condition is one run of rows."""
    import numpy as np
    import pandas as pd

    labels = np.repeat(["control", *targets], [n_controls] + [n_cells] * len(targets))
    np.random.default_rng(0).shuffle(labels)
    names = [f"AAACCTGAG{i:09d}-1" for i in range(len(labels))]
    batches = np.char.add("batch", (np.arange(len(labels)) % 48).astype(str))
    columns = {"perturbation": labels, "cell_type": np.full(len(labels), "k562"), "batch": batches}
    return pd.DataFrame({name: pd.Categorical(column) for name, column in columns.items()}, index=names)


def _blocks(n_rows: int, n_genes: int) -> Iterator[sp.csr_matrix]:
    """Random sparse rows, about NONZERO of them stored: what the simulator makes, some ten times as fast.

    A gene is present in a cell with a probability drawn per gene (beta, most genes rare), scaled per cell
    (its depth). Counts are geometric, and X their log1p at 10,000 per 4,000 counts.
    """
    import numpy as np
    import scipy.sparse as sp

    random = np.random.default_rng(0)
    present = random.beta(0.4, 0.4 * (1 - NONZERO) / NONZERO, n_genes).astype(np.float32)
    values = np.log1p(2.5 * random.geometric(0.5, 1 << 16)).astype(np.float32)
    for start in range(0, n_rows, BLOCK_ROWS):
        size = min(BLOCK_ROWS, n_rows - start)
        depth = random.lognormal(0.0, 0.2, (size, 1)).astype(np.float32)
        stored = random.random((size, n_genes), dtype=np.float32) < present * depth
        indptr = np.concatenate([[0], np.cumsum(stored.sum(axis=1))])
        indices = np.nonzero(stored)[1].astype(np.int32)
        data = values[random.integers(0, len(values), len(indices), dtype=np.int32)]
        yield sp.csr_matrix((data, indices, indptr), shape=(size, n_genes))


def _entry(path: Path, digest: str) -> Mapping[str, Any]:
    source = {"name": path.name, "urls": [path.as_uri()], "sha256": digest, "bytes": path.stat().st_size}
    return {
        "id": NAME,
        "version": 1,
        "title": "Random sparse rows of a chosen size",
        "organism": "none",
        "assay": "none",
        "perturbation_kind": "simulated",
        "kind": "cells",
        "scale": "log1p-normalised",
        "licence": "MIT",
        "citation": {"text": "benchmarks/staging.py", "reason": "generated data"},
        "sources": [{**source, "licence": "MIT"}],
        "obs": {
            "perturbation": "perturbation",
            "control": ["control"],
            "context": ["cell_type"],
            "batch": "batch",
            "targets": "perturbation",
        },
        "genes": {"identifier": "symbol"},
        "splits": [DESIGN],
    }


def run_phase(phase: str, home: Path) -> dict[str, Any]:
    """Do one phase in this process; the phases before it must have been done in others."""
    from lanner import datasets, sealing, splits, staging
    from lanner.config import Settings
    from lanner.tasks import TASKS

    settings, task = Settings(home=home), TASKS["perturbation-response"]
    began = time.perf_counter()
    dataset = datasets.load(datasets.find_entry(settings, NAME), settings)
    if phase != "load":
        (split,) = splits.resolve(dataset, dict(DESIGN))
        began = time.perf_counter()
        sealed = sealing.seal(dataset, split, task.id, home)
    if phase == "stage":
        began = time.perf_counter()
        staging.stage_shared(dataset, split, task, sealed, home)
    wall, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "wall_seconds": wall,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_mb": used.ru_maxrss * unit / 1e6,
    }


def _child(phase: str, size: str, home: Path) -> dict[str, Any]:
    options = ["--size", size, "--phase", phase, "--home", str(home)]
    command = [sys.executable, "-m", "benchmarks.staging", *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=Path(__file__).parent.parent)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def measure(size: str) -> dict[str, Any]:
    """Generate, then load, seal and stage, each in a fresh process; everything is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="lanner-staging-") as temporary:
        home = Path(temporary)
        made = _child("generate", size, home)
        phases = {phase: _child(phase, size, home) for phase in ("load", "seal", "stage")}
        staged = sum(path.stat().st_size for path in (home / "staged").glob("*/train.h5ad"))
    return {
        "size": size,
        **made,
        "train_mb": staged / 1e6,
        "phases": phases,
        "goal_mb": GOAL_MB,
        "machine": figures.machine(),
    }


def main() -> None:
    """Measure, print the table, write staging.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.staging", description=__doc__.split("\n")[0])
    parser.add_argument("--size", choices=["S", "M", "L"], default="L", help="see lanner.simulator.SIZES [L]")
    parser.add_argument("--out", type=Path, help="folder of staging.json [benchmarks/out]")
    parser.add_argument("--phase", choices=["generate", "load", "seal", "stage"], help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.phase:
        do = generate if arguments.phase == "generate" else run_phase
        first = arguments.size if arguments.phase == "generate" else arguments.phase
        print(json.dumps(do(first, arguments.home)))
        return
    document = measure(arguments.size)
    rows = [
        [name, f"{p['wall_seconds']:.1f}", f"{p['cpu_seconds']:.1f}", f"{p['peak_mb']:.0f}", f"{GOAL_MB:.0f}"]
        for name, p in document["phases"].items()
    ]
    title = f"{document['rows']:,} cells x {document['genes']:,} genes, {document['source_mb']:,.0f} MB"
    figures.show(title, ("phase", "wall s", "CPU s", "peak MB", "goal"), rows)
    print(f"written to {figures.write('staging', document, arguments.out)}")


if __name__ == "__main__":
    main()
