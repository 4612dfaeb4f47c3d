"""Images: build a method's folder once, or pull what it names by digest; say what was used."""

from __future__ import annotations

import fcntl
import io
import os
import stat
import tarfile
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lanner.errors import ErrorClass, ImageBuildError, InfrastructureError
from lanner.methods import Method, folder_files
from lanner.records import printable

TAIL_LINES = 20
BUILD_TIMEOUT_S = 3600


def build_context(folder: Path) -> bytes:
    """A tar archive of the files that make the method, equal for equal bytes wherever it is made.

    Files are readable by everyone: the container's user is not the one who owns the checkout.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in folder_files(folder):
            content = path.read_bytes()
            member = tarfile.TarInfo(path.relative_to(folder).as_posix())
            member.size, member.mode = len(content), 0o755 if os.access(path, os.X_OK) else 0o644
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold the machine-wide lock ``name``: two workers never build the same tag at once."""
    folder = Path(tempfile.gettempdir()) / f"lanner-locks-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise InfrastructureError(f"{folder} is not yours; remove it or set TMPDIR to your own")
    path = folder / f"{name.replace('/', '_').replace(':', '_')}.lock"
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def build_events(method: Method, events: Iterator[Mapping[str, Any]]) -> None:
    """Follow a build's JSON events to their end; raise for the party at fault.

    A failure while the step is ``FROM`` is a base image that cannot be pulled, the platform's fault; a
    later one is the Dockerfile's.
    """
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    step = ""
    for event in events:
        for line in str(event.get("stream") or event.get("error") or "").splitlines():
            if line.strip():
                tail.append(printable(line.rstrip(), keep="\t"))
            if line.startswith("Step "):
                step = line.partition(" : ")[2]
        if "error" in event:
            reason = printable(str(event["error"]))[:300]
            if not step or step.upper().startswith("FROM "):
                raise InfrastructureError(
                    f"the base image of {method.name} cannot be pulled ({step or 'no step'}): {reason}; "
                    "check its name and the network, or load it with docker load",
                    ErrorClass.PULL_ERROR,
                )
            raise ImageBuildError(
                f"the image of {method.name} cannot be built: step {step[:120]!r} failed: {reason}; "
                "correct its Dockerfile",
                "\n".join(tail),
            )
