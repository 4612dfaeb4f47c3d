"""Try a method on tiny data in its sandbox, on every kind of question it will meet: ``method check``.

Data are simulated and seeded, in a temporary LANNER_HOME that is gone afterwards; runs go through the same
pipeline, runner and intake as those of a leaderboard.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lanner import datasets, pipeline, splits, staging
from lanner.config import Settings
from lanner.errors import ErrorClass
from lanner.execution import complete
from lanner.execution.local import LocalEngine
from lanner.ingest import ingest
from lanner.method_check.questions import QUESTIONS, Question, write_entry
from lanner.methods import Method
from lanner.pipeline import Plan
from lanner.records import Split, State
from lanner.sealing import seal
from lanner.store import read_json
from lanner.tasks import TASKS, Task

CPU_MARGIN = 1.25
"""Processor time per second and granted CPU above which threads were not limited."""
MIN_SECONDS = 1.0
"""Shorter runs tell nothing of threads."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the report: ``outcome`` is passed, failed or information; ``log`` the text to look at."""

    check: str
    outcome: str
    detail: str
    log: str = ""

    def to_json(self) -> dict[str, str]:
        """For ``--json``."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class _Tried:
    plan: Plan
    record: Mapping[str, Any]
    digest: str | None
    resources: Mapping[str, Any]
    log: str


def check(
    method: Method,
    *,
    runner: str,
    trust_process: bool = False,
    timeout_s: int | None = None,
    talk: Callable[[str], None] = lambda _: None,
) -> list[Finding]:
    """Try ``method`` on every question; the report, failures and all.

    Parameters
    ----------
    method
        The method, its image built already where the runner needs one.
    runner
        ``docker`` or ``process``.
    trust_process
        Whether the process runner may run other people's methods.
    timeout_s
        Seconds one run may take, where the manifest's own limit is too patient for tiny data.
    talk
        Told what is going on.

    Raises
    ------
    LannerError
        Only for faults of the platform; whatever the method does is a finding.
    """
    task = next((TASKS[name] for name in method.tasks if name in TASKS), None)
    if task is None:
        known = ", ".join(TASKS)
        return [
            Finding(
                check="tasks", outcome="failed", detail=f"answers none of the tasks {known}; correct tasks"
            )
        ]
    limits = method.limits if timeout_s is None else replace(method.limits, timeout_s=timeout_s)
    with TemporaryDirectory(prefix="lanner-check-") as temporary:
        folder = Path(temporary)
        for question in QUESTIONS:
            write_entry(folder / "registry", question)

        def trial(question: Question, home: str, seed: int = 0) -> _Tried:
            settings = Settings(home=folder / home, registry=folder / "registry")
            dataset = datasets.load(datasets.find_entry(settings, question.name), settings)
            split = splits.resolve(dataset, question.split)[0]
            _stage(dataset, split, task, settings)
            plan = pipeline.plan(
                settings,
                dataset=dataset.identity,
                split=split,
                task=task,
                method=method,
                parameters=method.defaults,
                seed=seed,
                limits=limits,
                runner=runner,
                trust_process=trust_process,
            )
            complete([plan], settings, LocalEngine(settings, jobs=1))
            return _tried(plan, task, settings)

        findings: list[Finding] = []
        answered: tuple[Question, _Tried] | None = None
        for question in QUESTIONS:
            talk(f"{question.name}: {question.says}")
            tried = trial(question, "first")
            findings.append(_answered(question, tried))
            if answered is None and tried.record["state"] == State.SUCCEEDED:
                answered = question, tried
        if answered is None:
            detail = "no question was answered; a method must answer at least one kind"
            return [*findings, Finding(check="answers", outcome="failed", detail=detail)]
        question, first = answered
        talk(f"{question.name} again, with the same seed and with another")
        findings.append(_repeatable(first, trial(question, "again")))
        findings.append(_seeded(method, first, trial(question, "first", seed=1)))
        findings.append(_threads(first, limits.cpus))
        findings.append(_cost(first))
        return findings


def _stage(dataset: datasets.Dataset, split: Split, task: Task, settings: Settings) -> staging.Staged:
    return staging.stage_shared(
        dataset, split, task, seal(dataset, split, task.id, settings.home), settings.home
    )


def _tried(plan: Plan, task: Task, settings: Settings) -> _Tried:
    record = plan.folder.record()
    assert record is not None
    attempt = plan.folder.path / f"attempt-{record['attempt']}"
    log = "\n".join(
        (attempt / name).read_text(errors="replace")[-4000:]
        for name in ("stdout.log", "stderr.log")
        if (attempt / name).is_file()
    )
    resources = read_json(attempt / "resources.json") or {}
    digest = None
    if record["state"] == State.SUCCEEDED:
        digest = _digest(attempt / "prediction.h5ad", Split.from_json(plan.spec["split"]), task, settings)
    return _Tried(plan=plan, record=record, digest=digest, resources=resources, log=log.strip())


def _digest(prediction: Path, split: Split, task: Task, settings: Settings) -> str:
    """SHA-256 of the numbers of a prediction: the file's own bytes may hold times."""
    staged = staging.open_shared(settings.home, split, task)
    assert staged is not None
    destination = prediction.with_suffix(".canonical")
    try:
        result = ingest(prediction, rows=pipeline.expectation(staged), destination=destination)
        digest = hashlib.sha256(bytes(result.answered))
        for path in sorted(destination.rglob("*.npy")):
            digest.update(path.read_bytes())
        return digest.hexdigest()
    finally:
        shutil.rmtree(destination, ignore_errors=True)


