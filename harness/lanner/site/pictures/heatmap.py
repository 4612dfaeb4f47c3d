"""Methods by metrics: skill as colour, metrics that are not informative in grey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lanner.site.pictures import ROW_HEIGHT, Picture, text

SCALE = [[0.0, "#b2182b"], [0.25, "#f4a582"], [0.5, "#f7f7f7"], [0.75, "#92c5de"], [1.0, "#2166ac"]]
FLAGGED = [[0.0, "#8b95a1"], [1.0, "#8b95a1"]]


def skill_heatmap(summaries: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> Picture | None:
    """The picture of ``summaries`` (of one table, in its order) for the metrics that have a skill."""
    scored = [summary for summary in summaries if summary["scores"] is not None]
    shown = [
        metric
        for metric in metrics
        if any((s["scores"].get(metric) or {}).get("skill") is not None for s in scored)
    ]
    if not shown:
        return None
    rows = []
    known, flagged, labels = [], [], []
    for summary in scored:
        found = [summary["scores"].get(metric) or {} for metric in shown]
        skills = [score.get("skill") for score in found]
        informative = [score.get("informative") == "informative" for score in found]
        known.append([skill if good else None for skill, good in zip(skills, informative, strict=True)])
        flagged.append(
            [None if good or skill is None else 0 for skill, good in zip(skills, informative, strict=True)]
        )
        labels.append(["" if skill is None else f"{round(skill, 2) + 0.0:.2f}" for skill in skills])
        rows += [
            (summary["method"], metric, score.get("skill"), score.get("informative"))
            for metric, score in zip(shown, found, strict=True)
        ]
    return Picture(
        id="heatmap",
        title="Methods by metrics",
        caption="Skill, from red (at -1 or below) over white (0, no better than the best negative bound) "
        "to blue (1). Grey: the metric is not informative on this dataset and split; empty: no "
        "skill.",
        columns=("method", "metric", "skill", "informative"),
        rows=rows,
        figures={"all": skill_figure([s["method"] for s in scored], shown, known, flagged, labels)},
    )


def skill_figure(
    methods: Sequence[str],
    columns: Sequence[str],
    known: Sequence[Sequence[float | None]],
    flagged: Sequence[Sequence[float | None]],
    labels: Sequence[Sequence[str]],
) -> dict[str, Any]:
    """Skill as colour, a line per method; ``flagged`` cells in grey, ``(n_methods, n_columns)`` each."""
    shared = {
        "type": "heatmap",
        "x": [text(name) for name in columns],
        "y": [text(name) for name in methods],
        "text": labels,
        "xgap": 2,
        "ygap": 2,
        "texttemplate": "%{text}",
        "hovertemplate": "%{y}, %{x}: %{text}<extra></extra>",
    }
    bar = {"title": {"text": "skill"}, "thickness": 12, "len": 1}
    of_known = {**shared, "z": known, "colorscale": SCALE, "zmin": -1, "zmax": 1, "colorbar": bar}
    of_flagged = {
        **shared,
        "z": flagged,
        "colorscale": FLAGGED,
        "zmin": 0,
        "zmax": 1,
        "showscale": False,
        "textfont": {"color": "#101418"},
        "hovertemplate": "%{y}, %{x}: %{text}, not informative<extra></extra>",
    }
    return {
        "data": [of_flagged, of_known],
        "layout": {
            "height": 190 + ROW_HEIGHT * max(len(methods), 4),
            "margin": {"l": 10, "r": 10, "t": 34, "b": 10},
            "xaxis": {"type": "category", "automargin": True, "tickangle": -35, "showgrid": False},
            "yaxis": {"type": "category", "automargin": True, "autorange": "reversed", "showgrid": False},
        },
    }
