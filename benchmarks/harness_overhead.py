"""What a run costs the harness, beside the method's own time and the scoring.

    python -m benchmarks.harness_overhead [--repeats N] [--runner docker|process] [--leaderboard FILE]

New runs: the wall time of one run of ``train-mean`` on the simulated dataset, from naming it to its terminal
record, less the method's own (``wall_seconds`` of resources.json: from the start of its process or container
to its end). Loading, sealing and staging are done before, once per split; so is the image. Goal: 1.5 s.

Cached runs: the wall time of building a leaderboard all of whose runs are cached, by its rows, in one
process (goal: 50 ms); and of the whole command line that does it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import figures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lanner.config import Settings
    from lanner.pipeline import Plan

RUN_GOAL_S = 1.5
CACHED_GOAL_S = 0.05
METHOD, DATASET, SPLIT = "train-mean", "simulated", "unseen-perturbation"
PHASES = {
    "start": "a process, its imports, the claim",
    "prepare": "image looked up, input staged",
    "method": "its own time, not counted",
    "around": "container made and removed, or folder copied",
    "validate": "file taken, read by the confined child, checked",
    "end": "record written, process ended and seen to have",
}
"""What the harness does between the transitions of a run's status."""


class Stopwatch:
    """Note when each state of a run began: the status file is looked at every few milliseconds."""

    def __init__(self, folder: Path) -> None:
        self.since: dict[str, float] = {}
        self._folder = folder
        self._done = threading.Event()

    @contextmanager
    def watching(self) -> Iterator[None]:
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()

    def _watch(self) -> None:
        from lanner.store import Status

        while not self._done.wait(0.005):
            self._look(Status(self._folder / "attempt-1"))
        self._look(Status(self._folder / "attempt-1"))

    def _look(self, status: Any) -> None:
        seen = status.read()
        if seen is not None:
            self.since.setdefault(str(seen["state"]), float(seen["since"]))


def overhead(runner: str, repeats: int, settings: Settings) -> dict[str, Any]:
    """Seconds of harness per new run: the whole, and what each phase takes of it."""
    from lanner.runners import RUNNERS

    plans = _plans(runner, repeats + 1, settings)
    if runner != "process":
        from lanner import methods

        RUNNERS[runner]().prepare(methods.find(settings, METHOD))
    runs = [_one_run(make, settings) for make in plans][1:]  # the first one finds nothing in the page cache
    totals = [sum(run.values()) - run["method"] for run in runs]
    phases = {name: figures.spread([run[name] for run in runs]) for name in PHASES}
    return {"seconds": figures.spread(totals), "phases": phases, "goal": RUN_GOAL_S}


def _plans(runner: str, number: int, settings: Settings) -> list[Any]:
    """Functions that name one run each, equal but for its seed; the split they share is staged."""
    from functools import partial

    from lanner import datasets, methods, pipeline, sealing, splits, staging
    from lanner.tasks import TASKS

    dataset = datasets.load(datasets.find_entry(settings, DATASET), settings)
    split, task = splits.resolve(dataset, SPLIT)[0], TASKS["perturbation-response"]
    sealed = sealing.seal(dataset, split, task.id, settings.home)
    staging.stage_shared(dataset, split, task, sealed, settings.home)
    method = methods.find(settings, METHOD)
    named = partial(
        pipeline.plan,
        settings,
        dataset=dataset.identity,
        split=split,
        task=task,
        method=method,
        parameters=methods.resolve_parameters(method, {}),
        limits=method.limits,
        runner=runner,
    )
    return [partial(named, seed=seed) for seed in range(number)]


def _one_run(make: Any, settings: Settings) -> dict[str, float]:
    """Seconds each phase of a run took."""
    from lanner import execution, store
    from lanner.execution.local import LocalEngine

    began, clock = time.time(), time.perf_counter()
    plan: Plan = make()
    watch = Stopwatch(plan.folder.path)
    with watch.watching():
        execution.complete([plan], settings, LocalEngine(settings, jobs=1))
        wall = time.perf_counter() - clock
    record = plan.folder.record()
    if record is None or record["state"] != "succeeded":
        raise SystemExit(f"the run did not succeed: {record and record['message']}")
    method = float(store.read_json(plan.folder.path / "attempt-1" / "resources.json")["wall_seconds"])
    since = watch.since
    since.setdefault("pulling", since.get("preparing", since["running"]))  # gone before it was looked at
    marks = [since[state] - began for state in ("pulling", "running", "validating", "succeeded")]
    pulling, running, validating, succeeded = marks
    return {
        "start": pulling,
        "prepare": running - pulling,
        "method": method,
        "around": validating - running - method,
        "validate": succeeded - validating,
        "end": wall - succeeded,
    }


