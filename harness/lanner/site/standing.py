"""Who knows more than the reference: methods by datasets and splits, in words short enough for a cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lanner.site.pages import Board, Place

TOLD = ("wins", "maybe", "even", "below", "self")
"""Kinds of cells in which methods are told apart."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One cell: ``kind`` is its look, ``text`` what it says, ``told`` the sentence behind it."""

    kind: str
    text: str
    told: str


@dataclass(frozen=True, kw_only=True)
class Standing:
    """All cells; ``places`` are columns, and ``rows`` methods, those that win in most places first.

    ``says`` is the whole in one sentence.
    """

    reference: str
    places: Sequence[Place]
    titles: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Mark]]]
    says: str


def standing(board: Board) -> Standing | None:
    """The standing of a board; None where nothing is compared with the reference anywhere.

    A method wins a metric where it is better than the reference beyond its interval and after Holm's
    correction; only primary metrics that are informative on that dataset and split count.
    """
    reference = board.reference
    places = list(board.summaries)
    if not any(board.compared.get(where) for where in places):
        return None
    columns = {where: dict(_column(board, where, reference)) for where in places}
    methods = sorted({summary["method"] for group in board.summaries.values() for summary in group})
    missing = Mark(kind="none", text="", told="not run here")
    rows = [(name, [columns[where].get(name, missing) for where in places]) for name in methods]
    order = (("wins",), ("maybe",), TOLD)
    rows.sort(key=lambda row: [-sum(mark.kind in kinds for mark in row[1]) for kinds in order])
    return Standing(
        reference=reference,
        places=places,
        titles=[board.title(where) for where in places],
        rows=rows,
        says=_says(places, rows, reference),
    )


def _column(board: Board, where: Place, reference: str) -> Iterator[tuple[str, Mark]]:
    compared = board.compared.get(where, {})
    for summary in board.summaries[where]:
        name, scores = summary["method"], summary["scores"]
        if scores is None:
            yield name, Mark(kind="gone", text=str(summary["status"]), told=summary["reason"] or "no scores")
            continue
        metrics = [
            metric
            for metric in board.material.primary
            if (scores.get(metric) or {}).get("informative") == "informative"
        ]
        if not metrics:
            told = "no primary metric is informative here"
            yield name, Mark(kind="untold", text="cannot tell", told=told)
            continue
        found = {
            metric: compared.get(metric, {}).get("against_reference", {}).get(name) for metric in metrics
        }
        tested = {metric: item for metric, item in found.items() if item is not None}
        if tested and not any(_differs(item) for item in tested.values()):
            yield name, Mark(kind="self", text="=", told=f"answers exactly as {reference}")
            continue
        if not tested:
            yield name, Mark(kind="none", text="–", told=f"not compared with {reference}")
            continue
        yield name, _mark(tested, len(metrics), reference)


def _differs(item: Mapping[str, Any]) -> bool:
    return bool(item["gain"]) or any(item["interval"] or ())


def _mark(tested: Mapping[str, Mapping[str, Any]], of: int, reference: str) -> Mark:
    won = [metric for metric, item in tested.items() if item["better"]]
    intervals = {metric: item["interval"] for metric, item in tested.items() if item["interval"]}
    above = [metric for metric, (low, _) in intervals.items() if low > 0 and metric not in won]
    below = [metric for metric, (_, high) in intervals.items() if high < 0]
    parts = [f"beats {reference} on {', '.join(won) or 'no metric'}"]
    if above:
        parts.append(f"its interval lies above it, but not after Holm's correction, on {', '.join(above)}")
    if below:
        parts.append(f"its interval lies below it on {', '.join(below)}")
    kind = "wins" if won else "maybe" if above else "below" if len(below) == of else "even"
    unsure = f" (+{len(above)})" if above else ""
    return Mark(kind=kind, text=f"{len(won)}{unsure} of {of}", told="; ".join(parts))


def _says(places: Sequence[Place], rows: Sequence[tuple[str, Sequence[Mark]]], reference: str) -> str:
    """How many datasets and splits can tell, on how many of them somebody wins, and who may."""
    columns = list(zip(*(marks for _, marks in rows), strict=True))

    def places_with(*kinds: str) -> int:
        return sum(any(mark.kind in kinds for mark in column) for column in columns)

    def names_with(kind: str) -> str:
        return ", ".join(name for name, marks in rows if any(mark.kind == kind for mark in marks))

    telling, won, unsure = places_with(*TOLD), places_with("wins"), places_with("maybe")
    start = f"{telling} of {len(places)} dataset splits can tell methods apart"
    if not telling:
        return f"{start}: nothing here says whether a method knows more than {reference}."
    if won:
        return f"{start}; on {won} of them at least one method beats {reference}: {names_with('wins')}."
    doubt = (
        f" On {unsure} of them some do by their interval alone, uncorrected: {names_with('maybe')}."
        if unsure
        else ""
    )
    return f"{start}; on none of them does any method beat {reference}.{doubt}"
