"""Simulate 10,000 runs on 1 to 1,000 workers; with ``--check``, hold the model against real runs here."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import figures
from benchmarks.scale.costs import Costs, Design, drawn, recorded
from benchmarks.scale.model import local, simulate

RUNS = 10_000
WORKERS = (1, 3, 10, 30, 100, 300, 1000)
DESIGNS = (
    Design(
        name="dask, 256 in flight",
        in_flight=256,
        poll_seconds=0.2,
        status_seconds=0.2,
        lag=0.02,
        scoring="here",
    ),
    Design(name="dask", in_flight=1024, poll_seconds=0.2, status_seconds=4.1, lag=0.02, scoring="here"),
    Design(
        name="dask, scoring placed",
        in_flight=1024,
        poll_seconds=0.2,
        status_seconds=4.1,
        lag=0.02,
        scoring="placed",
    ),
    Design(
        name="slurm-array, scoring placed",
        in_flight=1000,
        poll_seconds=1.0,
        status_seconds=4.0,
        lag=5.0,
        scoring="placed",
    ),
)
"""The first is what Lanner did before this model was made, the others what it does."""
FACTORS = (1.0, 60.0)
"""Runs as recorded, seconds on small public data; and sixty times as long, as networks train: assumed."""
CHECKED = (1, 2, 4)
SLEEPS = (9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0)


def check(repeats: Sequence[float] = SLEEPS) -> dict[str, Any]:
    """Makespans of real sleeping runs at 1, 2 and 4 workers beside the model's.

    What a run takes around its sleep, by the wall and of CPU, is measured at one worker and fed to the model:
    its figure at 1 is therefore no test, those at 2 and 4 are.
    """
    from lanner.execution.local import LocalEngine

    from benchmarks.scale import sleepers

    with tempfile.TemporaryDirectory(prefix="lanner-scale-") as temporary:
        settings = sleepers.settings_in(Path(temporary).resolve())
        sleepers.by_engine(sleepers.plans(settings, [0.1]), settings, LocalEngine(settings, 1))
        rows: list[dict[str, Any]] = []
        around = cpu = 0.0
        for workers in CHECKED:
            chosen = sleepers.plans(settings, repeats, first_seed=1000 * workers)
            before = os.times()
            wall = sleepers.by_engine(chosen, settings, LocalEngine(settings, workers))
            after = os.times()
            if workers == 1:
                around = (wall - sum(repeats)) / len(repeats)
                cpu = min((sum(after[:4]) - sum(before[:4])) / len(repeats), around)
            costs = replace(Costs(), before=0.6 * around, after=0.4 * around)
            modelled = local(repeats, workers, len(os.sched_getaffinity(0)), costs, cpu)
            rows.append({"workers": workers, "real": wall, "model": modelled, "error": modelled / wall - 1})
    return {"sleeps": list(repeats), "around_seconds": around, "cpu_seconds": cpu, "rows": rows}


def main() -> None:
    """Simulate, print the tables, write scale.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="also run real runs at 1, 2 and 4 workers")
    parser.add_argument(
        "--harness", action="store_true", help="also measure what the harness is charged with"
    )
    parser.add_argument("--runs", type=int, default=RUNS, help=f"runs simulated [{RUNS}]")
    parser.add_argument("--picture", type=Path, help="also draw the makespans, as this SVG")
    parser.add_argument("--out", type=Path, help="folder of scale.json [benchmarks/out]")
    arguments = parser.parse_args()
    document: dict[str, Any] = {"costs": vars(Costs()), "recorded": spread(recorded()), "simulated": []}
    if arguments.harness:
        from benchmarks.scale.harness import measured

        document["harness"] = cpu = measured()
        print("CPU seconds of the harness: " + ", ".join(f"{name} {cpu[name]:.5f}" for name in cpu))
    for factor in FACTORS:
        methods = drawn(arguments.runs, factor)
        found = [
            {"factor": factor, **simulate(methods, workers, design, Costs())}
            for design in DESIGNS
            for workers in WORKERS
        ]
        document["simulated"] += found
        show(factor, found)
    if arguments.check:
        document["check"] = held = check()
        cells = [
            (str(row["workers"]), f"{row['real']:.1f}", f"{row['model']:.1f}", f"{row['error']:+.1%}")
            for row in held["rows"]
        ]
        title = (
            f"real runs and the model (s; {held['cpu_seconds']:.2f} CPU s of {held['around_seconds']:.2f} s)"
        )
        figures.show(title, ("workers", "real", "model", "error"), cells)
    document["machine"] = figures.machine()
    print(f"written to {figures.write('scale', document, arguments.out)}")
    if arguments.picture:
        from benchmarks.scale.picture import draw

        print(f"drawn as {draw(document['simulated'], arguments.picture)}")


def spread(values: Sequence[float]) -> dict[str, float]:
    """As all benchmarks state it, and the mean."""
    return {**figures.spread(values), "mean": sum(values) / len(values)}


def show(factor: float, rows: Sequence[dict[str, Any]]) -> None:
    """One table of one length of runs."""
    heads = ("workers", "hours", "x bound", "harness", "scoring", "store/s")
    cells = [
        (
            row["design"],
            str(row["workers"]),
            f"{row['makespan'] / 3600:.2f}",
            f"{row['ratio']:.2f}",
            f"{row['harness_load']:.0%}",
            f"{row['scoring_load']:.0%}",
            f"{row['store_per_second']:.0f}",
        )
        for row in rows
    ]
    figures.show(f"{rows[0]['runs']} runs, {factor:g} times as long as recorded", ("design", *heads), cells)


if __name__ == "__main__":
    main()
