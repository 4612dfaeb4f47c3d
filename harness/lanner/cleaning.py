"""What of LANNER_HOME can go: found, measured, and removed without touching what is in use.

Nothing here is needed to rebuild: data are downloaded or found in a mirror again, truths and inputs are made
again from dataset and split, runs are done again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lanner import reaping, store
from lanner.config import Settings
from lanner.errors import InfrastructureError
from lanner.intake import remove_folder
from lanner.owner import is_abandoned
from lanner.records import State
from lanner.store import Status, read_json

KINDS = {
    "leftovers": "partial files, temporary folders and containers that killed processes left",
    "attempts": "attempts that a later one of the same run has replaced",
    "failed": "runs that failed or were cancelled, with their logs",
    "aggregates": "aggregated scores, computed from stored ones",
    "staged": "staged inputs, shared by runs",
    "truth": "sealed truths and the scores of their bounds",
    "data": "downloaded files and normalised datasets",
    "runs": "all runs: predictions, logs and scores",
    "images": "container images built from method folders",
}
"""What ``lanner clean`` can remove, in the order of how little it costs to lose it."""


@dataclass(frozen=True, kw_only=True)
class Removable:
    """Something that can be removed: a path, a container image by its tag, or a container by its id."""

    kind: str
    path: Path | None = None
    image: str | None = None
    container: str | None = None
    size_bytes: int = 0

    @property
    def name(self) -> str:
        """For people."""
        return str(self.image or self.path or f"container {self.container}")


def find(settings: Settings, kinds: frozenset[str]) -> list[Removable]:
    """Everything of the given kinds, sorted by kind and name. What a live process works on is left out."""
    found = [
        Removable(kind=kind, path=path, size_bytes=size(path))
        for kind in KINDS
        if kind in kinds and kind != "images"
        for path in sorted(_paths(settings.home, kind))
    ]
    if "leftovers" in kinds:
        found += [Removable(kind="leftovers", container=name) for name in reaping.orphans(settings.home)]
    if "images" in kinds:
        from lanner.runners.docker import built_images

        found += [
            Removable(kind="images", image=tag, size_bytes=bytes_)
            for tag, bytes_ in sorted(built_images().items())
        ]
    return found


def remove(item: Removable) -> bool:
    """Remove one thing; False where it came into use meanwhile. Raises InfrastructureError when it cannot."""
    if item.image is not None:
        from lanner.runners.docker import remove_image

        return remove_image(item.image)
    if item.container is not None:
        from lanner.runners.docker import remove_container

        return remove_container(item.container)
    assert item.path is not None
    if item.kind in ("runs", "failed", "attempts"):
        run = item.path.parent if item.kind == "attempts" else item.path
        if store.is_held(run):
            return False
    try:
        remove_folder(item.path) if item.path.is_dir() else item.path.unlink(missing_ok=True)
    except OSError as error:
        raise InfrastructureError(
            f"{item.path} cannot be removed: {error.strerror}; remove it by hand"
        ) from None
    return True


def size(path: Path) -> int:
    """Bytes on disk of a file or of everything below a folder, following no link."""
    total, stack = 0, [path]
    while stack:
        current = stack.pop()
        try:
            total += current.lstat().st_blocks * 512
            if current.is_dir() and not current.is_symlink():
                stack += list(current.iterdir())
        except FileNotFoundError:
            continue
    return total


def _paths(home: Path, kind: str) -> Iterator[Path]:
    runs = [path for path in (home / "runs").glob("*/*/*/*") if path.is_dir() and not _is_live(path)]
    if kind == "leftovers":
        yield from (path for path in home.rglob(".*.partial") if is_abandoned(path.name) is not False)
        yield from (path for path in reaping.abandoned(home) if not path.is_relative_to(home))
        folders = (run / "tmp" for run in runs)  # a run that ended by itself leaves its own empty
        yield from (path for path in folders if path.is_dir() and any(path.iterdir()))
    elif kind == "attempts":
        for run in runs:
            record = read_json(run / "run.json")
            keep = f"attempt-{record['attempt']}" if record else None
            yield from (path for path in run.glob("attempt-*") if keep and path.name != keep)
    elif kind == "failed":
        for run in runs:
            record = read_json(run / "run.json")
            if record and record["state"] in (State.FAILED, State.CANCELLED):
                yield run
    elif kind == "runs":
        yield from runs
    elif kind == "truth":
        yield from (path for path in (home / "truth").glob("[0-9a-f]*"))
    else:
        yield from (path for path in (home / kind).glob("[!.]*"))


def _is_live(run: Path) -> bool:
    return any(Status(attempt).is_alive() for attempt in run.glob("attempt-*"))
