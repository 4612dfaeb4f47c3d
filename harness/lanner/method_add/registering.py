"""Put a method into ``$LANNER_HOME/methods``, complete or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lanner import schemas
from lanner.config import Settings
from lanner.errors import ConfigurationError
from lanner.methods import MANIFEST, Method, folder_files, load
from lanner.registry import unknown_name
from lanner.store import disk_error
from lanner.tasks import TASKS


def register(
    settings: Settings,
    document: Mapping[str, Any],
    *,
    folder: Path | None = None,
    fill: Callable[[Path], object] = lambda folder: None,
    replace: bool = False,
    ready: Callable[[Method], object] = lambda method: None,
) -> Method:
    """Write a method's manifest, and the files of ``folder`` beside it, to ``$LANNER_HOME/methods/<name>``.

    ``fill`` may write further files to the new folder, and ``ready`` is called with the method before it
    takes its place; what either raises leaves nothing behind.

    Raises
    ------
    ConfigurationError
        The manifest does not fit its schema or names no task of this Lanner, or the name is taken and
        ``replace`` is false (or the taken one lies elsewhere).
    """
    schemas.check(document, "method", "the manifest")
    for task in document["tasks"]:
        if task not in TASKS:
            raise unknown_name("task", task, TASKS)
    name = str(document["name"])
    home = settings.home / "methods"
    check_free(settings, name, replace=replace)
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".adding-", dir=home) as temporary:
            partial = Path(temporary) / name
            partial.mkdir()
            for path in folder_files(folder) if folder else []:
                copy = partial / path.relative_to(folder or path)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, copy)
            if _manifest_of(partial) != document:
                (partial / MANIFEST).write_text(schemas.dump_yaml(dict(document)), encoding="utf-8")
            fill(partial)
            ready(load(partial))
            if (home / name).exists():
                (home / name).rename(Path(temporary) / f"{name}.before")
            partial.rename(home / name)
    except OSError as error:
        raise disk_error(f"the method {name} cannot be written to {home}", error) from None
    return load(home / name)


def check_free(settings: Settings, name: str, *, replace: bool) -> None:
    """Raise ConfigurationError unless a method of this name may be added."""
    taken = settings.entries("methods", MANIFEST).get(name)
    if taken is None or (replace and taken.resolve().parent == (settings.home / "methods").resolve()):
        return
    own = taken.resolve().parent == (settings.home / "methods").resolve()
    raise ConfigurationError(
        f"a method {name!r} exists in {taken}; give another --name" + (", or --replace it" if own else "")
    )


def _manifest_of(folder: Path) -> dict[str, Any] | None:
    path = folder / MANIFEST
    return schemas.load_yaml(path, "method") if path.is_file() else None
