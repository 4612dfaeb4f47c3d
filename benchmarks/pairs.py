"""What scoring a pair of files costs: CPU, wall time and peak memory of each metric, in a process of its own.

    python -m benchmarks.pairs [--size S|M|L ...] [--metric NAME ...] [--data FOLDER] [--repeats N]

The files are simulated (``SIZES``): negative binomial counts as log1p of counts per 10,000, CSR, about 13 %
of them not zero; the prediction is a new draw from shrunken, noised means, not the truth's cells again.
Figures named ``process`` are those of the whole process with its imports; the others start when the imports
are done, which is what peers that compile on first use should be compared with after a warm-up.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lanner.pairs import open_pair

from benchmarks.figures import machine, show, write
from benchmarks.simulated_cells import SIZES, blocks, design

CONTROL = "non-targeting"
COLUMN = "target_gene"


def generate(folder: Path, size: str, seed: int = 0) -> dict[str, Path]:
    """Files ``truth`` and ``prediction`` of a size in ``folder``; those already there are used again."""
    shape = SIZES[size]
    files = {name: folder / f"{size}-{seed}-{name}.h5ad" for name in ("truth", "prediction")}
    if all(path.exists() for path in files.values()):
        return files
    from lanner.h5ad.source import write_source  # with anndata, which no measured process should load

    folder.mkdir(parents=True, exist_ok=True)
    base, effects = design(shape, seed)
    noise = np.random.default_rng([seed, 1]).normal(0, 0.1, effects.shape)
    labels = [f"g{p}" for p in range(shape.n)] + [CONTROL]
    obs = pd.DataFrame(
        {COLUMN: pd.Categorical(np.repeat(labels, [shape.cells] * shape.n + [shape.controls]))}
    )
    obs.index = obs.index.astype(str)
    for name, changes, draw in (("truth", effects, 2), ("prediction", 0.6 * effects + noise, 3)):
        partial = files[name].with_suffix(".partial")
        cells = blocks(shape, base, changes, np.random.default_rng([seed, draw]))
        write_source(partial, obs, [f"g{g}" for g in range(shape.genes)], cells)
        partial.rename(files[name])
    return files


def _means(pair: Any) -> None:
    pair.truth.means()
    pair.prediction.means()


def _pearson_delta(pair: Any) -> None:
    x = pair.prediction.means() - pair.prediction.control_mean()
    y = pair.truth.means() - pair.truth.control_mean()
    x -= x.mean(axis=1, keepdims=True)
    y -= y.mean(axis=1, keepdims=True)
    np.einsum("pg,pg->p", x, y) / np.sqrt(np.einsum("pg,pg->p", x, x) * np.einsum("pg,pg->p", y, y))


WORK: dict[str, Callable[[Any], Any]] = {
    "read": _means,
    "pearson_delta": _pearson_delta,
    "de": lambda pair: pair.truth.mann_whitney(),
    "de-both": lambda pair: (pair.truth.mann_whitney(), pair.prediction.mann_whitney()),
    "energy-to-control": lambda pair: pair.truth.energy_to_control(),
    "energy-to-control-both": lambda pair: (
        pair.truth.energy_to_control(),
        pair.prediction.energy_to_control(),
    ),
    "energy+mmd-to-control": lambda pair: pair.truth.distances_to_control((1.0,)),
    "energy": lambda pair: pair.energy(),
    "wasserstein": lambda pair: pair.wasserstein_by_gene(),
}
"""What is measured, on a pair just opened; opening (one pass over each file) is part of it.

Any other name is a pattern of compatibility metrics, such as ``cell_eval/*``, scored by ``lanner.score``;
``default`` is Lanner's own default set.
"""


def run(metric: str, size: str, folder: Path) -> dict[str, Any]:
    """Do the work in this process, which should be a fresh one; seconds and MB."""
    files = generate(folder, size)
    if metric in WORK:
        if metric.startswith("energy"):
            import torch  # noqa: F401  an import, not work
        work = WORK[metric]
        imported = _used()
        with open_pair(files["truth"], files["prediction"], control=CONTROL) as pair:
            opened = _used()
            work(pair)
        done = _used()
        opening = {"open_cpu_s": opened[0] - imported[0], "open_wall_s": opened[1] - imported[1]}
    else:
        import lanner

        imported = _used()
        chosen = None if metric == "default" else [metric]
        lanner.score(files["truth"], files["prediction"], control=CONTROL, metrics=chosen)
        done, opening = _used(), {}
    return {
        "metric": metric,
        "size": size,
        "ours_cpu_s": done[0] - imported[0],
        "ours_wall_s": done[1] - imported[1],
        "ours_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "process_cpu_s": done[0],
        **opening,
    }


def _used() -> tuple[float, float]:
    return time.process_time(), time.perf_counter()


def measure(metric: str, size: str, folder: Path) -> dict[str, Any]:
    """``run`` in a process of its own: ``{metric, size, ours_cpu_s, ours_wall_s, ours_peak_mb, ...}``."""
    generate(folder, size)
    command = [
        sys.executable,
        "-m",
        "benchmarks.pairs",
        "--one",
        metric,
        "--size",
        size,
        "--data",
        str(folder),
    ]
    start = time.perf_counter()
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent.parent
    )
    if done.returncode:
        raise RuntimeError(f"{metric} on {size} failed: {done.stderr.strip().splitlines()[-1:]}")
    row: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return {**row, "process_wall_s": time.perf_counter() - start}


def main() -> None:
    """Measure, print and write ``pairs.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", action="append", choices=list(SIZES), help="repeatable [S]")
    parser.add_argument("--metric", action="append", help=f"repeatable [{', '.join(WORK)}]")
    parser.add_argument("--data", type=Path, help="keep the files here [a temporary folder]")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(run(chosen.one, chosen.size[0], chosen.data)))
        return
    with tempfile.TemporaryDirectory(prefix="lanner-bench-") as temporary:
        folder = chosen.data or Path(temporary)
        rows = [
            measure(metric, size, folder)
            for _ in range(chosen.repeats)
            for size in chosen.size or ["S"]
            for metric in chosen.metric or WORK
        ]
    rows = [_median([r for r in rows if (r["metric"], r["size"]) == key]) for key in _keys(rows)]
    columns = ("ours_cpu_s", "ours_wall_s", "ours_peak_mb", "process_wall_s")
    show(
        "Scoring a pair of files",
        ("metric", "size", *columns),
        [(row["metric"], row["size"], *(f"{row[name]:.2f}" for name in columns)) for row in rows],
    )
    document = {
        "machine": machine(),
        "sizes": {name: asdict(size) for name, size in SIZES.items()},
        "rows": rows,
    }
    print(write("pairs", document, chosen.out))


def _keys(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((row["metric"], row["size"]) for row in rows))


def _median(rows: list[dict[str, Any]]) -> dict[str, Any]:
    numbers = [name for name, value in rows[0].items() if isinstance(value, float)]
    return {**rows[0], **{name: float(np.median([row[name] for row in rows])) for name in numbers}}


if __name__ == "__main__":
    main()