def cached(leaderboard: str, repeats: int, settings: Settings) -> dict[str, Any]:
    """Seconds per row of a leaderboard all of whose runs are cached; builds it first where they are not."""
    from lanner.leaderboard import expand, load
    from lanner.leaderboard.building import build

    definition = load(leaderboard, settings)
    build(definition, settings, runner="process", jobs=len(os.sched_getaffinity(0)))
    builds, lookups, rows = [], [], 0
    for _ in range(repeats):
        began = time.perf_counter()
        build(definition, settings, runner="process", jobs=1)
        builds.append(time.perf_counter() - began)
        began = time.perf_counter()
        campaign = expand(definition, settings, runner="process")
        if campaign.missing():
            raise SystemExit("a run that was just built is not cached")
        lookups.append(time.perf_counter() - began)
        rows = len(campaign.cells)
    return {
        "rows": rows,
        "build_seconds_per_row": figures.spread([seconds / rows for seconds in builds]),
        "lookup_seconds_per_row": figures.spread([seconds / rows for seconds in lookups]),
        "goal": CACHED_GOAL_S,
    }


def command_line(leaderboard: str, repeats: int, settings: Settings) -> dict[str, Any]:
    """Seconds of the whole command, process start to end, when nothing is left to run."""
    words = ["demo"] if leaderboard == "quickstart" else ["leaderboard", "build", leaderboard]
    command = [sys.executable, "-m", "lanner.cli", *words, "--runner", "process"]
    walls = []
    for _ in range(repeats):
        began = time.perf_counter()
        subprocess.run(
            command,
            env={**os.environ, "LANNER_HOME": str(settings.home)},
            cwd=settings.home,  # where the pages go
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        walls.append(time.perf_counter() - began)
    return {"command": f"lanner {' '.join(words)}", "seconds": figures.spread(walls)}


def main() -> None:
    """Measure, print the tables, write harness_overhead.json."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.harness_overhead", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--repeats", type=int, default=9, help="runs and builds measured [9]")
    parser.add_argument("--runner", choices=["docker", "process"], help="only this one [both]")
    parser.add_argument("--leaderboard", default="quickstart", help="name or file [quickstart]")
    parser.add_argument("--out", type=Path, help="folder of harness_overhead.json [benchmarks/out]")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lanner-overhead-") as temporary:
        document = measure(arguments, Path(temporary))
    _show(document)
    print(f"written to {figures.write('harness_overhead', document, arguments.out)}")


def measure(arguments: argparse.Namespace, home: Path) -> dict[str, Any]:
    """All figures, in a LANNER_HOME of their own."""
    from lanner.config import Settings
    from lanner.runners.docker import docker_available

    settings = Settings(home=home.resolve())
    wanted: Sequence[str] = [arguments.runner] if arguments.runner else ["docker", "process"]
    reason = docker_available() if "docker" in wanted else None
    if reason is not None:
        print(f"docker is left out: {reason}", file=sys.stderr)
    runs = {
        name: overhead(name, arguments.repeats, settings)
        for name in wanted
        if name != "docker" or reason is None
    }
    leaderboard = str(arguments.leaderboard)
    if Path(leaderboard).is_file():
        leaderboard = str(Path(leaderboard).resolve())
    return {
        "runs": runs,
        "cached": cached(leaderboard, arguments.repeats, settings),
        "command_line": command_line(leaderboard, arguments.repeats, settings),
        "machine": figures.machine(),
    }


def _show(document: dict[str, Any]) -> None:
    def row(name: str, spread: dict[str, float], unit: float = 1.0, goal: str = "") -> list[str]:
        return [name, *(f"{spread[part] * unit:.2f}" for part in ("median", "min", "max")), goal]

    heads = ("median", "min", "max", "goal")
    for runner, found in document["runs"].items():
        rows = [row("harness per run", found["seconds"], goal=f"<= {found['goal']:.2f}")]
        rows += [row(f"  {name}: {PHASES[name]}", spread) for name, spread in found["phases"].items()]
        figures.show(f"new run, {runner} (s, n={found['seconds']['n']})", ("", *heads), rows)
    found, command = document["cached"], document["command_line"]
    rows = [
        row("build, per row", found["build_seconds_per_row"], 1e3, f"<= {found['goal'] * 1e3:.2f}"),
        row("  of it naming and finding runs", found["lookup_seconds_per_row"], 1e3),
        row(f"{command['command']}, whole process", command["seconds"], 1e3),
    ]
    figures.show(f"cached runs (ms, {found['rows']} rows)", ("", *heads), rows)


if __name__ == "__main__":
    main()
