"""What a peer answered, as a small JSON file. No library but NumPy: peers' environments import this."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from benchmarks.peers.data import SEED

FILE = "file"
"""The key of a value a peer gives once for the whole file."""


class Hashed(Protocol):
    """Generated data that knows its hash."""

    @property
    def sha256(self) -> str:
        """Hash of every value."""


def write(
    path: Path,
    peer: str,
    packages: Sequence[str],
    data: Hashed,
    settings: str,
    values: Mapping[str, Mapping[str, float | None]],
    generator: str = "benchmarks.peers.data.small",
    seed: int = SEED,
) -> None:
    """``values[metric][perturbation]``; what is missing or not finite is null (infinite: a string)."""
    document = {
        "peer": peer,
        "versions": {"python": sys.version.split()[0]} | {name: version(name) for name in packages},
        "data": {"generator": generator, "seed": seed, "sha256": data.sha256},
        "settings": settings,
        "values": {
            name: {key: _plain(value) for key, value in of.items()} for name, of in sorted(values.items())
        },
    }
    path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _plain(value: Any) -> float | None:
    if value is None or math.isnan(value):
        return None
    return float(value)


def read(path: Path) -> dict[str, Any]:
    """The document; null is NaN again."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for of in document["values"].values():
        for key, value in of.items():
            of[key] = math.nan if value is None else value
    return document
