"""The positive bound that skill is measured by: a technical duplicate, or what a task has instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lanner.cards import CARDS, ROLES


def anchor_value(score: Mapping[str, Any]) -> float | None:
    """Its value in a row of scores; None where the dataset, or this Lanner, has none."""
    metric = score["metric"]
    if metric not in CARDS:
        return None
    level = CARDS[metric].level
    names = (name for name in score["positive"] if name in ROLES and ROLES[name].anchors_for(level))
    found: float | None = score["positive"].get(next(names, ""))
    return found
