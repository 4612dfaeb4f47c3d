"""Find published files in ``LANNER_MIRROR`` by size and SHA-256, remembering hashes already taken."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pooch

from lanner.config import Settings
from lanner.datasets.entry import Source
from lanner.owner import token

MEMORY = "hashes.json"


def find(source: Source, settings: Settings) -> Path | None:
    """A file with the source's bytes in one of the mirror folders, or None.

    A file of its name and size with other bytes is passed over with a warning; its neighbours are still
    tried, whatever their names.
    """
    memory = settings.home / "data" / MEMORY
    for path in _candidates(source, settings):
        if _sha256(path, memory) == source.sha256:
            return path
        if path.name == source.name:
            warnings.warn(
                f"mirror file {path} has the size of {source.name} but another sha256; passed over",
                stacklevel=2,
            )
    return None


def _candidates(source: Source, settings: Settings) -> Iterator[Path]:
    for mirror in settings.mirrors:
        for folder, _, names in os.walk(mirror):
            for name in sorted(names):
                path = Path(folder, name)
                if path.is_file() and path.stat().st_size == source.bytes:
                    yield path


def _sha256(path: Path, memory: Path) -> str:
    """SHA-256 of a file, from the memory when path, size and mtime are those it was taken of."""
    stat = path.stat()
    key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
    known = _remembered(memory)
    if key not in known:
        digest = str(pooch.file_hash(str(path), alg="sha256"))
        known = {**_remembered(memory), key: digest}
        _remember(memory, known)
    return known[key]


def _remembered(memory: Path) -> dict[str, str]:
    try:
        document = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _remember(memory: Path, known: dict[str, str]) -> None:
    """Replace the memory at once; a lost update only costs hashing a file again."""
    memory.parent.mkdir(parents=True, exist_ok=True)
    partial = memory.with_name(f".{memory.name}.{token()}.partial")
    partial.write_text(json.dumps(known, indent=1, sort_keys=True), encoding="utf-8")
    partial.replace(memory)
