"""Runs, brought to a terminal record by whatever engine places them.

An engine only places ``lanner exec`` (design.md, "Runs"); it never owns the container. What a killed
harness left behind is found by the attempt's status and lease: an attempt that still lives is waited for,
a dead one is recorded as lost, its container removed, and the run is tried again.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from lanner import interruption, pipeline, reaping
from lanner.config import Settings
from lanner.errors import LannerError
from lanner.execution import burial
from lanner.execution.burial import POLL_SECONDS, OnState
from lanner.execution.engine import ENGINES, PLACED, Engine, Placed, open_engine
from lanner.pipeline import Plan
from lanner.records import Limits, State
from lanner.registry import import_all
from lanner.store import Status, disk_error, read_json, write_json

__all__ = ["ENGINES", "Engine", "complete", "open_engine"]

STATUS_SECONDS = 0.004
"""How often states are read for the display, times the attempts in flight: 250 reads a second of the shared
store at most, however many workers there are."""
OnRecord = Callable[[Plan, dict[str, Any]], None]


def complete(
    plans: Sequence[Plan],
    settings: Settings,
    engine: Engine,
    *,
    detach: bool = False,
    on_state: OnState = lambda plan, state: None,
    on_record: OnRecord = lambda plan, record: None,
) -> None:
    """Bring every plan to a terminal record, by attempts that ``engine`` places.

    ``on_record`` is called in this thread, as runs end. One run's failure stops nothing, nor does a run that
    the engine cannot place: it fails as the platform's. On KeyboardInterrupt running attempts are cancelled,
    their containers removed, and it is raised again. What killed harnesses left in this LANNER_HOME is
    removed, before and after. ``detach``: return once all attempts are placed; a later call finds them.
    """
    interruption.check()
    with_containers = any(burial.has_containers_here(plan, engine) for plan in plans)
    reaping.sweep(settings.home)
    if with_containers:
        reaping.remove_orphans(settings.home)
    threads = max(1, min(engine.in_flight, len(plans)))
    pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="lanner-exec")
    cancel: list[bool] = []
    try:
        futures = {pool.submit(_run_one, plan, engine, detach, on_state, cancel): plan for plan in plans}
        for future in as_completed(futures):
            record = future.result()
            interruption.check()
            if record is not None:
                on_record(futures[future], record)
    except BaseException:
        cancel.append(True)
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        if with_containers:
            reaping.remove_orphans(settings.home)


def _run_one(
    plan: Plan, engine: Engine, detach: bool, on_state: OnState, cancel: Sequence[bool]
) -> dict[str, Any] | None:
    with _sole(plan.folder.path, cancel):
        placed = _placed_before(plan, engine)
        if placed is None:
            burial.wait_for_earlier(plan, on_state, cancel)
        if cancel or plan.folder.reason_to_run() is None:
            return plan.folder.record()
        try:
            placed = placed or _place(plan, engine, cancel)
        except _UnplacedError as error:
            return burial.bury(plan, engine, plan.folder.attempts()[-1], pipeline.unplaced(str(error)))
        attempt = plan.folder.attempts()[-1]
        on_state(plan, State.QUEUED)
        if detach:
            return None
        ending = _follow(plan, attempt, placed, engine, on_state, cancel)
        record = burial.record_of(plan, attempt, on_state, cancel)
        if record is None:
            record = pipeline.cancelled() if cancel else pipeline.lost(burial.last_words(attempt, ending))
            record = burial.bury(plan, engine, attempt, record)
        return dict(record)


class _UnplacedError(Exception):
    """The engine would not take an attempt."""


def _place(plan: Plan, engine: Engine, cancel: Sequence[bool]) -> Placed:
    """A new attempt, given to the engine; _UnplacedError where it would not have it."""
    if plan.folder.attempts():
        burial.clear(plan, engine, cancel)
    for attempt in plan.folder.attempts():
        if not _is_terminal(attempt):
            lost = pipeline.lost("the process that ran this attempt was killed")
            burial.bury(plan, engine, attempt, lost)
    attempt = plan.folder.new_attempt(plan.spec)
    limits = Limits(**plan.spec["keyed"]["limits"])
    try:
        placed = engine.submit(attempt, limits, lambda: bool(cancel))
    except (LannerError, OSError) as error:  # of this run alone: the others go on
        raise _UnplacedError(str(error)) from None
    known = {"engine": engine.id, "ticket": placed.ticket, "outlives_harness": engine.outlives_harness}
    write_json(attempt / PLACED, known)
    return placed


def _placed_before(plan: Plan, engine: Engine) -> Placed | None:
    """The last attempt, where an earlier call gave it to an engine of this kind and it has not ended."""
    for attempt in plan.folder.attempts()[-1:]:
        known = read_json(attempt / PLACED)
        if known is not None and known["engine"] == engine.id and not _is_terminal(attempt):
            return engine.adopt(known["ticket"])
    return None


def _follow(
    plan: Plan, attempt: Path, placed: Placed, engine: Engine, on_state: OnState, cancel: Sequence[bool]
) -> str:
    """Report the attempt's states until the engine says it is over; ask it to stop when cancelled."""
    status, state, asked, looked = Status(attempt), "", False, -math.inf
    while True:
        ending = placed.poll()
        if ending is not None or time.monotonic() - looked >= STATUS_SECONDS * engine.in_flight:
            looked = time.monotonic()
            seen = status.read()
            if seen is not None and seen["state"] != state:
                state = seen["state"]
                on_state(plan, state)
        if ending is not None:
            return ending
        if cancel and not asked:
            status.request_cancel()
            placed.cancel()
            asked = True
        time.sleep(engine.poll_seconds)


@contextlib.contextmanager
def _sole(folder: Path, cancel: Sequence[bool]) -> Iterator[None]:
    """Hold a run's lock: two harnesses on one folder never run one key at the same time.

    Waits for another harness to let go of it, unless cancelled meanwhile.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise disk_error(f"{folder} cannot be written", error) from None
    try:
        while not cancel:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(POLL_SECONDS)
        yield
    finally:
        os.close(handle)


def _is_terminal(attempt: Path) -> bool:
    return Status(attempt).is_over


import_all(sys.modules[__name__])
