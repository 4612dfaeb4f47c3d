"""What killed harnesses, and engines that went away, left behind: found by whose it was, and removed.

Only what is known to be nobody's any more goes: a container whose attempt no process works on, a
temporary file whose name is of a process of this boot that has ended.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lanner.errors import LannerError
from lanner.intake import remove_folder
from lanner.owner import is_abandoned
from lanner.store import Status


def remove_orphans(home: Path) -> int:
    """Remove containers of attempts below ``home`` that nobody works on; returns how many.

    None where no engine answers: whoever needs one says so.
    """
    from lanner.runners.docker import containers_below, remove_container

    removed = 0
    with contextlib.suppress(LannerError):
        for name, attempt in containers_below(home / "runs").items():
            if not Status(attempt).is_alive():
                removed += remove_container(name)
    return removed


def remove_containers_of(run: Path) -> None:
    """Remove every container of a run's attempts. Only for whoever holds the run's lock."""
    from lanner.runners.docker import containers_below, remove_container

    for name in containers_below(run):
        remove_container(name)


def abandoned(home: Path) -> Iterator[Path]:
    """Partial files, and temporary folders of runs, plain processes and shells, whose process has ended."""
    yield from (path for path in home.rglob(".*.partial") if is_abandoned(path.name))
    yield from (path for path in home.glob("runs/*/*/*/*/tmp/*") if is_abandoned(path.name))
    scratch = Path(tempfile.gettempdir())
    found = (path for kind in ("process", "shell") for path in scratch.glob(f"lanner-{kind}.*"))
    yield from (path for path in found if is_abandoned(path.name) and path.lstat().st_uid == os.geteuid())


def sweep(home: Path) -> int:
    """Remove what ``abandoned`` finds; returns how much. Another harness may do the same at the same time."""
    removed = 0
    for path in list(abandoned(home)):
        with contextlib.suppress(LannerError, OSError):
            remove_folder(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            removed += 1
    return removed


def empty(folder: Path) -> None:
    """Remove what a run keeps only while it goes on, in ``folder``, its own."""
    for leftover in (*folder.glob("attempt-*/output"), *folder.glob("attempt-*/input")):
        remove_folder(leftover)
    shutil.rmtree(folder / "tmp", ignore_errors=True)
