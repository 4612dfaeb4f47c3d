"""Runs that take as long as they are told and compute next to nothing: real ones, as plain processes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lanner.config import Settings
    from lanner.pipeline import Plan

PROGRAM = """
import json, os, pathlib, time

INPUT, OUTPUT = (pathlib.Path(os.environ["LANNER_" + name]) for name in ("INPUT", "OUTPUT"))
began = time.monotonic()
seconds = json.loads((INPUT / "task.json").read_text())["parameters"]["seconds"]
import csv, h5py, numpy as np

with h5py.File(INPUT / "train.h5ad") as file:
    genes = file["var/_index"][:]
with (INPUT / "requests.csv").open(newline="") as stream:
    rows = [row["request_id"] for row in csv.DictReader(stream)]
with h5py.File(OUTPUT / "prediction.h5ad", "w") as file:
    file["X"] = np.full((len(rows), len(genes)), 0.5, "f4")
    file["obs/_index"] = rows
    file["var/_index"] = genes
time.sleep(max(seconds - (time.monotonic() - began), 0))
"""
"""The sleep ends ``seconds`` after the start, whatever came before it."""


def settings_in(folder: Path) -> Settings:
    """A LANNER_HOME and a registry with the sleeping method, below ``folder``."""
    from lanner.config import Settings

    method = folder / "registry" / "method_containers" / "sleeper"
    method.mkdir(parents=True)
    manifest = {
        "name": "sleeper",
        "version": "1",
        "label": "Sleeper",
        "summary": "Answers a constant after a while.",
        "licence": "MIT",
        "command": ["python", "run.py"],
        "tasks": ["perturbation-response"],
        "deterministic": False,
        "parameters": {"seconds": {"type": "number", "default": 1.0, "description": "How long."}},
    }
    (method / "method.yaml").write_text(json.dumps(manifest))
    (method / "Dockerfile").write_text("FROM scratch\n")
    (method / "run.py").write_text(PROGRAM)
    return Settings(home=folder / "home", registry=folder / "registry")


def plans(settings: Settings, seconds: Sequence[float], *, first_seed: int = 0) -> list[Plan]:
    """A run for each duration, unlike all with another ``first_seed``; the split they share is staged."""
    from lanner import datasets, methods, pipeline, sealing, splits, staging
    from lanner.tasks import TASKS

    dataset = datasets.load(datasets.find_entry(settings, "simulated"), settings)
    split, task = splits.resolve(dataset, "unseen-perturbation")[0], TASKS["perturbation-response"]
    sealed = sealing.seal(dataset, split, task.id, settings.home)
    staging.open_shared(settings.home, split, task) or staging.stage_shared(
        dataset, split, task, sealed, settings.home
    )
    method = methods.find(settings, "sleeper")
    return [
        pipeline.plan(
            settings,
            dataset=dataset.identity,
            split=split,
            task=task,
            method=method,
            parameters=methods.resolve_parameters(method, {"seconds": each}),
            limits=replace(method.limits, memory_mb=256),
            seed=first_seed + number,
            runner="process",
            trust_process=True,
        )
        for number, each in enumerate(seconds)
    ]


def by_engine(chosen: Sequence[Plan], settings: Settings, engine: Any) -> float:
    """Seconds an engine takes for the runs, all of which must succeed."""
    from lanner import execution

    began = time.perf_counter()
    execution.complete(chosen, settings, engine)
    wall = time.perf_counter() - began
    for plan in chosen:
        _succeeded(plan)
    return wall


def by_hand(plan: Plan, settings: Settings) -> float:
    """Seconds ``lanner exec`` takes for a run when nothing but a wait for its end is around it."""
    import os

    from lanner.execution.engine import arguments

    attempt = plan.folder.new_attempt(plan.spec)
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments(settings, attempt)],
        env={**os.environ, "LANNER_HOME": str(settings.home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    wall = time.perf_counter() - began
    _succeeded(plan)
    return wall


def _succeeded(plan: Plan) -> None:
    record = plan.folder.record()
    if record is None or record["state"] != "succeeded":
        raise SystemExit(f"a run did not succeed: {record and record['message']}")
