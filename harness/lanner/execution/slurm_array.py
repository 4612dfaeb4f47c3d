"""``slurm-array``: runs as tasks of SLURM job arrays; nothing of ours has to live on the login node.

Attempts that are submitted within a moment of one another and ask for the same resources become one array.
A job gets what the run may use and a little more for staging and checking; the run's own clock and limits
end it first, so that SLURM's kill means that something else went wrong. Docker containers lie outside the
job's cgroup: their limits are the sandbox's.
"""

from __future__ import annotations

import math
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from lanner.config import Settings
from lanner.errors import InfrastructureError
from lanner.execution.engine import ENGINES, arguments, environment
from lanner.records import Limits
from lanner.store import write_bytes

GATHER_SECONDS = 1.0
"""How long an array waits for a further attempt before it is submitted."""
POLL_SECONDS = 1.0
ARRAY_SIZE = 1000
"""SLURM's own default, less one, for the tasks of one array."""
UNLIMITED = frozenset({"UNLIMITED", "INFINITE", "NONE", "PARTITION_LIMIT", "n/a"})


@dataclass
class _Waiting:
    """An attempt that is about to be part of an array; ``ticket`` or ``problem`` is set when it is."""

    attempt: Path
    ticket: str | None = None
    problem: str | None = None


class SlurmArrayEngine:
    """Submits arrays with sbatch, asks squeue what became of them."""

    id: ClassVar[str] = "slurm-array"
    poll_seconds = POLL_SECONDS
    has_own_containers: ClassVar[bool] = False
    outlives_harness: ClassVar[bool] = True
    in_flight = ARRAY_SIZE

    def __init__(self, settings: Settings, jobs: int, configuration: Mapping[str, Any]) -> None:
        self._settings, self._jobs, self._configuration = settings, jobs, configuration
        self._folder = settings.home / "slurm"
        self._gathered: dict[Limits, list[_Waiting]] = {}
        self._changed = threading.Condition()
        self._queue: dict[str, str] = {}
        self._asked = -math.inf
        self._asking = threading.Lock()

    @classmethod
    def open(cls, settings: Settings, *, jobs: int, configuration: Mapping[str, Any]) -> Self:
        """Check that SLURM answers. ``jobs`` bounds how many tasks of an array run at a time."""
        if shutil.which("sbatch") is None:
            raise InfrastructureError(
                "sbatch is not on the PATH; submit from a login node of a SLURM cluster"
            )
        answer = _slurm("scontrol", "ping")
        if "UP" not in answer:
            raise InfrastructureError(
                f"SLURM's controller does not answer ({answer.strip()}); try again later"
            )
        return cls(settings, jobs, configuration)

    def submit(self, attempt: Path, limits: Limits, is_cancelled: Callable[[], bool]) -> SlurmTask:
        """Wait for others of the same array; InfrastructureError where SLURM would never start it."""
        self._check_time(limits)
        mine = _Waiting(attempt)
        with self._changed:
            group = self._gathered.setdefault(limits, [])
            group.append(mine)
            first = len(group) == 1
        if first:
            self._gather(group)
            with self._changed:
                del self._gathered[limits]
            self._submit(group, limits)
            with self._changed:
                self._changed.notify_all()
        with self._changed:
            while mine.ticket is None and mine.problem is None:
                self._changed.wait()
        if mine.ticket is None:
            raise InfrastructureError(str(mine.problem))
        return SlurmTask(self, mine.ticket)

    def adopt(self, ticket: str) -> SlurmTask:
        """A task that another process submitted."""
        return SlurmTask(self, ticket)

    def close(self) -> None:
        """Jobs live on without us."""

    def state(self, ticket: str) -> str | None:
        """SLURM's state of a task, None where its queue has it no more; asks at most once a second."""
        with self._asking:
            if time.monotonic() - self._asked > POLL_SECONDS:
                try:
                    lines = _slurm("squeue", "--noheader", "--array", "--format=%i %T").splitlines()
                except InfrastructureError:
                    return "UNKNOWN"  # a controller that restarts: its jobs go on
                self._queue = dict(line.split(maxsplit=1) for line in lines if line.strip())
                self._asked = time.monotonic()
            return self._queue.get(ticket)

    def ending(self, ticket: str) -> str:
        """How a task ended, as far as SLURM still remembers."""
        try:
            shown = _slurm("scontrol", "show", "job", ticket, "--oneliner")
        except InfrastructureError:
            return "the SLURM job is gone"
        found = re.search(r"JobState=(\S+) Reason=(\S+)", shown)
        return (
            f"the SLURM job {ticket} ended as {found[1]} ({found[2]})" if found else "the SLURM job is gone"
        )

    def _gather(self, group: list[_Waiting]) -> None:
        seen = 0
        while seen != len(group) and len(group) < ARRAY_SIZE:
            seen = len(group)
            time.sleep(GATHER_SECONDS)

    def _submit(self, group: list[_Waiting], limits: Limits) -> None:
        try:
            script = self._script([item.attempt for item in group], limits)
            job = _slurm("sbatch", "--parsable", str(script)).strip().partition(";")[0]
            for number, item in enumerate(group):
                item.ticket = f"{job}_{number}"
        except InfrastructureError as error:
            for item in group:
                item.problem = str(error)

    def _script(self, attempts: list[Path], limits: Limits) -> Path:
        """Write the batch script; it and its list of attempts stay until ``lanner clean``."""
        name = f"array-{time.time_ns():x}"
        options = [
            f"--job-name=lanner-{self._settings.home.name.strip('.')}",
            f"--array=0-{len(attempts) - 1}%{self._jobs}",
            f"--cpus-per-task={math.ceil(limits.cpus)}",
            f"--mem={limits.memory_mb + self._configuration.get('memory_overhead_mb', 1024)}M",
            f"--time={math.ceil(self._seconds(limits) / 60)}",
            *([f"--gres=gpu:{limits.gpus}"] if limits.gpus else []),
            *(
                f"--{key}={self._configuration[key]}"
                for key in ("partition", "account")
                if key in self._configuration
            ),
            "--output=/dev/null",
            "--no-requeue",
            "--open-mode=append",
            *self._configuration.get("options", ()),
        ]
        commands = [shlex.join([sys.executable, *arguments(self._settings, path)]) for path in attempts]
        cases = [
            f"  {number}) exec {command} >{shlex.quote(str((path / 'exec.log').resolve()))} 2>&1 ;;"
            for number, (command, path) in enumerate(zip(commands, attempts, strict=True))
        ]
        variables = [
            f"export {key}={shlex.quote(value)}"
            for key, value in environment(self._settings, self.id).items()
        ]
        lines = [
            "#!/bin/sh",
            *(f"#SBATCH {option}" for option in options),
            *variables,
            *self._configuration.get("setup", ()),
            'case "$SLURM_ARRAY_TASK_ID" in',
            *cases,
            "esac",
        ]
        path = self._folder / f"{name}.sh"
        write_bytes(path, ("\n".join(lines) + "\n").encode(), mode=0o755)
        return path

    def _seconds(self, limits: Limits) -> int:
        return limits.timeout_s + int(self._configuration.get("time_overhead_s", 120))

    def _check_time(self, limits: Limits) -> None:
        """A job longer than its partition allows would wait for ever."""
        name = self._configuration.get("partition")
        for line in _slurm(
            "scontrol", "show", "partition", *([name] if name else []), "--oneliner"
        ).splitlines():
            fields = dict(part.split("=", 1) for part in line.split() if "=" in part)
            if not name and fields.get("Default") != "YES":
                continue
            most = _seconds(fields.get("MaxTime", "UNLIMITED"))
            if most is not None and most < self._seconds(limits):
                raise InfrastructureError(
                    f"the run may take {limits.timeout_s} s and its job {self._seconds(limits)} s, but "
                    f"partition {fields['PartitionName']} ends jobs after {most} s; name another partition "
                    "in --engine-config, or lower the run's timeout_s"
                )


