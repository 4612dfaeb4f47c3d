"""Who knows more than the mean: methods by datasets and splits, in words short enough for a cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lanner.leaderboard.verdict import TRAINING_MEAN
from lanner.site.pages import Board, Place


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
    reference = str(board.material.document.get("reference", TRAINING_MEAN))
    places = list(board.summaries)
    if not any(board.compared.get(where) for where in places):
        return None
    columns = {where: dict(_column(board, where, reference)) for where in places}
    methods = sorted({summary["method"] for group in board.summaries.values() for summary in group})
    missing = Mark(kind="none", text="", told="not run here")
    rows = [(name, [columns[where].get(name, missing) for where in places]) for name in methods]
    rows.sort(key=lambda row: -sum(mark.kind == "wins" for mark in row[1]))
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
            metric: compared.get(metric, {}).get("against_train_mean", {}).get(name) for metric in metrics
        }
        tested = {metric: item for metric, item in found.items() if item is not None}
        if not tested:
            yield name, Mark(kind="self", text="–", told=f"not compared with {reference}")
            continue
        yield name, _mark(tested, len(metrics), reference)


def _mark(tested: Mapping[str, Mapping[str, Any]], of: int, reference: str) -> Mark:
    won = [metric for metric, item in tested.items() if item["better"]]
    lost = [metric for metric, item in tested.items() if item["interval"] and item["interval"][1] < 0]
    parts = [f"beats {reference} on {', '.join(won) or 'no metric'}"]
    if lost:
        parts.append(f"its interval lies below it on {', '.join(lost)}")
    kind = "wins" if won else "below" if len(lost) == of else "even"
    return Mark(kind=kind, text=f"{len(won)} of {of}", told="; ".join(parts))


def _says(places: Sequence[Place], rows: Sequence[tuple[str, Sequence[Mark]]], reference: str) -> str:
    """How many datasets and splits can tell, and on how many of them somebody wins."""
    columns = list(zip(*(marks for _, marks in rows), strict=True))
    telling = sum(any(mark.kind in ("wins", "below", "even") for mark in column) for column in columns)
    won = sum(any(mark.kind == "wins" for mark in column) for column in columns)
    ever = [name for name, marks in rows if any(mark.kind == "wins" for mark in marks)]
    start = f"{telling} of {len(places)} dataset splits can tell methods apart"
    if not telling:
        return f"{start}: nothing here says whether a method knows more than {reference}."
    if not won:
        return f"{start}; on none of them does any method beat {reference}."
    return f"{start}; on {won} of them at least one method beats {reference}: {', '.join(ever)}."
