"""CPU seconds of the harness for each thing the model charges it with; load beside it hardly shows there."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from benchmarks.scale import sleepers

ASKING = 500
"""Attempts in flight while the cost of asking after them is measured."""


def measured(n: int = 100) -> dict[str, float]:
    """Seconds of CPU to name and look up a run, to place one, to ask after one once, to take its end.

    Placing is what is the same for every engine: the lock, the attempt's folder, its spec, and what says who
    has it. Asking is a thread that wakes and looks at a future, as those of Dask are.
    """
    from lanner import execution
    from lanner.store import Status, read_json, write_json

    with tempfile.TemporaryDirectory(prefix="lanner-harness-") as temporary:
        settings = sleepers.settings_in(Path(temporary).resolve())
        sleepers.plans(settings, [1.0])
        began = time.process_time()
        plans = sleepers.plans(settings, [1.0] * n, first_seed=1)
        reasons = [plan.folder.reason_to_run() for plan in plans]
        name = (time.process_time() - began) / n
        if set(reasons) != {"never run"}:
            raise SystemExit("a run that was just named is not new")

        def place(i: int) -> None:
            with execution._sole(plans[i].folder.path, []):
                attempt = plans[i].folder.new_attempt(plans[i].spec)
                write_json(attempt / execution.PLACED, {"engine": "none", "ticket": str(i)})

        def end(i: int) -> None:
            plans[i].folder.record()
            read_json(plans[i].folder.path / "attempt-1" / "spec.json")
            Status(plans[i].folder.path / "attempt-1").read()

        return {"name": name, "place": _each(place, n), "record": _each(end, n), "poll": _asking()}


def _each(action: Callable[[int], None], n: int) -> float:
    began = time.process_time()
    for i in range(n):
        action(i)
    return (time.process_time() - began) / n


def _asking(seconds: float = 3.0, poll_seconds: float = 0.2) -> float:
    """CPU of one waking, with ASKING threads that wake each ``poll_seconds``."""
    future: Future[None] = Future()
    asked = [0] * ASKING
    over = threading.Event()

    def follow(i: int) -> None:
        while not over.is_set():
            asked[i] += future.done() or 1
            time.sleep(poll_seconds)

    threads = [threading.Thread(target=follow, args=(i,)) for i in range(ASKING)]
    for thread in threads:
        thread.start()
    before, begun = sum(asked), time.process_time()
    time.sleep(seconds)
    cost = (time.process_time() - begun) / max(sum(asked) - before, 1)
    over.set()
    for thread in threads:
        thread.join()
    return cost
