"""Composite metrics: the row of whichever component a method is worse at, judged by skill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lanner.cards import CARDS

_STATES = ("no positive bound", "not assessable", "not informative", "informative")
_OF_THE_BOUNDS = ("informative", "bds", "bds_lower", "n_bds")


def with_composites(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """``rows`` and, before its first component, a row for every composite whose components are all there.

    A composite's row is that of the component with the lower skill and names it as ``component``; among
    components without a skill, which are so for every method alike, it is the first one. ``informative`` and
    its figures are those of the least informative component: a property of the bounds, not of the method.
    """
    known = {(row["metric"], row["variant"]): row for row in rows}
    before: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for name in CARDS:
        parts = CARDS[name].worst_of
        for variant in dict.fromkeys(row["variant"] for row in rows):
            if parts and all((part, variant) in known for part in parts):
                row = _composite(name, [known[part, variant] for part in parts])
                before.setdefault((parts[0], variant), []).append(row)
    return [item for row in rows for item in (*before.get((row["metric"], row["variant"]), ()), row)]


def _composite(name: str, parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    card = CARDS[name]
    judged = [row for row in parts if row["skill"] is not None]
    chosen = min(judged, key=lambda row: row["skill"]) if judged else parts[0]
    least = min(parts, key=lambda row: (_STATES.index(row["informative"]), row["bds_lower"] or 0.0))
    return {
        **chosen,
        "metric": name,
        "version": card.version,
        "card": card.sha256,
        "component": chosen["metric"],
        **{field: least[field] for field in _OF_THE_BOUNDS},
        "primary_eligible": all(row["primary_eligible"] for row in parts),
    }


def standings(metric: str, rows: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """What methods are ranked by, larger being better: merit of their values; of a composite, their skill.

    ``rows`` maps methods to their rows of ``metric``. Methods without a value are left out. Values of a
    composite are comparable where all are of one component; where they are not and a skill is missing, nobody
    is ranked.
    """
    card = CARDS[metric]
    rows = {name: row for name, row in rows.items() if row["value"] is not None}
    if card.worst_of and all(row["skill"] is not None for row in rows.values()):
        return {name: float(row["skill"]) for name, row in rows.items()}
    if card.worst_of and len({row["component"] for row in rows.values()}) > 1:
        return {}
    return {name: float(card.merit(row["value"])) for name, row in rows.items()}
