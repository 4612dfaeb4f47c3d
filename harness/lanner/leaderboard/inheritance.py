"""Leaderboard files that extend others: found, checked, and merged into one document.

A file that ``extends`` another takes over its fields, except name, title and description. A field of its
own replaces the inherited one whole; ``add`` and ``remove`` change an inherited list item by item.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lanner import schemas
from lanner.config import bundled_root
from lanner.errors import ConfigurationError

OWN = ("name", "title", "description", "extends", "add", "remove")


def find(name: str) -> Path:
    """A leaderboard file by path, or a bundled one by its name or its path in the repository."""
    path = Path(name)
    if path.is_file():
        return path
    bundled = bundled_root() / "leaderboards"
    if name in (path.stem, path.name, f"leaderboards/{path.name}"):
        for candidate in (bundled / path.name, bundled / f"{path.name}.yaml"):
            if candidate.is_file():
                return candidate
    known = ", ".join(sorted(file.stem for file in bundled.glob("*.yaml")))
    raise ConfigurationError(f"no leaderboard file {name}; give a YAML file's path, or one of {known}")


def inherited(path: Path, extended_by: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The whole document of a leaderboard file, checked; a ConfigurationError names the file at fault."""
    path = path.resolve()
    if path in extended_by:
        chain = " extends ".join(file.name for file in (*extended_by, path))
        raise ConfigurationError(f"{chain}: a leaderboard cannot extend itself; remove one extends")
    document = schemas.load_yaml(path, "leaderboard")
    if "extends" not in document:
        return document
    base = path.parent / document["extends"]
    if not base.is_file():
        raise ConfigurationError(
            f"extends {document['extends']}, but there is no file {base}; correct the name"
        )
    parent = inherited(base, (*extended_by, path))
    own = {name: value for name, value in document.items() if name not in ("extends", "add", "remove")}
    merged = {**{name: value for name, value in parent.items() if name not in OWN}, **own}
    for name, items in document.get("remove", {}).items():
        merged[name] = _without(merged.get(name, []), items, name, base)
    for name, items in document.get("add", {}).items():
        merged[name] = [*merged.get(name, []), *items]
    schemas.check(merged, "leaderboard", f"{path} with {document['extends']}")
    return merged


def _without(inherited_items: list[Any], items: list[str], name: str, base: Path) -> list[Any]:
    """The inherited items but those named; an item that is not there is a mistake, not a wish come true."""
    known = [_name(item) for item in inherited_items]
    for item in items:
        if item not in known:
            raise ConfigurationError(
                f"remove.{name} names {item!r}, which {base} does not list: it has {', '.join(known)}"
            )
    return [item for item in inherited_items if _name(item) not in items]


def _name(item: str | Mapping[str, Any]) -> str:
    return item if isinstance(item, str) else str(item.get("id", item.get("name")))
