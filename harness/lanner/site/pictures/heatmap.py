"""Methods by metrics: skill as colour, metrics that are not informative in grey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lanner.site.pictures import ROW_HEIGHT, Picture, text

Colour = tuple[float, ...]
Table = Sequence[Sequence[float | None]]

SCALE = [[0.0, "#b2182b"], [0.25, "#f4a582"], [0.5, "#f7f7f7"], [0.75, "#92c5de"], [1.0, "#2166ac"]]
FLAGGED = [[0.0, "#8b95a1"], [1.0, "#8b95a1"]]
LEAST, MOST = -1.0, 1.0
"""What the ends of a scale stand for; values beyond have the colour of the end."""
DARK, LIGHT = "#000000", "#ffffff"
"""Text on cells: of black and white one has a contrast of at least 4.58 on any ground; AA asks for 4.5."""


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
    known: Table,
    flagged: Table,
    labels: Sequence[Sequence[str]],
) -> dict[str, Any]:
    """Skill as colour, a line per method; ``flagged`` cells in grey, ``(n_methods, n_columns)`` each."""
    shared = {"x": [text(name) for name in columns], "y": [text(name) for name in methods]}
    bar = {"title": {"text": "skill"}, "thickness": 12, "len": 1}
    of_known = cells(known, labels, SCALE, "%{y}, %{x}: %{text}<extra></extra>", bar)
    of_flagged = cells(flagged, labels, FLAGGED, "%{y}, %{x}: %{text}, not informative<extra></extra>")
    return {
        "data": [{**shared, **trace} for trace in (*of_flagged, *of_known)],
        "layout": {
            "height": 190 + ROW_HEIGHT * max(len(methods), 4),
            "margin": {"l": 10, "r": 10, "t": 34, "b": 10},
            "xaxis": {"type": "category", "automargin": True, "tickangle": -35, "showgrid": False},
            "yaxis": {"type": "category", "automargin": True, "autorange": "reversed", "showgrid": False},
        },
    }


def cells(
    values: Table,
    labels: Sequence[Sequence[str]],
    scale: Sequence[Sequence[Any]],
    hover: str,
    bar: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Coloured cells with their labels: a trace of those with dark text, and one of those with light text.

    ``values`` run from ``LEAST`` to ``MOST`` of ``scale``, None for no cell. Plotly has one colour of text a
    trace, and its own choice of it reaches no contrast in particular.
    """
    traces = []
    for ink in (DARK, LIGHT):
        mine = [[v is not None and ink_on(colour_at(v, scale)) == ink for v in line] for line in values]
        if ink == LIGHT and not any(any(line) for line in mine):
            continue
        shown = ink == DARK and bar is not None
        traces.append(
            {
                "type": "heatmap",
                "z": _where(mine, values, None),
                "text": _where(mine, labels, ""),
                "texttemplate": "%{text}",
                "textfont": {"color": ink},
                "hovertemplate": hover,
                "hoverongaps": False,
                "colorscale": scale,
                "zmin": LEAST,
                "zmax": MOST,
                "xgap": 2,
                "ygap": 2,
                "showscale": shown,
                **({"colorbar": bar} if shown else {}),
            }
        )
    return traces


def _where(mine: Sequence[Sequence[bool]], table: Sequence[Sequence[Any]], other: Any) -> list[list[Any]]:
    return [
        [cell if ok else other for ok, cell in zip(oks, line, strict=True)]
        for oks, line in zip(mine, table, strict=True)
    ]


def colour_at(value: float, scale: Sequence[Sequence[Any]]) -> Colour:
    """The colour Plotly gives a value: red, green and blue in 0..255, linear between the scale's stops."""
    at = (min(max(value, LEAST), MOST) - LEAST) / (MOST - LEAST)
    right = next(i for i in range(1, len(scale)) if at <= scale[i][0])
    (low, first), (high, last) = scale[right - 1], scale[right]
    share = (at - low) / (high - low)
    return tuple(a + share * (b - a) for a, b in zip(_rgb(first), _rgb(last), strict=True))


def ink_on(ground: Colour) -> str:
    """Black or white, whichever contrasts more with ``ground``."""
    light = luminance(ground)
    return DARK if (light + 0.05) ** 2 >= 1.05 * 0.05 else LIGHT


def luminance(colour: Colour) -> float:
    """Relative luminance of sRGB 0..255 (WCAG 2.2, "relative luminance")."""
    parts = [part / 255 for part in colour]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _rgb(colour: str) -> Colour:
    return tuple(float(int(colour[i : i + 2], 16)) for i in (1, 3, 5))
