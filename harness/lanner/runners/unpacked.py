"""Images as runners without a daemon need them: one file or folder per digest, converted once and kept.

They lie in LANNER_IMAGES, or below the user's cache; on a cluster that is a disk of each node, or one that
all nodes share. Under a name that holds the digest, nothing is ever written twice.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lanner.errors import ErrorClass, ImageBuildError, InfrastructureError
from lanner.intake import remove_folder
from lanner.methods import Method
from lanner.owner import token
from lanner.records import printable
from lanner.runners.images import TAIL_LINES, lock
from lanner.runners.policy import METHOD_DIR
from lanner.runners.stripping import strip

VARIABLE = "LANNER_IMAGES"
FACTS = "facts.json"


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """A converted image: ``path`` is what a runner starts, ``image_id`` what it was made from."""

    path: Path
    image_id: str
    working_dir: str


def folder() -> Path:
    """Where converted images are kept."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    if os.geteuid() == 0:
        return Path("/var/cache/lanner/images")  # methods run as another user, who must get there
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lanner" / "images"


def name_of(method: Method, kind: str) -> str:
    """A file name for a method's image in the form that ``kind`` starts."""
    return f"{kind}-{method.name}-{method.identity.rpartition(':')[2]}"


def converted(method: Method, kind: str, convert: Callable[[Path], tuple[str, str]]) -> Unpacked:
    """The image, converted by ``convert`` where it is not there yet.

    ``convert`` writes the path it is given and returns the image's id and WORKDIR. Two harnesses of a machine
    never convert one image at a time, and a killed one leaves none that is used.
    """
    name = name_of(method, kind)
    target = folder() / name
    with lock(name):
        if not (target / FACTS).is_file():
            partial = folder() / f".{name}.{token()}.partial"
            try:
                partial.mkdir(parents=True, mode=0o700)  # nobody gets at a setuid file of its meanwhile
                image_id, working_dir = convert(partial / "image")
                if stat.S_ISDIR((partial / "image").lstat().st_mode):
                    strip(partial / "image")
                (partial / FACTS).write_text(json.dumps({"image_id": image_id, "working_dir": working_dir}))
                remove_folder(target)
                if os.geteuid() == 0:
                    partial.chmod(0o711)  # methods run as another user, who must get there
                partial.rename(target)
            except OSError as error:
                raise InfrastructureError(
                    f"the image of {method.name} cannot be kept in {folder()}: {error.strerror}; "
                    f"set {VARIABLE} to another folder"
                ) from None
            finally:
                with suppress(InfrastructureError):
                    remove_folder(partial)
    found = json.loads((target / FACTS).read_text())
    declared = found["working_dir"]
    return Unpacked(
        path=target / "image",
        image_id=found["image_id"],
        working_dir=declared if declared not in ("", "/") else METHOD_DIR,
    )


def tool(method: Method, command: Sequence[str], *, builds: bool = False) -> None:
    """Run a converter; a failure is the Dockerfile's where it ``builds``, else the platform's."""
    environment = {**os.environ, "USER": os.environ.get("USER", "lanner")}  # Charliecloud's tools ask
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", env=environment, check=False
        )
    except FileNotFoundError:
        raise InfrastructureError(f"{command[0]} is not installed; see `lanner doctor`") from None
    if done.returncode == 0:
        return
    tail = [printable(line) for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    reason = tail[-1][:300] if tail else "no reason given"
    if builds:
        raise ImageBuildError(
            f"{command[0]} cannot build the image of {method.name}: {reason}", "\n".join(tail[-TAIL_LINES:])
        )
    raise InfrastructureError(
        f"{command[0]} cannot convert the image of {method.name}: {reason}", ErrorClass.PULL_ERROR
    )