def _answered(question: Question, tried: _Tried) -> Finding:
    record = tried.record
    if record["state"] == State.SUCCEEDED:
        n = len(tried.plan.spec["split"]["test"])
        answered = n - len(record["unanswered"])
        kind = f"{record['prediction']['kind']}, {answered} of {n} requests answered"
        outcome = "passed" if answered else "failed"
        return Finding(check=question.name, outcome=outcome, detail=f"{question.says}: {kind}", log=tried.log)
    if record["error_class"] == ErrorClass.NOT_APPLICABLE:
        detail = f"{question.says}: declined ({record['message']})"
        return Finding(check=question.name, outcome="information", detail=detail, log=tried.log)
    detail = f"{question.says}: {record['error_class']}: {record['message']}"
    return Finding(check=question.name, outcome="failed", detail=detail, log=tried.log)


def _repeatable(first: _Tried, again: _Tried) -> Finding:
    if again.digest == first.digest:
        return Finding(check="repeatable", outcome="passed", detail="the same seed gave the same numbers")
    detail = (
        "the same seed gave other numbers; seed every generator with LANNER_SEED and sort what is unordered"
    )
    return Finding(check="repeatable", outcome="failed", detail=detail, log=again.log)


def _seeded(method: Method, first: _Tried, other: _Tried) -> Finding:
    same = other.digest == first.digest
    if method.deterministic and not same:
        detail = "method.yaml says deterministic: true, but another seed gave other numbers; say false"
        return Finding(check="seed", outcome="failed", detail=detail, log=other.log)
    if same and not method.deterministic:
        detail = "another seed gave the same numbers; deterministic: true in method.yaml would save runs"
        return Finding(check="seed", outcome="information", detail=detail)
    detail = (
        "does not depend on the seed, as declared" if same else "another seed gave other numbers, as declared"
    )
    return Finding(check="seed", outcome="passed", detail=detail)


def _threads(first: _Tried, granted: float) -> Finding:
    cpu, wall = first.resources.get("cpu_seconds"), first.resources.get("wall_seconds")
    if not cpu or not wall or wall < MIN_SECONDS:
        return Finding(check="cpus", outcome="information", detail="the run was too short to tell")
    used = cpu / wall
    outcome = "passed" if used <= granted * CPU_MARGIN else "failed"
    fix = "" if outcome == "passed" else "; limit threads to LANNER_CPUS"
    return Finding(check="cpus", outcome=outcome, detail=f"{used:.2f} used, {granted:g} granted{fix}")


def _cost(first: _Tried) -> Finding:
    shown = [
        f"{label} {first.resources[name]:.4g} {unit}"
        for name, label, unit in (
            ("wall_seconds", "wall", "s"),
            ("cpu_seconds", "CPU", "s"),
            ("peak_memory_mb", "memory", "MB"),
        )
        if first.resources.get(name) is not None
    ]
    return Finding(check="cost", outcome="information", detail=", ".join(shown) or "not measured")
