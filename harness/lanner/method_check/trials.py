"""Runs of a method on tiny data, by the pipeline of every run; what is kept of each to be judged."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lanner import datasets, pipeline, splits, staging
from lanner.config import Settings
from lanner.execution import complete
from lanner.execution.local import LocalEngine
from lanner.ingest import ingest
from lanner.method_check.screens import write_entry
from lanner.methods import Method
from lanner.pipeline import Plan
from lanner.records import Limits, Split, State
from lanner.store import read_json
from lanner.tasks import Question, Task

LOG_CHARACTERS = 4000


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A run that has ended: its record, SHA-256 of the predicted numbers (None without any), cost, log."""

    plan: Plan
    record: Mapping[str, Any]
    digest: str | None
    resources: Mapping[str, Any]
    log: str


@dataclass(frozen=True, kw_only=True)
class Trials:
    """A method's runs for one task, everything of which lies in ``folder``."""

    folder: Path
    method: Method
    task: Task
    parameters: Mapping[str, Any]
    limits: Limits
    runner: str
    trust_process: bool

    def write_screens(self) -> None:
        """Make every question's screen an entry that ``run`` finds."""
        for question in self.task.questions():
            write_entry(self.folder / "registry", question)

    def run(self, question: Question, home: str, seed: int = 0) -> Tried:
        """Run the method on a question; one key is run once in each ``home``."""
        settings = Settings(home=self.folder / home, registry=self.folder / "registry")
        dataset = datasets.load(datasets.find_entry(settings, question.name), settings)
        split = splits.resolve(dataset, question.split)[0]
        truth = self.task.seal(dataset, split, settings.home)
        staged = staging.stage_shared(dataset, split, self.task, truth, settings.home, question.options)
        plan = pipeline.plan(
            settings,
            dataset=dataset.identity,
            split=split,
            task=self.task,
            method=self.method,
            parameters=self.parameters,
            seed=seed,
            limits=self.limits,
            runner=self.runner,
            options=question.options,
            trust_process=self.trust_process,
        )
        complete([plan], settings, LocalEngine(settings, jobs=1))
        return _tried(plan, staged)


def _tried(plan: Plan, staged: staging.Staged) -> Tried:
    record = plan.folder.record()
    assert record is not None
    attempt = plan.folder.path / f"attempt-{record['attempt']}"
    log = "\n".join(
        (attempt / name).read_text(errors="replace")[-LOG_CHARACTERS:]
        for name in ("stdout.log", "stderr.log")
        if (attempt / name).is_file()
    )
    succeeded = record["state"] == State.SUCCEEDED
    return Tried(
        plan=plan,
        record=record,
        digest=_digest(attempt / "prediction.h5ad", staged) if succeeded else None,
        resources=read_json(attempt / "resources.json") or {},
        log=log.strip(),
    )


def _digest(prediction: Path, staged: staging.Staged) -> str:
    """SHA-256 of the numbers of a prediction: the file's own bytes may hold times."""
    destination = prediction.with_suffix(".canonical")
    try:
        result = ingest(prediction, rows=pipeline.expectation(staged), destination=destination)
        digest = hashlib.sha256(bytes(result.answered))
        for path in sorted(destination.rglob("*.npy")):
            digest.update(path.read_bytes())
        return digest.hexdigest()
    finally:
        shutil.rmtree(destination, ignore_errors=True)


def n_requests(tried: Tried) -> int:
    """Requests of a run; networks are asked of a split, not of its conditions."""
    return (
        0 if "n_edges" in tried.record["prediction"] else len(Split.from_json(tried.plan.spec["split"]).test)
    )
