"""The first page: what each dataset can tell, and one table of all methods on all datasets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lanner.leaderboard.table import cell, number, partial, problems
from lanner.leaderboard.verdict import across
from lanner.site.anchor import anchor_value
from lanner.site.material import costs
from lanner.site.pages import Board, Drawn, Page, Place
from lanner.site.pictures.glance import glance
from lanner.site.standing import standing

LAST = -1e12
"""Where a cell without a number is sorted: after every other one, best first."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One number in a table: as text, by what it is sorted, and the exact value it stands for."""

    text: str
    order: float = LAST
    skill: float | None = None
    value: float | None = None
    flagged: bool = False
    missing: str = ""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row of the overview: a method, or a bound, on one dataset and split design."""

    dataset: str
    title: str
    where: Place
    method: str
    kind: str
    cells: Sequence[Shown]
    informative: str = ""
    n: int | None = None
    coverage: str = ""
    share: float | None = None
    seeds: str = ""
    status: str = ""
    reason: str = ""
    cost: Mapping[str, float | None] = field(default_factory=dict)
    identity: str = ""
    marks: Sequence[str] = ()


def overview(board: Board) -> Page:
    """index.html."""
    document = board.material.document
    return Page(
        path="index.html",
        template="index.html",
        title=document["title"],
        context={
            "places": [
                {"where": where, "title": board.title(where), "table": board.tables.get(where)}
                for where in board.summaries
            ],
            "pictures": [
                Drawn(picture=picture, anchor=picture.id, file=f"{picture.id}.csv")
                for picture in [glance(board.summaries, board.material.primary)]
                if picture is not None
            ],
            "lines": list(lines(board)),
            "standing": standing(board),
            "primary": board.material.primary,
            "across": across(document),
            "partial": partial(document),
            "problems": problems(document),
            "unsealed": any(row["unsealed"] for row in document["rows"]),
            "unverified": any(row.get("verified") is False for row in document["rows"]),
            "residuals": sorted({row["residual"] for row in document["rows"] if row["residual"]}),
        },
    )


def lines(board: Board) -> Iterator[Line]:
    """All rows: methods in the order of each place's table, then its bounds."""
    for where, summaries in board.summaries.items():
        table = board.tables.get(where)
        order = list(table.summaries) if table else []
        ranked = sorted(
            summaries, key=lambda s: order.index(s["method"]) if s["method"] in order else len(order)
        )
        yield from (_method(board, where, summary) for summary in ranked)
        yield from _bounds(board, where, [summary for summary in summaries if summary["scores"]])


def _method(board: Board, where: Place, summary: Mapping[str, Any]) -> Line:
    material = board.material
    rows = material.rows_of(summary)
    scores = summary["scores"] or {}
    shown = [scores.get(name) for name in material.primary]
    known = [score for score in shown if score is not None and score["skill"] is not None]
    informative = sum(score["informative"] == "informative" for score in shown if score)
    answered = sum(row["coverage"]["answered"] for row in rows)
    requests = sum(row["coverage"]["requests"] for row in rows)
    seeds = sorted({seed for row in rows for seed in row["stands_for"]})
    return Line(
        dataset=summary["dataset"],
        title=board.title(where),
        where=where,
        method=summary["method"],
        kind="method",
        cells=[skill_cell(score, summary["reason"]) for score in shown],
        informative=f"{informative} of {len(material.primary)}" if scores else "-",
        n=max((score["n"] for score in known), default=None),
        coverage=f"{answered} of {requests}",
        share=answered / requests if requests else None,
        seeds=", ".join(str(seed) for seed in seeds),
        status=summary["status"] if summary["complete"] else f"{summary['status']}, not all runs",
        reason=summary["reason"] or "",
        cost=costs(material, rows),
        identity=rows[0]["identity"] if rows else "",
        marks=marks(rows),
    )


def marks(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a reader has to know of how a row came about, in words."""
    found = []
    if any(row["unsealed"] for row in rows):
        found.append("unsealed")
    if any(row["trusted_process"] for row in rows):
        found.append("trusted process")
    if any(row.get("verified") is False for row in rows):
        found.append("predictions only, not re-run")
    if any(row["training_data"] for row in rows):
        found.append("declares outside training data")
    return found


def skill_cell(score: Mapping[str, Any] | None, reason: str | None = None) -> Shown:
    """A score as the table shows it: skill, interval, value and flag."""
    if score is None or score["value"] is None:
        return Shown(text="-", missing=reason or "" if score is None else score.get("skill_reason") or "")
    skill = score["skill"]
    return Shown(
        text=cell(score),
        order=LAST if skill is None else skill,
        skill=skill,
        value=score["value"],
        flagged=score["informative"] != "informative",
        missing="" if skill is not None else score.get("skill_reason") or "",
    )


def _bounds(board: Board, where: Place, summaries: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    """The bounds of a place as rows; their values do not depend on the method they are read from."""
    if not summaries:
        return
    scores = summaries[0]["scores"]
    metrics = board.material.primary
    for kind in ("negative", "positive"):
        names = sorted({name for metric in metrics for name in (scores.get(metric) or {}).get(kind, {})})
        for name in names:
            yield Line(
                dataset=where[0],
                title=board.title(where),
                where=where,
                method=name,
                kind=f"{kind} bound",
                cells=[_bound_cell(scores.get(metric), kind, name) for metric in metrics],
            )


def _bound_cell(score: Mapping[str, Any] | None, kind: str, name: str) -> Shown:
    # Rows of a composite are of different components, which no one value of a bound can stand for.
    value = None if score is None or score.get("component") else score[kind].get(name)
    if score is None or value is None:
        return Shown(text="-")
    return Shown(text=f"({number(value)})", order=_place_of(score, value), value=value)


def _place_of(score: Mapping[str, Any], value: float) -> float:
    """Where a bound stands among skills, for sorting only: 0 the best negative bound, 1 the duplicate."""
    top = anchor_value(score)
    worse = [bound for bound in score["negative"].values() if bound is not None]
    if top is None or not worse or score["better"] not in ("higher", "lower"):
        return LAST
    floor = max(worse) if score["better"] == "higher" else min(worse)
    return LAST if top == floor else (value - floor) / (top - floor)
