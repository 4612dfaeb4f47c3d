"""File names of pages: readable, safe on every disk, and never shared by two things."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

SAFE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,79}")
RESERVED = frozenset({"index", "con", "prn", "aux", "nul"})
"""``index`` is the list of a folder's pages; the others are no file names on Windows."""
KEY_DIGITS = 12


def slug(name: str) -> str:
    """``name`` where it is safe as it is, else what is left of it and eight digits of its hash."""
    if SAFE.fullmatch(name) and ".." not in name and name not in RESERVED:
        return name
    rest = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60]
    return f"{rest or 'x'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def run_name(row: Mapping[str, Any]) -> str:
    """A run's page: the first digits of its key, and of its label's hash: several rows may share a run."""
    key = str(row["key"])[:KEY_DIGITS]
    label = hashlib.sha256(str(row["method"]).encode()).hexdigest()[:4]
    return f"{key}-{label}"
