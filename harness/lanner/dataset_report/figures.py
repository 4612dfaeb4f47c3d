"""The report's figures, as plotly divisions that share one script; names of a dataset are text in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
from markupsafe import Markup

from lanner.records import printable

BLUE, ORANGE, GREY = "#2c6fbb", "#c8591b", "#8a8f98"
LIMIT = {"color": ORANGE, "dash": "dash", "width": 2}
HEIGHT = 340
NAMED = 60
"""Up to this many bars have their names below them; all have them under the cursor."""


def figures(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Markup]]:
    """``(title, what it shows, HTML)`` of every figure the report has data for."""
    measures = document["measures"]
    conditions = sorted(measures["conditions"], key=lambda row: (-row["cells"], row["condition"]))
    names = [_text(row["condition"]) for row in conditions]
    yield (
        "Cells per condition",
        "Conditions from most to fewest cells; below 40 a half has too few for population metrics.",
        _drawn("cells", _bars(names, [row["cells"] for row in conditions]), "cells", line=40),
    )
    if any(row["umi"] is not None for row in conditions):
        yield (
            "UMI per condition",
            "Median count of a cell, conditions in the same order.",
            _drawn("umi", _bars(names, [row["umi"] for row in conditions]), "median UMI"),
        )
    yield from _knockdown(measures["knockdown"])
    agreeing = [row for row in conditions if row["agreement"] is not None]
    if agreeing:
        points = go.Scatter(
            x=[row["cells"] for row in agreeing],
            y=[row["agreement"] for row in agreeing],
            text=[_text(row["condition"]) for row in agreeing],
            mode="markers",
            marker={"color": BLUE, "size": 7, "opacity": 0.7},
            hovertemplate="%{text}<br>%{x} cells, r %{y:.2f}<extra></extra>",
        )
        yield (
            "Replicate agreement",
            "Pearson correlation of the changes of all genes, measured in two halves of the cells. Where it "
            "is low, what a method is compared with is mostly noise.",
            _drawn("agreement", [points], "r of the halves", x="cells", line=0),
        )
    yield from _range(document["range"] or [])


def _knockdown(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, Markup]]:
    judged = sorted((row for row in rows if row["judged"]), key=lambda row: row["log2_fold"])
    if judged:
        colours = [BLUE if row["log2_fold"] < 0 else ORANGE for row in judged]
        bars = _bars(
            [_text(row["condition"]) for row in judged], [row["log2_fold"] for row in judged], colours
        )
        left_out = len(rows) - len(judged)
        note = f" {left_out} targets are seen in too few controls to be judged." if left_out else ""
        yield (
            "Targets' own expression",
            f"log2 of the target's mean in its condition over that in the context's controls.{note}",
            _drawn("knockdown", bars, "log2 fold", line=0),
        )


def _range(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, Markup]]:
    known = [row for row in rows if row["bds"] is not None]
    if not known:
        return
    labels = [_text(f"{row['split']}: {row['metric']}") for row in known]
    dots = go.Scatter(
        x=[row["bds"] for row in known],
        y=labels,
        mode="markers",
        marker={
            "color": [BLUE if row["informative"] == "informative" else GREY for row in known],
            "size": 10,
        },
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [0.0] * len(known),
            "arrayminus": [
                row["bds"] - row["bds_lower"] if row["bds_lower"] is not None else 0.0 for row in known
            ],
            "color": GREY,
        },
        hovertemplate="%{y}<br>BDS %{x:.2f}<extra></extra>",
    )
    figure = _figure([dots])
    figure.update_xaxes(
        title="share of conditions where a technical duplicate beats every negative bound", range=[0, 1.03]
    )
    figure.update_yaxes(autorange="reversed")
    figure.add_vline(x=0.5, line=LIMIT)
    figure.update_layout(height=max(HEIGHT, 90 + 22 * len(known)))
    yield (
        "Dynamic range",
        "A metric can tell methods apart where the lower 95 % bound (the whisker) exceeds one half.",
        _html("range", figure),
    )


def _bars(names: Sequence[str], values: Sequence[float | None], colours: Any = BLUE) -> list[Any]:
    return [
        go.Bar(
            x=list(range(1, len(names) + 1)),
            y=list(values),
            text=list(names),
            textposition="none",
            marker={"color": colours},
            hovertemplate="%{text}<br>%{y:.4g}<extra></extra>",
        )
    ]


def _drawn(name: str, traces: Sequence[Any], y: str, *, x: str = "", line: float | None = None) -> Markup:
    figure = _figure(traces)
    figure.update_yaxes(title=y)
    figure.update_xaxes(title=x)
    names = [] if x else list(traces[0].text)
    if names:
        shown = len(names) <= NAMED
        figure.update_xaxes(
            tickvals=list(range(1, len(names) + 1)) if shown else [], ticktext=names, tickangle=-60
        )
    if line is not None:
        figure.add_hline(y=line, line=LIMIT)
    return _html(name, figure)


def _figure(traces: Sequence[Any]) -> Any:
    figure = go.Figure(data=list(traces))
    figure.update_layout(
        template="simple_white",
        height=HEIGHT,
        margin={"l": 60, "r": 20, "t": 10, "b": 50},
        showlegend=False,
        font={"family": "system-ui, sans-serif", "size": 13},
    )
    figure.update_yaxes(automargin=True)
    figure.update_xaxes(automargin=True)
    return figure


def _html(name: str, figure: Any) -> Markup:
    """A division without the library; plotly writes its data with ``<``, ``>`` and ``/`` escaped."""
    return Markup(
        figure.to_html(
            full_html=False,
            include_plotlyjs=False,
            div_id=f"figure-{name}",
            config={"displayModeBar": False, "responsive": True},
        )
    )


def _text(name: str) -> str:
    """A label that plotly, which reads a little HTML in them, shows as it is."""
    return escape(printable(name), quote=False)
