"""Resources made from published files: fetched like a dataset's, prepared once, known by the result."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lanner.config import Settings
from lanner.datasets.entry import Source
from lanner.datasets.fetch import Progress, disk_errors, fetch_sources, sync
from lanner.datasets.program import run_program
from lanner.errors import ConfigurationError
from lanner.owner import token


def sources(document: Mapping[str, Any]) -> tuple[Source, ...]:
    """The published files of an entry; a converted form has its original's licence and no address."""
    found = []
    for item in document["sources"]:
        converted = item.get("converted")
        form = None if converted is None else Source(**converted, urls=(), licence=item["licence"])
        found.append(Source(**{**item, "urls": tuple(item["urls"]), "converted": form}))
    return tuple(found)


def check(folder: Path, document: Mapping[str, Any]) -> None:
    """Raise ConfigurationError where an entry lacks its program, or names one file twice."""
    program = folder / str(document["prepare"]["file"])
    if not program.is_file():
        raise ConfigurationError(f"{folder}: {program.name} is missing there; add it")
    names = [source.name for source in sources(document)]
    if len(set(names)) < len(names):
        raise ConfigurationError(f"{folder}: two sources have the same name; name each source once")


def content(
    folder: Path,
    document: Mapping[str, Any],
    kept: Path,
    settings: Settings,
    progress: Progress | None,
) -> bytes:
    """What ``prepare.py`` makes of the sources, checked against the entry's ``sha256`` and kept as ``kept``.

    The hash is that of the result, so it does not matter which form of a source was at hand.
    """
    if kept.is_file() and _sha256(found := kept.read_bytes()) == document["sha256"]:
        return found
    name, prepare = str(document["id"]), document["prepare"]
    at_hand = fetch_sources(name, sources(document), kept.parent / "sources", settings, progress)
    with tempfile.TemporaryDirectory(prefix=f".{token()}.", suffix=".partial", dir=kept.parent) as folder_:
        output = Path(folder_) / f"{name}{kept.suffix}"
        run_program(folder / str(prepare["file"]), at_hand, prepare.get("parameters", {}), output)
        made = output.read_bytes()
    if _sha256(made) != document["sha256"]:
        raise ConfigurationError(
            f"{folder}: {prepare['file']} made a file with the sha256 {_sha256(made)}, not the one the entry "
            "states; correct one of them"
        )
    keep(kept, made)
    return made


def once(kept: Path, make: Callable[[], bytes]) -> bytes:
    """The bytes kept as ``kept``, made and kept first where that was not done yet."""
    if kept.is_file():
        return kept.read_bytes()
    made = make()
    keep(kept, made)
    return made


def keep(path: Path, made: bytes) -> None:
    """Write a file whole, under its name only when it is."""
    with disk_errors(f"storing {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{token()}.partial")
        partial.write_bytes(made)
        sync(partial)
        partial.replace(path)


def _sha256(made: bytes) -> str:
    return hashlib.sha256(made).hexdigest()