class SlurmTask:
    """One task of an array."""

    def __init__(self, engine: SlurmArrayEngine, ticket: str) -> None:
        self._engine, self.ticket = engine, ticket
        self._misses = 0

    def poll(self) -> str | None:
        """Over once it is absent from the queue twice, or ended there: a queue can lag behind its sbatch."""
        state = self._engine.state(self.ticket)
        over = state is None or state in (
            "COMPLETED",
            "FAILED",
            "TIMEOUT",
            "NODE_FAIL",
            "CANCELLED",
            "OUT_OF_MEMORY",
        )
        self._misses = self._misses + 1 if over else 0
        return self._engine.ending(self.ticket) if self._misses > 1 else None

    def cancel(self) -> None:
        """scancel: a task that waits is gone, one that works gets SIGTERM and ends its container."""
        _slurm("scancel", "--full", self.ticket)


def _slurm(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split())[:300]
        raise InfrastructureError(f"{command[0]} failed: {said}")
    return done.stdout


def _seconds(text: str) -> int | None:
    """A SLURM time, ``[days-]hours:minutes:seconds``, ``minutes:seconds`` or minutes; None for no limit."""
    if text in UNLIMITED:
        return None
    days, _, clock = text.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    if len(parts) == 1:
        parts = [0, parts[0], 0] if not days else [parts[0], 0, 0]
    elif len(parts) == 2:
        parts = [0, *parts] if not days else [*parts, 0]
    hours, minutes, seconds = parts
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


ENGINES.add(SlurmArrayEngine.id, SlurmArrayEngine)
