"""GPUs of this machine, and who holds which: one method at a time on each, by the device's own id.

A lease is a lock on a file per device. The kernel lets go of it when its holder dies, however that was;
what the holder's container still does on the device is ended by whoever takes the lease next.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from lanner.errors import InfrastructureError

PAUSE_S = 0.2
LONGEST_HOLDER = 200


def devices() -> tuple[str, ...]:
    """Ids of the GPUs that this harness may give to methods; none where no driver answers."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    command = [program, "--query-gpu=index,uuid", "--format=csv,noheader"]
    try:
        listing = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return permitted(listing, os.environ.get("CUDA_VISIBLE_DEVICES"))


def permitted(listing: str, visible: str | None) -> tuple[str, ...]:
    """Ids of nvidia-smi's ``index, uuid`` lines that ``visible`` (CUDA_VISIBLE_DEVICES) leaves, in its order.

    A batch system grants devices by that variable; it may name them by index, by id or by the start of
    one, and ends at the first it has no device for. Parts of a device (``MIG-...``) pass as they are.
    """
    by_index = dict(
        line.replace(" ", "").split(",", 1)
        for line in listing.splitlines()
        if line.count(",") == 1 and "GPU-" in line
    )
    if visible is None:
        return tuple(by_index.values())
    chosen: list[str] = []
    for name in filter(None, visible.replace(" ", "").split(",")):
        whole = [uuid for uuid in by_index.values() if uuid.startswith(name)]
        found = name if name.startswith("MIG-") else by_index.get(name) or (whole[0] if whole else None)
        if found is None:
            break
        chosen.append(found)
    return tuple(dict.fromkeys(chosen))


@contextmanager
def lease(
    count: int,
    holder: str,
    *,
    reap: Callable[[str], object],
    available: Callable[[], Sequence[str]] = devices,
    folder: Path | None = None,
) -> Iterator[tuple[str, ...]]:
    """Hold ``count`` devices, all or none at a time, waiting for them; yields their ids.

    ``holder`` names what will use them, a container. ``reap`` is called with the name that a holder left
    who died, and must end it; its error is raised here. Raises InfrastructureError where the machine has
    fewer devices.
    """
    if count == 0:
        yield ()
        return
    names = available()
    if count > len(names):
        found = f"{len(names)} that it may use" if names else "none: nvidia-smi lists no device"
        raise InfrastructureError(
            f"the method asks for {count} GPU{'s' if count > 1 else ''} and this machine has {found}; run it "
            "elsewhere, or lower gpus in method.yaml or the leaderboard's limits"
        )
    held: dict[str, int] = {}
    try:
        while not held:
            held = _take(count, names, folder or _lock_folder(), reap)
            if not held:
                time.sleep(PAUSE_S)
        for handle in held.values():
            os.pwrite(handle, holder.encode(), 0)
        yield tuple(held)
        for handle in held.values():  # not after an error: the container may still be there
            os.ftruncate(handle, 0)
    finally:
        for handle in held.values():
            os.close(handle)


def _take(count: int, names: Sequence[str], folder: Path, reap: Callable[[str], object]) -> dict[str, int]:
    """Descriptors of ``count`` locked files by device; none where fewer are free."""
    held: dict[str, int] = {}
    try:
        for name in names:
            handle = _open(folder / f"{name}.lock")
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                continue
            held[name] = handle
            left = os.pread(handle, LONGEST_HOLDER, 0).decode("ascii", "replace")
            if left:
                reap(left)
                os.ftruncate(handle, 0)
            if len(held) == count:
                return held
    except BaseException:
        _close(held)
        raise
    _close(held)
    return {}


def _close(held: dict[str, int]) -> None:
    for handle in held.values():
        os.close(handle)


def _open(path: Path) -> int:
    """Open a lock file that every user of the machine may use, making it where it is not there."""
    while True:
        try:
            return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            # Not in one call: the kernel refuses O_CREAT on another user's file in a shared folder.
            with suppress(FileExistsError):
                handle = os.open(
                    path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
                )
                os.fchmod(handle, 0o666)
                return handle
        except OSError as error:
            raise InfrastructureError(
                f"the lease {path} cannot be opened: {error.strerror}; remove it when no run uses a GPU"
            ) from None


def _lock_folder() -> Path:
    """Where leases lie: one folder for all users of the machine, as a device is one for all."""
    folder = Path(tempfile.gettempdir()) / "lanner-gpus"
    with suppress(FileExistsError):
        folder.mkdir()
        folder.chmod(0o1777)
    return folder
