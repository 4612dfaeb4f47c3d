"""Which process works on something, told apart from every other that ever had, or will have, its number.

A number alone is reused; a start time on the wall clock moves when somebody sets the clock. The boot's id
and the start in ticks since boot do neither. A number counts in one pid namespace only: in another container
of the same machine it is another process's.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import psutil

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PROC_SELF = Path("/proc/self")
PID_NAMESPACE = PROC_SELF / "ns" / "pid"
TOKEN = re.compile(r"^p(\d+)-(\d+)-([0-9a-f]{8})(?:-(\d+))?$")
"""The last part, of the pid namespace, is missing in names from before it was kept."""


@cache
def boot_id() -> str:
    """Names this boot of this machine; on systems that do not tell, the time of the boot."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return f"{int(psutil.boot_time()):x}".zfill(8)


def started(pid: int) -> int | None:
    """When the process started, in clock ticks since boot (elsewhere than on Linux, seconds); None if gone.

    A process that has ended but was never waited for is gone: where process 1 reaps nobody, it stays so
    for ever.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return _started_elsewhere(pid) if not Path("/proc/self/stat").exists() else None
    return None if fields[0] in "ZX" else int(fields[19])


def _started_elsewhere(pid: int) -> int | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else int(process.create_time())
    except psutil.NoSuchProcess:
        return None


def this_process() -> dict[str, Any]:
    """What a record keeps of who wrote it."""
    pid = os.getpid()
    return {
        "host": socket.gethostname(),
        "boot": boot_id(),
        "pid_namespace": _pid_namespace(),
        "pid": pid,
        "pid_started": started(pid),
    }


def is_running(owner: Mapping[str, Any]) -> bool | None:
    """Whether that process still runs; None where only its own boot and pid namespace can know.

    Another boot of the same name is not called dead: machines and containers may share a name.
    """
    here = (socket.gethostname(), boot_id(), _pid_namespace())
    if None in here or here != tuple(owner.get(name) for name in ("host", "boot", "pid_namespace")):
        return None
    return owner["pid_started"] is not None and started(int(owner["pid"])) == owner["pid_started"]


def written() -> str:
    """``this_process`` as one line, for a label; see ``is_written_by_the_dead``."""
    return json.dumps(this_process())


def is_written_by_the_dead(text: str) -> bool:
    """Whether the process that wrote a container's label has ended; False also where that cannot be told.

    A label of this machine from before it was started anew is of the dead: so is its container.
    """
    try:
        owner = json.loads(text)
        if owner["host"] == socket.gethostname() and owner["boot"] != boot_id():
            return True
        return is_running(owner) is False
    except (KeyError, TypeError, ValueError):
        return False


def token() -> str:
    """A part for names of temporary files that says whose they are; see ``is_abandoned``."""
    pid, namespace = os.getpid(), _pid_namespace()
    return f"p{pid}-{started(pid)}-{boot_id()[:8]}{'' if namespace is None else f'-{namespace}'}"


def is_abandoned(name: str) -> bool | None:
    """Whether the process that named a temporary file has ended; None where that cannot be told.

    Parts of a name are separated by dots. Names without a token, and those of another boot, machine or pid
    namespace, tell nothing.
    """
    for part in name.split("."):
        found = TOKEN.match(part)
        if found:
            pid, start, boot, namespace = found.groups()
            if (boot, namespace) != (boot_id()[:8], str(_pid_namespace())):
                return None
            return started(int(pid)) != int(start)
    return None


def _pid_namespace() -> int | None:
    """Names the namespace that this process's pid belongs to; 0 on systems that have none.

    None where /proc shows the processes of another one, in which numbers tell nothing. Not remembered: a
    child may be in another.
    """
    try:
        namespace = PID_NAMESPACE.stat().st_ino
        return namespace if PROC_SELF.readlink().name == str(os.getpid()) else None
    except OSError:
        return 0
