"""Run bundled methods as plain processes, where there is no container engine: limits, but no sandbox.

A process can read whatever its user can, the sealed truth included, so only the methods that ship with
Lanner are accepted; their runs are labelled ``unsealed`` and never reused as container runs.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import psutil

from lanner.errors import ErrorClass, InfrastructureError
from lanner.methods import Method, folder_files, is_bundled
from lanner.records import Limits, Outcome
from lanner.runners import RUNNERS
from lanner.runners.outcome import Ending, classify, last_line
from lanner.runners.policy import LOG_BYTES, method_environment
from lanner.runners.scratch import scratch_folder
from lanner.runners.watch import is_disk_full, is_too_large, usage

SHORTEST_POLL_S, LONGEST_POLL_S = 0.02, 0.2
SPARE_ADDRESS_SPACE_MB = 16 << 10
"""Numerical libraries reserve far more than they use; resident memory is what the watcher bounds."""

# A shell sets the limits: a preexec_fn could deadlock in a harness that has threads. Blocks of 512 bytes.
LIMIT_THEN_RUN = 'ulimit -c 0; ulimit -f "$1"; ulimit -v "$2" 2>/dev/null; shift 2; exec "$@"'


class ProcessRunner:
    """Runs each method in a process group of its own, in a fresh copy of its folder.

    ``trust=True`` accepts any method, with the rights of whoever runs the harness.
    """

    kind = "process"

    def __init__(self, *, trust: bool = False) -> None:
        self._trust = trust

    def accepts(self, method: Method) -> bool:
        """Whether ``run`` starts the method: a bundled Python program, or any with ``trust``."""
        return method.folder is not None and (self._trust or _is_acceptable(method))

    def prepare(self, method: Method) -> Mapping[str, Any]:
        """Nothing to prepare; returns provenance."""
        return {
            "runner": self.kind,
            "unsealed": True,
            "trusted": self._trust and not _is_acceptable(method),
            "python": sys.version.split()[0],
        }

    def run(
        self,
        method: Method,
        *,
        input_dir: Path,
        output_dir: Path,
        log_dir: Path,
        environment: Mapping[str, str],
        limits: Limits,
        labels: Mapping[str, str],
    ) -> Outcome:
        """Run the method once; see ``Runner.run``. NOT_APPLICABLE when it needs a container."""
        provenance = self.prepare(method)
        if method.folder is None or not self.accepts(method):
            return Outcome(
                error_class=ErrorClass.NOT_APPLICABLE,
                exit_code=None,
                message="needs a container: only bundled Python methods run as processes "
                "(--trust-process overrides)",
                provenance=provenance,
            )
        output_dir.mkdir(parents=True, exist_ok=True)
        log_dir.mkdir(parents=True, exist_ok=True)
        with scratch_folder() as scratch:
            here = _copy(method.folder, scratch / "method")
            home = scratch / "home"
            home.mkdir()
            variables = {
                **environment,
                **method_environment(limits, home=str(home), method_dir=str(here)),
                "LANNER_INPUT": str(input_dir.resolve()),
                "LANNER_OUTPUT": str(output_dir.resolve()),
                "PATH": os.pathsep.join(
                    (str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin")
                ),
                "LANG": "C.UTF-8",
            }
            process = SupervisedProcess(_argv(method.command), here, variables, log_dir, output_dir, limits)
            ending = process.to_the_end()
        ending = replace(
            ending, stderr_line=last_line(log_dir / "stderr.log"), disk_full=is_disk_full(output_dir)
        )
        error_class, message = classify(ending)
        # As a container would have said it: temporary paths would make two builds of one run differ.
        for real, name in ((here, "/method"), (home, "/tmp"), (input_dir, "/input"), (output_dir, "/output")):
            message = message.replace(str(real.resolve()), name).replace(str(real), name)
        measured = {
            **process.usage,
            "peak_gpu_memory_mb": None,
            "output_mb": usage(output_dir)[0] / (1 << 20),
        }
        return Outcome(
            error_class=error_class,
            exit_code=ending.exit_code,
            message=message,
            usage=measured,
            provenance=provenance,
        )


class SupervisedProcess:
    """One process group, watched until it ends or must."""

    def __init__(
        self,
        argv: Sequence[str],
        cwd: Path,
        environment: Mapping[str, str],
        log_dir: Path,
        output_dir: Path,
        limits: Limits,
    ) -> None:
        self._output_dir, self._limits = output_dir, limits
        self.usage: dict[str, float | None] = {}
        self._began = time.monotonic()
        blocks, space = resource_limits(limits)
        try:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", LIMIT_THEN_RUN, "sh", blocks, space, *argv],
                cwd=cwd,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise InfrastructureError(f"no process can be started: {error.strerror}; check /bin/sh") from None
        self._pumps = [
            _pump(stream, log_dir / name)
            for stream, name in ((self._process.stdout, "stdout.log"), (self._process.stderr, "stderr.log"))
        ]

    def to_the_end(self) -> Ending:
        """Watch it to its end, or end it; nothing of its group is left."""
        try:
            killed_for = self._watch()
        finally:
            self._kill()  # also what the method left running in its group
            if self._process.returncode is None:
                self._process.wait()
        for pump in self._pumps:
            pump.join(timeout=5)
        code = self._process.returncode
        return Ending(
            exit_code=code if code >= 0 else 128 - code,
            killed_for=killed_for,
            output_too_large=is_too_large(self._output_dir, self._limits),
        )

    def _watch(self) -> ErrorClass | None:
        """Wait for the end, or bring it about; returns the harness's own reason, if it had one."""
        peak, killed_for, pause = 0, None, SHORTEST_POLL_S
        while True:
            pid, status, used = os.wait4(self._process.pid, os.WNOHANG)
            if pid:
                break
            resident = _resident(self._process.pid)
            peak = max(peak, resident)
            killed_for = killed_for or self._reason_to_kill(resident)
            if killed_for:
                self._kill()
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_POLL_S)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self.usage = {
            "wall_seconds": time.monotonic() - self._began,
            "cpu_seconds": used.ru_utime + used.ru_stime,
            "peak_memory_mb": max(peak, used.ru_maxrss * _MAXRSS_UNIT) / (1 << 20),
        }
        return killed_for

    def _reason_to_kill(self, resident: int) -> ErrorClass | None:
        if time.monotonic() - self._began > self._limits.timeout_s:
            return ErrorClass.TIMEOUT
        if resident > self._limits.memory_mb << 20:
            return ErrorClass.OOM
        if is_too_large(self._output_dir, self._limits):
            return ErrorClass.OUTPUT_TOO_LARGE
        return None

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


