"""Where things are: LANNER_HOME, mirrors, registries, and the files the wheel carries."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lanner.errors import ConfigurationError

PACKAGE = Path(__file__).parent
REGISTRIES = {
    "datasets": "datasets_registry",
    "methods": "method_containers",
    "resources": "resources_registry",
}
"""The folder that holds the entries of each kind."""


@cache
def bundled_root() -> Path:
    """The folder that holds schemas, datasets_registry, method_containers and leaderboards.

    ``lanner/_bundled`` in an installed wheel, the repository root in an editable install.
    """
    for root in (PACKAGE / "_bundled", PACKAGE.parent.parent):
        if (root / "schemas").is_dir() and (root / "datasets_registry").is_dir():
            return root
    raise ConfigurationError(
        f"the installation at {PACKAGE} lacks its schemas and registry; reinstall lanner"
    )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything the environment decides, read once at the edge and passed on.

    ``home`` is ``$LANNER_HOME`` (default ``./.lanner``); ``mirrors`` the read-only folders of
    ``$LANNER_MIRROR``; ``registry`` the ``--registry`` folder, if any.
    """

    home: Path
    mirrors: tuple[Path, ...] = ()
    registry: Path | None = None

    @classmethod
    def from_environment(cls, registry: Path | None = None) -> Settings:
        """Read LANNER_HOME and LANNER_MIRROR; raises ConfigurationError for a mirror that is no folder."""
        mirrors = tuple(
            Path(folder).expanduser().resolve()
            for folder in os.environ.get("LANNER_MIRROR", "").split(os.pathsep)
            if folder
        )
        for mirror in mirrors:
            if not mirror.is_dir():
                raise ConfigurationError(
                    f"LANNER_MIRROR names {mirror}, which is not a folder; correct or unset it"
                )
        home = Path(os.environ.get("LANNER_HOME") or ".lanner").expanduser().resolve()
        return cls(home=home, mirrors=mirrors, registry=registry.resolve() if registry else None)

    def entry_folders(self, kind: str) -> list[Path]:
        """Folders searched for entries of ``kind`` (``datasets``, ``methods``, ``resources``), existing only.

        ``--registry``, ``$LANNER_HOME/<kind>``, the nearest parent folder that holds a registry, bundled.
        """
        name = REGISTRIES[kind]
        found = []
        if self.registry is not None:
            nested = self.registry / name
            found.append(nested if nested.is_dir() else self.registry)
        found.append(self.home / kind)
        here = Path.cwd()
        for parent in (here, *here.parents):
            if any((parent / registry).is_dir() for registry in REGISTRIES.values()):
                found.append(parent / name)
                break
        found.append(bundled_root() / name)
        unique: list[Path] = []
        for folder in found:
            if folder.is_dir() and not any(folder.samefile(other) for other in unique):
                unique.append(folder)
        return unique

    def entries(self, kind: str, manifest: str) -> dict[str, Path]:
        """Every entry folder of ``kind`` by its name; a name in two places is an error that names both.

        The wheel's bundled copy and a checkout of the same repository are one place, not two.
        """
        entries: dict[str, Path] = {}
        for folder in self.entry_folders(kind):
            for path in sorted(folder.glob(f"*/{manifest}")):
                name = path.parent.name
                if name in entries and _bytes(entries[name]) != _bytes(path.parent):
                    raise ConfigurationError(
                        f"{kind[:-1]} {name!r} is both in {entries[name]} and {path.parent}; rename one"
                    )
                entries.setdefault(name, path.parent)
        return entries


def _bytes(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
