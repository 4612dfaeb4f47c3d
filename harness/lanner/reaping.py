"""What killed harnesses, and engines that went away, left behind: found by whose it was, and removed.

Only what is known to be nobody's any more goes: a container whose attempt no process works on, or whose
label is of a process that has ended, a temporary file whose name is of a process of this boot that has ended.
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
from lanner.owner import is_abandoned, is_written_by_the_dead
from lanner.store import Status


def orphans(home: Path) -> list[str]:
    """Ids of containers that nobody works on: of attempts below ``home``, of checks, of shells.

    None where no engine answers: whoever needs one says so.
    """
    from lanner.runners.docker import containers_below, owned_containers

    scratch, found = Path(tempfile.gettempdir()).resolve(), []
    with contextlib.suppress(LannerError):
        ours = containers_below(home / "runs")
        checks = containers_below(scratch).items()
        ours |= {name: path for name, path in checks if is_abandoned(path.relative_to(scratch).parts[0])}
        found += [name for name, attempt in ours.items() if not Status(attempt).is_alive()]
        found += [name for name, label in owned_containers().items() if is_written_by_the_dead(label)]
    return found


def remove_orphans(home: Path) -> int:
    """Remove the ``orphans``; returns how many. Another harness may do the same at the same time."""
    from lanner.runners.docker import remove_container

    removed = 0
    for name in orphans(home):
        with contextlib.suppress(LannerError):
            removed += remove_container(name)
    return removed


def remove_containers_of(run: Path) -> None:
    """Remove every container of a run's attempts. Only for whoever holds the run's lock."""
    from lanner.runners.docker import containers_below, remove_container

    for name in containers_below(run):
        remove_container(name)


def abandoned(home: Path) -> Iterator[Path]:
    """Partial files, temporary folders of runs, checks, plain processes, shells: of processes that ended."""
    yield from (path for path in home.rglob(".*.partial") if is_abandoned(path.name))
    yield from (path for path in home.glob("runs/*/*/*/*/tmp/*") if is_abandoned(path.name))
    scratch = Path(tempfile.gettempdir())
    found = (path for kind in ("check", "process", "shell") for path in scratch.glob(f"lanner-{kind}.*"))
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
