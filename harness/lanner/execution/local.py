"""``local``: processes of this machine, bounded by the CPUs, memory and GPUs that runs ask for."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import psutil

from lanner.config import Settings
from lanner.errors import InfrastructureError
from lanner.execution.engine import ENGINES, arguments
from lanner.records import Limits
from lanner.runners import gpus

ROOM_SECONDS = 0.05


class LocalEngine:
    """At most ``jobs`` processes, and of those only as many as fit the machine together.

    A run that asks for more than the machine has runs alone: its container's limits then hold it, not ours.
    """

    id: ClassVar[str] = "local"
    has_own_containers: ClassVar[bool] = False
    outlives_harness: ClassVar[bool] = False
    poll_seconds = 0.1

    def __init__(self, settings: Settings, jobs: int) -> None:
        self._settings = settings
        self.in_flight = jobs
        self._cpus = len(os.sched_getaffinity(0))
        self._memory_mb = psutil.virtual_memory().total >> 20
        self._gpus: int | None = None
        self._running: list[Limits] = []
        self._waiting: list[object] = []
        self._changed = threading.Condition()

    @classmethod
    def open(cls, settings: Settings, *, jobs: int, configuration: Mapping[str, Any]) -> Self:
        """Nothing to start."""
        return cls(settings, jobs)

    def submit(self, attempt: Path, limits: Limits, is_cancelled: Callable[[], bool]) -> LocalProcess:
        """Wait for room, then start the process. Who came first is served first: a large run would wait for
        ever while small ones took every gap.
        """
        turn = object()
        with self._changed:
            self._waiting.append(turn)
            while not (self._waiting[0] is turn and self._fits(limits)) and not is_cancelled():
                self._changed.wait(ROOM_SECONDS)
            self._waiting.remove(turn)
            self._running.append(limits)
            self._changed.notify_all()
        try:
            with (attempt / "exec.log").open("wb") as log:
                process = subprocess.Popen(
                    [sys.executable, *arguments(self._settings, attempt)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={
                        **os.environ,
                        "LANNER_HOME": str(self._settings.home),
                        "LANNER_PARENT": str(os.getpid()),
                    },
                    start_new_session=True,  # Ctrl-C reaches the harness only, which then ends its attempts
                )
        except OSError as error:
            self._left(limits)
            raise InfrastructureError(f"lanner exec cannot be started: {error.strerror}") from None
        return LocalProcess(process, lambda: self._left(limits))

    def adopt(self, ticket: str) -> None:
        """Local attempts end with their harness."""

    def close(self) -> None:
        """Nothing to stop."""

    def _fits(self, limits: Limits) -> bool:
        together = [*self._running, limits]
        return len(together) == 1 or (
            sum(each.cpus for each in together) <= max(self._cpus, self.in_flight)
            and sum(each.memory_mb for each in together) <= self._memory_mb
            and self._has_gpus(limits, sum(each.gpus for each in together))
        )

    def _has_gpus(self, limits: Limits, together: int) -> bool:
        """Whether none would wait for a lease; a run that asks for more than there are is told so at once."""
        if limits.gpus == 0:
            return True
        if self._gpus is None:
            self._gpus = len(gpus.devices())
        return limits.gpus > self._gpus or together <= self._gpus

    def _left(self, limits: Limits) -> None:
        with self._changed:
            self._running.remove(limits)
            self._changed.notify_all()


class LocalProcess:
    """One ``lanner exec`` of this machine."""

    def __init__(self, process: subprocess.Popen[bytes], left: Callable[[], None]) -> None:
        self._process, self._left = process, left
        self._is_over = False
        self.ticket = str(process.pid)

    def poll(self) -> str | None:
        """Whether the process has ended."""
        if self._process.poll() is None:
            return None
        if not self._is_over:
            self._is_over = True
            self._left()
        return ""

    def cancel(self) -> None:
        """SIGTERM, on which ``exec`` ends its container and its record."""
        self._process.terminate()


ENGINES.add(LocalEngine.id, LocalEngine)