def resource_limits(limits: Limits) -> tuple[str, str]:
    """Of ``ulimit``: -f, the largest file, in blocks of 512 bytes, and -v, address space, in KiB.

    The scratch folder holds files as well as the output does. CUDA maps the memory of every GPU and of the
    host at once, many times what any run is granted: with a GPU only what is resident counts.
    """
    largest = max(limits.output_mb, limits.tmp_mb)
    space = str((4 * limits.memory_mb + SPARE_ADDRESS_SPACE_MB) << 10) if limits.gpus == 0 else "unlimited"
    return str((largest << 20) // 512), space


_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


def _is_acceptable(method: Method) -> bool:
    return is_bundled(method) and method.command[0].startswith("python")


def _argv(command: Sequence[str]) -> list[str]:
    program = sys.executable if command[0].startswith("python") else command[0]
    return [program, *command[1:]]


def _copy(folder: Path, target: Path) -> Path:
    """A copy of the method's files to run in: what it writes beside its program is gone with the run."""
    for path in folder_files(folder):
        copy = target / path.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return target


def _resident(pid: int) -> int:
    """Resident bytes of the process and its descendants."""
    try:
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return 0
    total = 0
    for process in family:
        try:
            total += process.memory_info().rss
        except psutil.Error:
            continue
    return total


def _pump(stream: IO[bytes] | None, log: Path) -> threading.Thread:
    """Copy ``stream`` to ``log``: the first and last half of LOG_BYTES at most."""
    assert stream is not None

    def copy() -> None:
        room, left_out = LOG_BYTES // 2, 0
        tail: deque[bytes] = deque()
        held = 0
        with stream, log.open("wb") as out:
            while piece := os.read(stream.fileno(), 1 << 16):
                if room > 0:
                    out.write(piece)
                    out.flush()
                    room -= len(piece)
                    continue
                tail.append(piece)
                held += len(piece)
                while held > LOG_BYTES // 2:
                    dropped = len(tail.popleft())
                    held, left_out = held - dropped, left_out + dropped
            if left_out:
                out.write(f"\n[{left_out:,} bytes left out]\n".encode())
            out.writelines(tail)

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    return thread


RUNNERS.add("process", ProcessRunner)
