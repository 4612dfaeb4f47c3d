"""What an audit may find, and how bad each finding is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

CHECKS: Mapping[str, str] = {
    "stale-split": "the split was cut from other data",
    "unknown-condition": "the split names conditions that the dataset does not have",
    "two-parts": "a condition is in two parts",
    "shared-target": "a target that should be unseen is part of a train condition",
    "same-perturbation": "a tested perturbation is trained on where the design says it is not",
    "other-dose": "a tested perturbation is trained on in the same context, at another dose",
    "synonym": "two names of one gene lie on both sides",
    "guides": "two labels that look like guides of one gene lie on both sides",
    "superset": "a train combination holds a tested combination and more",
    "valid-target": "a target that should be unseen is part of a validation condition",
    "twin-contexts": "two names of what looks like one context",
    "derived-context": "a context was made by clustering all cells, tested ones included",
    "no-controls": "a context has no controls",
    "few-controls": "a tested context has too few controls to be cut in halves",
    "small-conditions": "tested conditions are too small for population and DE metrics",
    "batch-confounding": "batch tells train from test",
    "duplicate-cells": "the same cell is on both sides",
    "near-duplicate-cells": "nearly the same cell is on both sides",
    "source-features": "the source file holds features fitted on all cells",
    "marked-design": "the design itself must be read with care",
}
"""Every check by id, in the words of a finding."""

EXAMPLES = 5


class Severity(IntEnum):
    """``error``: numbers mean something else than they say; ``warning``: they may; ``note``: good to know."""

    ERROR = 0
    WARNING = 1
    NOTE = 2


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One finding: its check, how severe it is, one sentence, and how many things it is about."""

    check: str
    severity: Severity
    message: str
    n: int = 1
    examples: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "check": self.check,
            "severity": self.severity.name.lower(),
            "message": self.message,
            "n": self.n,
            "examples": list(self.examples),
        }


def finding(check: str, severity: Severity, message: str, things: Iterable[str]) -> Finding:
    """A finding about ``things``, with the first few of them as examples; ``check`` must be declared."""
    listed = sorted(set(things))
    assert check in CHECKS
    return Finding(
        check=check, severity=severity, message=message, n=len(listed), examples=tuple(listed[:EXAMPLES])
    )
