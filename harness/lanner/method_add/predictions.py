"""Predictions instead of a program: one file for each dataset and split, kept as they are and hashed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lanner.config import Settings
from lanner.datasets import find_entry
from lanner.errors import ConfigurationError, PredictionError
from lanner.intake import take_file
from lanner.method_add.labels import proposed
from lanner.method_add.registering import register
from lanner.methods import Method
from lanner.registry import unknown_name
from lanner.runners.predictions import FOLDER
from lanner.splits import SPLITS

SUFFIX = ".h5ad"
SHA256 = re.compile(r"[0-9a-f]{64}")
NAMING = f"name them <dataset>/<split id or sha256>{SUFFIX}, as `lanner stage` prints both"


def proposed_of_predictions(folder: Path) -> tuple[list[str], dict[str, Any], tuple[str, ...]]:
    """The files of a folder, a manifest of them, and the names of its fields that were guessed.

    Raises
    ------
    ConfigurationError
        There is no file, or one lies where no dataset and split are named.
    """
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob(f"*{SUFFIX}"))
    if not files:
        raise ConfigurationError(f"{folder} holds no {SUFFIX} file; {NAMING}")
    stray = next((name for name in files if "/" not in name), None)
    if stray:
        raise ConfigurationError(f"{folder / stray} is in no dataset's folder; {NAMING}")
    manifest, guessed = proposed({}, (), folder.resolve().name, "perturbation-response")
    del manifest["command"]
    manifest |= {"summary": "Predictions made elsewhere.", "deterministic": True}
    return files, manifest, tuple(name for name in guessed if name not in ("command", "deterministic"))


def add_predictions(
    settings: Settings, folder: Path, files: list[str], document: Mapping[str, Any], *, replace: bool = False
) -> Method:
    """Register the files as a method; what it predicts is checked when it is run, as any method's is.

    Raises
    ------
    ConfigurationError
        A dataset or a split design does not exist, a file is a link or not HDF5, or the name is taken.
    """
    for name in files:
        dataset, _, split = name.removesuffix(SUFFIX).partition("/")
        find_entry(settings, dataset)
        design = split.partition("/")[0]
        if design not in SPLITS and not SHA256.fullmatch(split):
            raise ConfigurationError(f"{folder / name}: {unknown_name('split', design, SPLITS)}; {NAMING}")
    hashes = {name: _sha256(folder / name) for name in files}

    def fill(target: Path) -> None:
        for name in files:
            copy = target / FOLDER / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            source = folder / name
            try:
                taken = take_file(source.parent, source.name, copy, max_bytes=source.lstat().st_size)
            except PredictionError as error:
                raise ConfigurationError(f"{source}: {error}") from None
            if taken != hashes[name]:
                raise ConfigurationError(f"{source} changed while it was added; add it again")

    return register(settings, {**document, "predictions": hashes}, fill=fill, replace=replace)


def _sha256(path: Path) -> str:
    if path.is_symlink() or not path.is_file():
        raise ConfigurationError(f"{path} is not a regular file; copy it into the folder")
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
