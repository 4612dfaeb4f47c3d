"""What each engine adds to a run, and what a second worker is worth.

    python -m benchmarks.engines [--engine NAME] [--runs N] [--seconds S]

Overhead: runs that sleep for a moment, by turns with ``lanner exec`` called by hand on an attempt made by
hand and by the engine, opened once; the median of the engine's walls less the median of the others. It is
what placing, waiting for and collecting a run takes. Goals: local 0.3 s, dask 0.5 s.

Two workers: the wall of a batch of sleeping runs on one worker over that on two. Goal: 1.8. Runs need about
as much of a core as they sleep in the shortest; load beside it shows in both figures, and is written down.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks import figures
from benchmarks.scale import sleepers

GOALS = {"local": 0.3, "dask": 0.5}
SPEEDUP_GOAL = 1.8
MOMENT_S = 0.5


def overhead(name: str, runs: int, folder: Path) -> dict[str, Any]:
    """Seconds an engine adds to a run, and the walls it is made of."""
    from lanner import execution

    settings = sleepers.settings_in(folder)
    chosen = sleepers.plans(settings, [MOMENT_S] * (2 * runs + 2))
    with closing(execution.open_engine(name, settings, jobs=1)) as engine:
        pairs = [
            (sleepers.by_hand(chosen[i], settings), sleepers.by_engine([chosen[i + 1]], settings, engine))
            for i in range(0, len(chosen), 2)
        ][1:]  # the first finds nothing in the page cache
    hand, placed = (figures.spread([pair[side] for pair in pairs]) for side in (0, 1))
    return {
        "by_hand": hand,
        "by_engine": placed,
        "added": placed["median"] - hand["median"],
        "added_by_pair": figures.spread([b - a for a, b in pairs]),
        "goal": GOALS.get(name),
    }


def speedup(runs: int, seconds: float, folder: Path) -> dict[str, Any]:
    """Walls of the same sleeping runs on one local worker and on two, and how much of a core they took."""
    from lanner.execution.local import LocalEngine

    settings, walls, cpus = sleepers.settings_in(folder), {}, {}
    sleepers.by_engine(sleepers.plans(settings, [0.1]), settings, LocalEngine(settings, 1))
    for jobs in (1, 2):
        chosen = sleepers.plans(settings, [seconds] * runs, first_seed=1000 * jobs)
        before = os.times()
        walls[jobs] = sleepers.by_engine(chosen, settings, LocalEngine(settings, jobs))
        after = os.times()
        cpus[jobs] = sum(after[:4]) - sum(before[:4])
    return {
        "runs": runs,
        "seconds": seconds,
        "walls": {str(jobs): wall for jobs, wall in walls.items()},
        "cpu_seconds_per_run": {str(jobs): cpu / runs for jobs, cpu in cpus.items()},
        "speedup": walls[1] / walls[2],
        "goal": SPEEDUP_GOAL,
    }


def main() -> None:
    """Measure, print the tables, write engines.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines", description=__doc__.split("\n")[0])
    parser.add_argument("--engine", action="append", help="as slurm-array; repeatable [local, dask]")
    parser.add_argument("--runs", type=int, default=9, help="pairs of runs for the overhead [9]")
    parser.add_argument("--batch", type=int, default=8, help="runs for the second worker, 0 for none [8]")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long those sleep [5]")
    parser.add_argument("--out", type=Path, help="folder of engines.json [benchmarks/out]")
    arguments = parser.parse_args()
    document: dict[str, Any] = {"engines": {}, "machine": figures.machine()}
    with tempfile.TemporaryDirectory(prefix="lanner-engines-") as temporary:
        root = Path(temporary).resolve()
        for name in arguments.engine or ["local", "dask"]:
            document["engines"][name] = found = overhead(name, arguments.runs, root / name)
            shown = [
                (label, *(f"{found[part][at]:.2f}" for at in ("median", "min", "max")))
                for label, part in (
                    ("by hand", "by_hand"),
                    ("by the engine", "by_engine"),
                    ("pair by pair", "added_by_pair"),
                )
            ]
            goal = f", goal <= {found['goal']}" if found["goal"] else ""
            title = f"{name}: {found['added']:.2f} s added{goal} (s, n={found['by_hand']['n']})"
            figures.show(title, ("", "median", "min", "max"), shown)
        if arguments.batch:
            document["workers"] = two = speedup(arguments.batch, arguments.seconds, root / "two")
            print(f"\n2 workers are {two['speedup']:.2f} of one (goal {two['goal']}), {two}")
    document["machine_after"] = figures.machine()
    print(f"written to {figures.write('engines', document, arguments.out)}")


if __name__ == "__main__":
    main()
