"""Skill by method with its interval, between the best negative bound (0) and the positive one (1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lanner.leaderboard.table import skill as skill_text
from lanner.site.pictures import GREY, MARK, Picture, by_method, interval_cells, line_at, spans, text

LEAST, MOST = -1.0, 2.0
"""Skills at the edges of the picture; what lies beyond is an arrow there, its number in hover and table."""


def skill_dots(summaries: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> Picture | None:
    """The picture of ``summaries`` (of one table), one figure per metric that has a skill."""
    figures, rows = {}, []
    for metric in metrics:
        scores = {s["method"]: s["scores"][metric] for s in summaries if metric in (s["scores"] or {})}
        shown = {name: score for name, score in scores.items() if score["skill"] is not None}
        if not shown:
            continue
        ordered = sorted(shown.items(), key=lambda item: (-item[1]["skill"], item[0]))
        figures[metric] = _figure(ordered)
        rows += [
            (metric, name, score["skill"], *interval_cells(score["skill_interval"]), score["n"],
             score["value"], score["informative"])
            for name, score in ordered
        ]  # fmt: skip
    if not figures:
        return None
    return Picture(
        id="skill",
        title="Skill of every method",
        caption="0 is the best negative bound, 1 the positive one (dotted lines); bars are 95 % intervals. "
        "Grey: the metric is not informative here. An arrow at the edge stands for a value beyond it.",
        columns=("metric", "method", "skill", "skill low", "skill high", "n", "value", "informative"),
        rows=rows,
        figures=figures,
    )


def _figure(ordered: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    scores = [score for _, score in ordered]
    shown = [min(max(score["skill"], LEAST), MOST) for score in scores]
    inside = [LEAST <= score["skill"] <= MOST for score in scores]
    intervals = [score["skill_interval"] if ok else None for score, ok in zip(scores, inside, strict=True)]
    colour = [MARK if score["informative"] == "informative" else GREY for score in scores]
    arrows = ["triangle-left" if score["skill"] < 0 else "triangle-right" for score in scores]
    symbols = ["circle" if ok else arrow for ok, arrow in zip(inside, arrows, strict=True)]
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": shown,
        "y": [text(name) for name, _ in ordered],
        "error_x": {**spans(shown, intervals), "color": colour[0]},
        "marker": {"color": colour, "size": 9, "symbol": symbols},
        "hoverinfo": "text",
        "hovertext": [
            f"{text(name)}: skill {skill_text(score)}, n = {score['n']}" for name, score in ordered
        ],
    }
    low = min([*shown, 0.0, *(i[0] for i in intervals if i)])
    high = max([*shown, 1.0, *(i[1] for i in intervals if i)])
    axis = {"range": [max(low, LEAST) - 0.08, min(high, MOST) + 0.08], "zeroline": False}
    layout = by_method(len(ordered), "skill", xaxis=axis, shapes=[line_at(0.0), line_at(1.0)])
    return {"data": [trace], "layout": layout}
