"""The truth that no hostile file may return, and a way to read a file in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from files import EXPECTED, write_truth
from lanner.ingest_child import read


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    """A sealed truth whose every value is the canary."""
    path = tmp_path / "truth.h5ad"
    write_truth(path)
    return path


@pytest.fixture
def answer_of(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Read a file as the child would, without its walls; the arrays land in ``tmp_path/emitted``."""

    def run(path: Path, expectation: Any = EXPECTED) -> dict[str, Any]:
        folder = tmp_path / "emitted"
        folder.mkdir()
        names = ("values", "indices", "indptr", "answered")
        return read(str(path), expectation, {name: (folder / f"{name}.npy").open("xb") for name in names})

    return run
