"""Paired differences to the task's reference, with their intervals: does a method know more than that?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lanner.site.pictures import GOOD, GREY, MARK, Picture, by_method, interval_cells, line_at, spans, text

REFERENCE = "train-mean"


def forest(
    compared: Mapping[str, Mapping[str, Any]], metrics: Sequence[str], reference: str
) -> Picture | None:
    """The picture of comparisons of one table, by metric; ``reference`` in words."""
    figures, rows = {}, []
    for metric in metrics:
        item = compared.get(metric)
        found = (item or {}).get("against_reference") or {}
        others = sorted(
            ((name, gain) for name, gain in found.items() if name != REFERENCE),
            key=lambda pair: (-pair[1]["gain"], pair[0]),
        )
        if not others:
            continue
        figures[metric] = _figure(others, metric, reference)
        rows += [
            (
                metric,
                name,
                gain["gain"],
                *interval_cells(gain["interval"]),
                gain["p"],
                gain["p_holm"],
                gain["better"],
            )
            for name, gain in others
        ]
    if not figures:
        return None
    return Picture(
        id="forest",
        title=f"Against {reference}",
        caption=f"Mean paired difference to {reference} over all that is scored, in the metric's unit "
        "and turned so that right of the dotted line is better, with its 95 % interval. Green: "
        "better by the interval and by p after Holm's correction; blue: by the uncorrected "
        "interval alone; grey: neither.",
        columns=("metric", "method", "gain", "low", "high", "p", "p after Holm", "better"),
        rows=rows,
        figures=figures,
    )


def _figure(others: Sequence[tuple[str, Mapping[str, Any]]], metric: str, reference: str) -> dict[str, Any]:
    values = [gain["gain"] for _, gain in others]
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": values,
        "y": [text(name) for name, _ in others],
        "error_x": {**spans(values, [gain["interval"] for _, gain in others]), "color": GREY},
        "marker": {"color": [_colour(gain) for _, gain in others], "size": 9, "symbol": "square"},
        "hoverinfo": "text",
        "hovertext": [f"{text(name)}: {_told(gain)}" for name, gain in others],
    }
    return {
        "data": [trace],
        "layout": by_method(len(others), f"gain on {reference}, {metric}", shapes=[line_at(0.0)]),
    }


def _colour(gain: Mapping[str, Any]) -> str:
    if gain["better"]:
        return GOOD
    return MARK if gain["interval"] is not None and gain["interval"][0] > 0 else GREY


def _told(gain: Mapping[str, Any]) -> str:
    span = " [{:+.3g}, {:+.3g}]".format(*gain["interval"]) if gain["interval"] else ""
    p = "" if gain["p_holm"] is None else f", p {gain['p_holm']:.2g} after Holm"
    return f"{gain['gain'] + 0.0:+.3g}{span}{p}"
