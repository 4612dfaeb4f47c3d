"""Series of splits: learning curves over the share of train, similarity curves over graded distance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lanner.site.pictures import Picture, text

SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up", "star", "pentagon")
COLOURS = ("#2f7fc1", "#d9722e", "#2f9e6e", "#b8569e", "#a3871c", "#c94f4f", "#5d7fa6", "#7a6fd0")
KINDS = {
    "data-scaling": (
        "learning",
        "Learning curves",
        "share of the training conditions",
        "What more data brings: the metric by the share of train that a method saw, averaged over"
        " repeats and seeds.",
    ),
    "graded-similarity": (
        "similarity",
        "Similarity curves",
        "distance between train and test (s)",
        "How fast a method falls off with distance: the metric by s, where 0 is a random split. "
        "The table gives the area under each curve (AUSPC).",
    ),
}
"""Series by the first part of their name: id, title, axis and caption of the picture."""


def curves(series: Sequence[Mapping[str, Any]], kind: str) -> Picture | None:
    """The picture of one dataset's series of ``kind``, a figure for each series and metric."""
    ours = [item for item in series if item["split"].partition("/")[0] == kind]
    grouped: dict[str, list[Mapping[str, Any]]] = {}
    for item in ours:
        if any(value is not None for value in item["values"]):
            name = item["metric"] if item["split"] == kind else f"{item['metric']}, {item['split']}"
            grouped.setdefault(name, []).append(item)
    if not grouped:
        return None
    identifier, title, axis, caption = KINDS[kind]
    return Picture(
        id=identifier,
        title=title,
        caption=caption,
        columns=("split", "metric", "method", "step", "value", "AUSPC"),
        rows=[
            (item["split"], item["metric"], item["method"], step, value, item["auspc"])
            for items in grouped.values()
            for item in items
            for step, value in zip(item["steps"], item["values"], strict=True)
        ],
        figures={name: _figure(items, axis) for name, items in grouped.items()},
    )


def _figure(items: Sequence[Mapping[str, Any]], axis: str) -> dict[str, Any]:
    traces = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "x": item["steps"],
            "y": item["values"],
            "name": text(item["method"]),
            "line": {
                "color": COLOURS[number % len(COLOURS)],
                "dash": "solid" if number < len(COLOURS) else "dot",
            },
            "marker": {"symbol": SYMBOLS[number % len(SYMBOLS)], "size": 7},
            "connectgaps": False,
        }
        for number, item in enumerate(items)
    ]
    return {
        "data": traces,
        "layout": {
            "height": 430,
            "margin": {"l": 10, "r": 10, "t": 34, "b": 45},
            "xaxis": {"title": {"text": axis}, "automargin": True},
            "yaxis": {"title": {"text": text(items[0]["metric"])}, "automargin": True},
            "legend": {"orientation": "h", "y": -0.25},
        },
    }
