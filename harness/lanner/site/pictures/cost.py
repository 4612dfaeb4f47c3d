"""What a method costs and what it is worth: wall seconds of its runs against skill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lanner.site.pictures import GREY, MARK, Picture, interval_cells, line_at, spans, text

SIDES = ("top right", "bottom right", "top left", "bottom left")
"""Where names stand, in turn by cost: neighbours would lie on each other."""


def cost_and_skill(
    summaries: Sequence[Mapping[str, Any]],
    metrics: Sequence[str],
    cost_of: Mapping[str, Mapping[str, float | None]],
) -> Picture | None:
    """The picture of one table's summaries; ``cost_of`` maps a method to ``material.costs`` of its runs."""
    figures, rows = {}, []
    for metric in metrics:
        shown = [
            (s["method"], s["scores"][metric], cost_of[s["method"]])
            for s in summaries
            if (s["scores"] or {}).get(metric, {}).get("skill") is not None
            and cost_of.get(s["method"], {}).get("wall_seconds")
        ]
        if not shown:
            continue
        figures[metric] = _figure(shown)
        rows += [
            (metric, name, score["skill"], *interval_cells(score["skill_interval"]), cost["wall_seconds"],
             cost["cpu_seconds"], cost["peak_memory_mb"], cost["image_mb"])
            for name, score, cost in shown
        ]  # fmt: skip
    if not figures:
        return None
    return Picture(
        id="cost",
        title="Cost and skill",
        caption="Wall-clock seconds of a method's runs on this split together, on a logarithmic scale, "
        "against skill with its 95 % interval. Up and left is better. Times are of the machine "
        "the runs were made on.",
        columns=(
            *("metric", "method", "skill", "skill low", "skill high", "wall seconds", "CPU seconds"),
            *("peak memory MB", "image MB"),
        ),
        rows=rows,
        figures=figures,
    )


def _figure(shown: Sequence[tuple[str, Mapping[str, Any], Mapping[str, float | None]]]) -> dict[str, Any]:
    skills = [score["skill"] for _, score, _ in shown]
    places = {
        name: n for n, (name, *_) in enumerate(sorted(shown, key=lambda item: item[2]["wall_seconds"] or 0.0))
    }
    colours = [MARK if score["informative"] == "informative" else GREY for _, score, _ in shown]
    trace = {
        "type": "scatter",
        "mode": "markers+text" if len(shown) <= 20 else "markers",
        "x": [cost["wall_seconds"] for *_, cost in shown],
        "y": skills,
        "error_y": {**spans(skills, [score["skill_interval"] for _, score, _ in shown]), "color": GREY},
        "text": [text(name) for name, *_ in shown],
        "textposition": [SIDES[places[name] % len(SIDES)] for name, *_ in shown],
        "cliponaxis": False,
        "marker": {"color": colours, "size": 9},
        "hovertemplate": "%{text}: skill %{y:.2f}, %{x:.3g} s<extra></extra>",
    }
    level = {**line_at(0), "xref": "paper", "yref": "y", "x0": 0, "x1": 1, "y0": 0, "y1": 0}
    low, high = min([*skills, 0.0]), max([*skills, 1.0])
    return {
        "data": [trace],
        "layout": {
            "height": 430,
            "margin": {"l": 10, "r": 90, "t": 34, "b": 45},
            "xaxis": {
                "type": "log",
                "title": {"text": "wall seconds, all runs together"},
                "automargin": True,
            },
            "yaxis": {
                "title": {"text": "skill"},
                "automargin": True,
                "range": [max(low, -1.0) - 0.1, min(high, 2.0) + 0.1],
            },
            "shapes": [level, {**level, "y0": 1, "y1": 1}],
            "showlegend": False,
        },
    }
