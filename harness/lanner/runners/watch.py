"""What a run uses while it goes on: its output folder, its memory and processor time (cgroup files)."""

from __future__ import annotations

import math
import os
import re
import shutil
import stat
import subprocess
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Self

from lanner.records import Limits

SCARCE_BYTES = 64 << 20
CGROUPS = Path("/sys/fs/cgroup")


def usage(root: Path, *, most_entries: float = math.inf) -> tuple[int, int]:
    """Bytes on disk and entries below ``root``, following no link.

    Counting ends with more than ``most_entries``: millions would take minutes.
    """
    total = entries = 0
    stack = [os.fspath(root)]
    while stack and entries <= most_entries:
        try:
            with os.scandir(stack.pop()) as listing:
                for entry in listing:
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue
                    total += status.st_blocks * 512
                    entries += 1
                    if entries > most_entries:
                        break
                    if stat.S_ISDIR(status.st_mode):
                        stack.append(entry.path)
        except OSError:
            continue
    return total, entries


def is_too_large(root: Path, limits: Limits) -> bool:
    """Whether ``root`` has reached the bytes, or exceeds the entries, that ``limits`` allow."""
    total, entries = usage(root, most_entries=limits.output_files)
    return total >= limits.output_mb << 20 or entries > limits.output_files


def is_disk_full(folder: Path) -> bool:
    """Whether the disk under ``folder`` has next to nothing left: a failed run may then be nobody's fault."""
    return shutil.disk_usage(folder).free < SCARCE_BYTES


class CgroupMeter:
    """Samples the cgroup of a process, version 1 or 2; fields stay None where nothing can be read.

    ``peak_bytes`` includes page cache, as the kernel charges it; ``oom_kills`` counts processes killed for
    memory.
    """

    def __init__(self, pid: int, root: Path = CGROUPS) -> None:
        self.peak_bytes: int | None = None
        self.cpu_seconds: float | None = None
        self.oom_kills = 0
        try:
            table = Path(f"/proc/{pid}/cgroup").read_text()
        except OSError:
            table = ""
        self._files = cgroup_files(table, root)

    def pids(self) -> set[int]:
        """The processes in the cgroup now."""
        try:
            listed = (self._files["peak"].parent / "cgroup.procs").read_text()
        except (KeyError, OSError):
            return set()
        return {int(pid) for pid in listed.split()}

    def sample(self) -> None:
        """Take one reading; the cgroup vanishes with its last process, so the last good one counts."""
        peak = _number(self._files.get("peak"))
        if peak is not None:
            self.peak_bytes = max(peak, self.peak_bytes or 0)
        cpu = _number(self._files.get("cpu"), r"usage_usec (\d+)|^(\d+)$")
        if cpu is not None:
            self.cpu_seconds = cpu / (1e6 if self._files["cpu"].name == "cpu.stat" else 1e9)
        self.oom_kills = _number(self._files.get("oom"), r"oom_kill (\d+)") or self.oom_kills


class GpuMeter:
    """Samples the memory a run's processes hold on GPUs, every second, on a thread of its own.

    ``peak_bytes`` stays None where there is no nvidia-smi or it does not say; ``why_unknown`` then says why.
    ``pids`` returns the run's processes, as the host numbers them.
    """

    def __init__(self, pids: Callable[[], Collection[int]]) -> None:
        self.peak_bytes: int | None = None
        self._pids, self._program = pids, shutil.which("nvidia-smi")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def why_unknown(self) -> str | None:
        """Why there is no peak; None where there is one."""
        if self.peak_bytes is not None:
            return None
        return (
            "nvidia-smi listed none of the run's processes"
            if self._program
            else "nvidia-smi is not installed"
        )

    def __enter__(self) -> Self:
        if self._program:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=10)

    def _watch(self) -> None:
        command = [
            str(self._program),
            "--query-compute-apps=pid,used_gpu_memory",
            "--format=csv,noheader,nounits",
        ]
        while not self._ended.is_set():
            try:
                listing = subprocess.run(
                    command, capture_output=True, text=True, timeout=10, check=True
                ).stdout
            except (OSError, subprocess.SubprocessError):
                return
            held = gpu_bytes(listing, self._pids())
            if held is not None:
                self.peak_bytes = max(held, self.peak_bytes or 0)
            self._ended.wait(1.0)


def gpu_bytes(listing: str, pids: Collection[int]) -> int | None:
    """Bytes on all GPUs held by ``pids``, from nvidia-smi's ``pid, MiB`` lines; None where none is listed."""
    held = [
        int(memory) << 20
        for pid, _, memory in (line.replace(" ", "").partition(",") for line in listing.splitlines())
        if pid.isdigit() and int(pid) in pids and memory.isdigit()  # "[N/A]" where the driver does not tell
    ]
    return sum(held) if held else None


def cgroup_files(table: str, root: Path) -> dict[str, Path]:
    """Where the cgroup named in ``table`` (``/proc/<pid>/cgroup``) keeps its numbers below ``root``.

    Keys ``peak``, ``cpu``, ``oom``; empty for a process in the root cgroup, whose numbers are the machine's.
    """
    paths = {}
    for line in table.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path.lstrip("/")
    if not paths.get("memory", paths.get("")):
        return {}
    if "memory" in paths:
        memory = root / "memory" / paths["memory"]
        return {
            "peak": memory / "memory.max_usage_in_bytes",
            "cpu": root / "cpuacct" / paths.get("cpuacct", "") / "cpuacct.usage",
            "oom": memory / "memory.oom_control",
        }
    group = root / paths[""]
    return {"peak": group / "memory.peak", "cpu": group / "cpu.stat", "oom": group / "memory.events"}


def _number(file: Path | None, pattern: str = r"^(\d+)$") -> int | None:
    if file is None:
        return None
    try:
        match = re.search(pattern, file.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(next(group for group in match.groups() if group)) if match else None
