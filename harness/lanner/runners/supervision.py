"""One started container, watched until it ends or must, also across an engine that goes away meanwhile."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from docker import DockerClient
from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container
from requests.exceptions import RequestException

from lanner.errors import ErrorClass, InfrastructureError
from lanner.records import Limits
from lanner.runners.outcome import Ending
from lanner.runners.watch import CgroupMeter, GpuMeter, is_too_large

SHORTEST_POLL_S, LONGEST_POLL_S = 0.02, 0.2
NOT_ENDED = frozenset({"created", "configured", "initialized", "running", "restarting", "paused", "removing"})

ERRORS = 5
"""How often in a row an engine may answer with an error before it counts as gone."""

ENGINE_PATIENCE_S = 60.0
"""How long an engine that stopped answering may take to come back: a restart ends containers slowly."""


class Supervised:
    """One container: ``to_the_end`` starts it and returns how it ended; the rest can be asked afterwards."""

    def __init__(self, client: DockerClient, container: Container, output_dir: Path, limits: Limits) -> None:
        self._client, self._container = client, container
        self._output_dir, self._limits = output_dir, limits
        self.meter: CgroupMeter | None = None
        self.gpu: GpuMeter | None = None
        self.wall_seconds = 0.0
        self._engine_went_away = False

    def to_the_end(self) -> Ending:
        """Start and watch; an APIError means it never started, InfrastructureError that the engine failed."""
        if not self._limits.gpus:
            return self._watch()
        with GpuMeter(lambda: self.meter.pids() if self.meter else ()) as self.gpu:
            return self._watch()

    def _watch(self) -> Ending:
        self._container.start()  # an APIError here means: never started
        began = time.monotonic()
        # Polling, not wait(timeout=), whose errors are not those documented; the watcher needs a beat anyway.
        killed_for, pause = None, SHORTEST_POLL_S
        while self._alive():
            if self.meter:
                self.meter.sample()
            killed_for = self._reason_to_kill(time.monotonic() - began)
            if killed_for:
                self._kill()
                break
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_POLL_S)
        self.wall_seconds = time.monotonic() - began
        if self._engine_went_away and killed_for is None:
            # It may have been ended with the engine, or by itself: nobody can tell, so nobody is charged.
            raise InfrastructureError("the container engine was restarted while the method ran")
        state = self._container.attrs["State"]
        oom = bool(state.get("OOMKilled")) or bool(self.meter and self.meter.oom_kills)
        outside = killed_for is None and not oom and state["ExitCode"] > 128 and self._was_killed_outside()
        return Ending(
            exit_code=state["ExitCode"],
            killed_for=killed_for,
            killed_outside=outside,
            oom_flag=oom,
            output_too_large=is_too_large(self._output_dir, self._limits),
            engine_error=state.get("Error") or "",
        )

    def _alive(self) -> bool:
        try:
            self._reload()
        except NotFound:
            raise InfrastructureError("the container was removed by somebody else") from None
        except (DockerException, RequestException):
            self._wait_for_the_engine()
        state = self._container.attrs["State"]
        if self.meter is None and state.get("Pid"):
            self.meter = CgroupMeter(int(state["Pid"]))
        return self._container.status in NOT_ENDED

    def _reload(self) -> None:
        """Ask for the container's state; an engine that answers with an error, as podman may in the instant
        in which a container ends, has not gone away."""
        for _ in range(ERRORS):
            try:
                self._container.reload()
            except NotFound:
                raise
            except APIError:
                time.sleep(LONGEST_POLL_S)
            else:
                return
        self._container.reload()

    def _wait_for_the_engine(self) -> None:
        """Until it answers again; then the container may run on (live-restore) or have been ended with it."""
        self._engine_went_away = True
        deadline = time.monotonic() + ENGINE_PATIENCE_S
        while time.monotonic() < deadline:
            time.sleep(LONGEST_POLL_S)
            with suppress(DockerException, RequestException):
                self._container.reload()
                return
        if self.meter:  # without an engine to ask, the kernel still listens
            for pid in self.meter.pids():
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        raise InfrastructureError(
            "the container engine went away while the method ran and did not come back within "
            f"{ENGINE_PATIENCE_S:g} s; start it and build again"
        )

    def _reason_to_kill(self, elapsed: float) -> ErrorClass | None:
        if elapsed > self._limits.timeout_s:
            return ErrorClass.TIMEOUT
        if is_too_large(self._output_dir, self._limits):
            return ErrorClass.OUTPUT_TOO_LARGE
        return None

    def _kill(self) -> None:
        with suppress(APIError):  # it may have ended by itself a moment ago
            self._container.kill()
        deadline = time.monotonic() + 30
        while self._alive() and time.monotonic() < deadline:
            time.sleep(SHORTEST_POLL_S)

    def _was_killed_outside(self) -> bool:
        """Whether the engine was told to kill it, by others: a method that kills itself leaves no such event.

        Asked for by the engine's own clock, from the container's making to just after its end.
        """
        attrs: dict[str, Any] = self._container.attrs
        with suppress(APIError, ValueError, KeyError):
            events = self._client.events(
                since=_seconds(attrs["Created"]) - 1,
                until=_seconds(attrs["State"]["FinishedAt"]) + 1,
                filters={"container": self._container.id, "event": "kill"},
                decode=True,
            )
            return any(True for _ in events)
        return False


def _seconds(stamp: str) -> int:
    """Whole seconds since the epoch of the engine's ``2026-01-31T12:00:00.123456789Z``."""
    return int(datetime.fromisoformat(stamp[:19] + "+00:00").timestamp())
