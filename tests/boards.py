"""Small boards to build for real: a tiny dataset, methods of a few lines, the command line as a process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import pytest
from lanner import datasets, execution, leaderboard, pipeline, splits, staging
from lanner.config import Settings
from lanner.execution.local import LocalEngine
from lanner.leaderboard.building import Results, build
from lanner.methods import Method, find, load
from lanner.pipeline import Plan
from lanner.records import Limits, Split
from lanner.sealing import seal
from lanner.tasks import TASKS
from lanner.truth import Truth

TASK = TASKS["perturbation-response"]
PREPARE = """
from lanner import simulator

def prepare(sources, parameters, output):
    simulator.write(simulator.Simulation(**parameters), output)
"""
SIZE = {
    "n_perturbations": 8,
    "n_combinations": 6,
    "n_cells_per_condition": 16,
    "n_controls": 110,
    "n_genes": 60,
    "cell_types": 2,
    "n_batches": 1,
    "seed": 3,
}

# Reads what it is asked, and writes what ``rows``, ``genes`` and ``X`` hold when ``write`` is called.
PROGRAM = """
import csv, os, pathlib, signal, sys, time
import h5py, numpy as np

INPUT, OUTPUT = (pathlib.Path(os.environ["LANNER_" + name]) for name in ("INPUT", "OUTPUT"))
with h5py.File(INPUT / "train.h5ad") as file:
    genes = [name.decode() for name in file["var/_index"][:]]
with (INPUT / "requests.csv").open(newline="") as stream:
    rows = [row["request_id"] for row in csv.DictReader(stream)]
X = np.full((len(rows), len(genes)), 0.5, "f4")

def write():
    with h5py.File(OUTPUT / "prediction.h5ad", "w") as file:
        file["X"] = X
        file["obs/_index"] = rows
        file["var/_index"] = genes

"""


def registry(folder: Path, *, size: Mapping[str, Any] | None = None, name: str = "tiny") -> Path:
    """A registry folder with one generated dataset, small enough to be built in a second."""
    entry = folder / "datasets_registry" / name
    entry.mkdir(parents=True)
    document = {
        "id": name,
        "version": 1,
        "title": f"The {name} dataset",
        "organism": "none",
        "assay": "simulated",
        "perturbation_kind": "simulated",
        "kind": "cells",
        "scale": "log1p-cp10k",
        "licence": "MIT",
        "citation": {"text": "Nobody.", "reason": "generated data"},
        "embedded": True,
        "prepare": {"file": "prepare.py", "parameters": {**SIZE, **(size or {})}},
        "obs": {
            "perturbation": "perturbation",
            "control": ["control"],
            "combination_delimiter": "+",
            "context": ["cell_type"],
            "batch": "batch",
            "targets": "perturbation",
        },
        "genes": {"identifier": "symbol"},
        "counts_layer": "counts",
        "splits": [{"id": "unseen-combination"}, {"id": "unseen-perturbation"}],
    }
    (entry / "dataset.yaml").write_text(json.dumps(document))  # JSON is YAML
    (entry / "prepare.py").write_text(PREPARE)
    (folder / "method_containers").mkdir(exist_ok=True)
    return folder


def add_method(registry: Path, name: str, program: str = "write()", **manifest: Any) -> Method:
    """A method of ``program``, run after PROGRAM, in ``registry``; ``manifest`` changes its fields."""
    folder = registry / "method_containers" / name
    folder.mkdir(parents=True)
    document = {
        "name": name,
        "version": "1",
        "label": name,
        "summary": "Answers a constant.",
        "licence": "MIT",
        "command": ["python", "run.py"],
        "tasks": ["perturbation-response"],
        "deterministic": True,
        **manifest,
    }
    (folder / "method.yaml").write_text(json.dumps(document))
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "run.py").write_text(PROGRAM + program + "\n")
    return load(folder)


def board(folder: Path, methods: Sequence[Any], **fields: Any) -> Path:
    """A leaderboard file on the tiny dataset."""
    document = {
        "name": "board",
        "title": "A board",
        "task": TASK.id,
        "datasets": [{"id": "tiny", "splits": [{"id": "unseen-combination"}]}],
        "methods": list(methods),
        "seeds": [0],
        "metrics": ["mse", "pearson_delta"],
        **fields,
    }
    path = folder / f"{document['name']}.yaml"
    path.write_text(json.dumps(document, indent=1))
    return path


HALF = """
X[:] = np.linspace(0, 1, X.size).reshape(X.shape)
write()
with h5py.File(OUTPUT / "prediction.h5ad", "a") as file:
    file["obs/answered"] = np.arange(len(rows)) % 2 == 0
