"""Attempts of which no engine of ours says how they end: waited for while somebody lives, else buried.

A process counts as living by what this machine knows of it, else by its heartbeat (``store.Watch``): an
engine that has lost sight of a node says nothing of what goes on there.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from lanner import pipeline, reaping
from lanner.errors import InfrastructureError
from lanner.execution.engine import Engine
from lanner.pipeline import Plan
from lanner.store import Status, Watch, look_afresh, read_json

POLL_SECONDS = 0.1
ENGINE_PATIENCE_SECONDS = 60.0
SETTLE_SECONDS = 15.0
"""How long a record may stay away whose attempt's status says that it is over."""

OnState = Callable[[Plan, str], None]


def wait_for_earlier(plan: Plan, on_state: OnState, cancel: Sequence[bool]) -> None:
    """An attempt of a harness that was killed may still be at work: its result is as good as ours.

    One that nobody has claimed is claimed here, so that no engine begins it behind our back: only for whoever
    holds the run's lock, who cancels does not.
    """
    for attempt in plan.folder.attempts():
        if not cancel and not Status(attempt).claim():
            wait_for(plan, attempt, on_state, cancel)


def wait_for(plan: Plan, attempt: Path, on_state: OnState, cancel: Sequence[bool]) -> None:
    """Return once nobody works on an attempt, or when cancelled."""
    status = Status(attempt)
    watch = Watch(status)
    while watch.is_alive() and not cancel:
        seen = status.read()
        if seen is not None:
            on_state(plan, seen["state"])
        time.sleep(POLL_SECONDS)


def record_of(
    plan: Plan, attempt: Path, on_state: OnState, cancel: Sequence[bool]
) -> Mapping[str, Any] | None:
    """The record of an attempt that its engine calls over, or None where nobody will write one any more.

    Its process may outlive what the engine knows of it, where a node was cut off or has a grace period; and
    what it wrote on another machine, a shared disk may show late.
    """
    record = _own(plan, attempt)
    if record is not None:
        return record
    look_afresh(attempt)
    wait_for(plan, attempt, on_state, cancel)
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        look_afresh(plan.folder.path)
        record = _own(plan, attempt)
        over = Status(attempt).is_over  # its status is written first, then its record
        if record is not None or not over or cancel or time.monotonic() > deadline:
            return record
        time.sleep(10 * POLL_SECONDS)


def bury(plan: Plan, engine: Engine, attempt: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """End an attempt whose process left no record: stop and remove what it left behind, and say so."""
    clear(plan, engine)
    return pipeline.finish(attempt, read_json(attempt / "spec.json") or plan.spec, record)


def clear(plan: Plan, engine: Engine, cancel: Sequence[bool] = ()) -> None:
    """Stop and remove what earlier attempts left, in a folder whose lock is held and where nobody works.

    Waits a while for an engine that is being restarted.
    """
    if has_containers_here(plan, engine):
        deadline = time.monotonic() + ENGINE_PATIENCE_SECONDS
        while True:
            try:
                reaping.remove_containers_of(plan.folder.path)
                break
            except InfrastructureError:
                if cancel or time.monotonic() > deadline:
                    raise
                time.sleep(5 * POLL_SECONDS)
    elif not engine.has_own_containers:
        for attempt in plan.folder.attempts():
            _kill_processes(attempt / "output")
    reaping.empty(plan.folder.path)


def has_containers_here(plan: Plan, engine: Engine) -> bool:
    """Whether the run's containers are those of an engine this machine can ask."""
    return plan.spec["keyed"]["runner"] == "docker" and not engine.has_own_containers


def last_words(attempt: Path, ending: str) -> str:
    """Why an attempt is lost: ``ending``, what its engine said, else the last line of its log."""
    log = attempt / "exec.log"
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.is_file() else []
    last = ending or next((line for line in reversed(lines) if line.strip()), "")
    return f"lanner exec ended without a record{': ' + last.strip()[:300] if last else ''}"


def _own(plan: Plan, attempt: Path) -> Mapping[str, Any] | None:
    record = plan.folder.record()
    return record if record is not None and f"attempt-{record['attempt']}" == attempt.name else None


def _kill_processes(output: Path) -> None:
    """End what a method's plain process, or its children, still run: they are told where to write."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("LANNER_OUTPUT") == str(output.resolve()):
                process.kill()
