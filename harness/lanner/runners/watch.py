"""What a run uses while it goes on: its output folder, its memory and processor time (cgroup files)."""

from __future__ import annotations

import os
import re
import shutil
import stat
from pathlib import Path

from lanner.records import Limits

SCARCE_BYTES = 64 << 20
CGROUPS = Path("/sys/fs/cgroup")


def usage(root: Path) -> tuple[int, int]:
    """Bytes on disk and entries below ``root``, following no link."""
    total = entries = 0
    stack = [os.fspath(root)]
    while stack:
        try:
            with os.scandir(stack.pop()) as listing:
                for entry in listing:
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue
                    total += status.st_blocks * 512
                    entries += 1
                    if stat.S_ISDIR(status.st_mode):
                        stack.append(entry.path)
        except OSError:
            continue
    return total, entries


def is_too_large(root: Path, limits: Limits) -> bool:
    """Whether ``root`` has reached the bytes, or exceeds the entries, that ``limits`` allow."""
    total, entries = usage(root)
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

    def sample(self) -> None:
        """Take one reading; the cgroup vanishes with its last process, so the last good one counts."""
        peak = _number(self._files.get("peak"))
        if peak is not None:
            self.peak_bytes = max(peak, self.peak_bytes or 0)
        cpu = _number(self._files.get("cpu"), r"usage_usec (\d+)|^(\d+)$")
        if cpu is not None:
            self.cpu_seconds = cpu / (1e6 if self._files["cpu"].name == "cpu.stat" else 1e9)
        self.oom_kills = _number(self._files.get("oom"), r"oom_kill (\d+)") or self.oom_kills


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
