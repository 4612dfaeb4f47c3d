"""A folder to begin a method with, in one's own language; each builds and passes its check at once."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from lanner.config import bundled_root
from lanner.errors import ConfigurationError
from lanner.registry import NAME

PLACEHOLDER = "@NAME@"


def languages() -> tuple[str, ...]:
    """Languages there is a template for."""
    return tuple(
        sorted(path.name for path in (bundled_root() / "method_templates").iterdir() if path.is_dir())
    )


def new_method(name: str, language: str, parent: Path) -> Path:
    """Write the template of ``language`` to ``parent/name``, complete or not at all, and return the folder.

    Raises
    ------
    ConfigurationError
        The name is malformed, the folder exists, or it cannot be written.
    """
    if not NAME.fullmatch(name) or set(name) & set("/@._"):
        raise ConfigurationError(
            f"{name!r} cannot name a method; use lower-case letters, digits and hyphens, a letter first"
        )
    folder = parent / name
    if folder.exists():
        raise ConfigurationError(f"{folder} exists already; choose another name, or remove it")
    template = bundled_root() / "method_templates" / language
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=parent) as temporary:
            partial = Path(temporary) / name
            partial.mkdir()
            for path in sorted(template.iterdir()):
                text = path.read_text(encoding="utf-8").replace(PLACEHOLDER, name)
                (partial / path.name).write_text(text, encoding="utf-8")
            partial.rename(folder)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ConfigurationError(
            f"{folder} cannot be written: {error.strerror}; choose another --in"
        ) from None
    return folder