"""
METHODS = ("constant", "half", "crashes", "inapplicable", "for-another-task")


@cache
def built(folder: Path) -> tuple[Path, Results]:
    """A board with every kind of row, built once by each worker; its folder is not to be written to."""
    shutil.rmtree(folder, ignore_errors=True)  # of a build that failed
    own = registry(folder / "registry")
    add_method(own, "constant", "X[:] = 0.3 + 0.01 * np.arange(len(genes)); write()")
    parameter = {"type": "number", "default": 1.0, "description": "Nothing."}
    add_method(own, "half", HALF, parameters={"alpha": parameter})
    add_method(own, "crashes", "sys.exit('it <script>broke</script> [here](there)')")
    add_method(own, "inapplicable", "print('needs doses', file=sys.stderr); sys.exit(99)")
    add_method(own, "for-another-task", tasks=["another-task"])
    return folder, make(folder, METHODS)


def make(
    folder: Path,
    methods: Sequence[Any],
    *,
    home: str = "home",
    jobs: int = 2,
    score_shards: int | None = None,
    **fields: Any,
) -> Results:
    """Build a board of ``methods`` of ``folder``'s registry, with its page in ``site-<home>``."""
    settings = Settings(home=folder / home, registry=folder / "registry")
    definition = leaderboard.load(str(board(folder, methods, **fields)), settings)
    return build(
        definition,
        settings,
        runner="process",
        jobs=jobs,
        trust_process=True,
        site=folder / f"site-{home}",
        score_shards=score_shards,
    )


def planned(settings: Settings, method: Method, *, trust: bool = True, **changes: Any) -> Plan:
    """The run of ``method`` on the tiny dataset's first split, with its input staged."""
    split, truth = prepared(settings)
    dataset = datasets.load(datasets.find_entry(settings, "tiny"), settings)
    staging.stage_shared(dataset, split, TASK, truth, settings.home)
    arguments: dict[str, Any] = {"seed": 0, "limits": Limits(timeout_s=60), "runner": "process", **changes}
    return pipeline.plan(
        settings,
        dataset=dataset.identity,
        split=split,
        task=TASK,
        method=method,
        parameters=method.defaults,
        trust_process=trust,
        **arguments,
    )


def prepared(settings: Settings) -> tuple[Split, Truth]:
    """The tiny dataset's first split and its sealed truth."""
    dataset = datasets.load(datasets.find_entry(settings, "tiny"), settings)
    split = splits.resolve(dataset, "unseen-combination")[0]
    return split, seal(dataset, split, TASK.id, settings.home)


def command(*arguments: str | Path, registry: Path | None = None) -> list[str]:
    """The argument list of one ``lanner`` process."""
    options = ["--registry", str(registry)] if registry else []
    return [sys.executable, "-m", "lanner.cli", *options, *map(str, arguments)]


def lanner(
    *arguments: str | Path, home: Path, cwd: Path, registry: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    return subprocess.run(
        command(*arguments, registry=registry),
        cwd=cwd,
        env={**os.environ, "LANNER_HOME": str(home), "LANNER_MIRROR": "", **environment},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def start(
    *arguments: str | Path, home: Path, cwd: Path, registry: Path | None = None
) -> subprocess.Popen[str]:
    """Start the command line as the leader of its own process group, and do not wait for it."""
    return subprocess.Popen(
        command(*arguments, registry=registry),
        cwd=cwd,
        env={**os.environ, "LANNER_HOME": str(home), "LANNER_MIRROR": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def main(home: str, registry: str, *names: str) -> None:
    """A harness as a process of its own: run ``names`` on the tiny dataset, print their records."""
    settings = Settings(home=Path(home), registry=Path(registry))
    plans = [planned(settings, find(settings, name)) for name in names]
    records: list[dict[str, Any]] = []
    execution.complete(
        plans, settings, LocalEngine(settings, jobs=2), on_record=lambda plan, record: records.append(record)
    )
    print(json.dumps(records))


def drive(settings: Settings, *names: str) -> subprocess.Popen[str]:
    """Start ``main`` and do not wait for it."""
    return subprocess.Popen(
        [sys.executable, __file__, str(settings.home), str(settings.registry), *names],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def statuses(home: Path) -> list[dict[str, Any]]:
    """status.json of every attempt below ``home``; empty ones as an empty mapping."""
    found = []
    for path in sorted((home / "runs").glob("*/*/*/*/attempt-*/status.json")):
        text = path.read_text()
        found.append(json.loads(text) if text else {})
    return found


def kill_with_workers(harness: subprocess.Popen[str]) -> int:
    """Kill a harness and its ``lanner exec`` processes with no time to clean up; how many of the latter."""
    harness.send_signal(signal.SIGSTOP)  # or it would see its workers die, or they it
    workers = execs(harness.pid)
    for pid in (*(worker.pid for worker in workers), harness.pid):
        os.kill(pid, signal.SIGKILL)
    harness.communicate()
    return len(workers)


def execs(pid: int) -> list[psutil.Process]:
    """The ``lanner exec`` processes of a harness."""
    return [child for child in psutil.Process(pid).children(recursive=True) if "exec" in child.cmdline()]


def until(condition: Callable[[], Any], what: str, seconds: float = 90.0) -> Any:
    """Wait for ``condition`` to hold and return its value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen within {seconds:g} s")


@contextmanager
def small_disk(folder: Path, size: str = "1m") -> Iterator[Path]:
    """A disk of ``size`` mounted at the new ``folder``; skips the test where none can be mounted."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("a small disk cannot be mounted here: that needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
