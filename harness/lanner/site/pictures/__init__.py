"""Pictures: one file each, plain Plotly figures made of what leaderboard.json and the runs hold.

A picture is data before it is a drawing: its table is the text alternative on the page and the download.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lanner.records import printable

MARK, GREY, QUIET, INK, GOOD = "var(--mark)", "var(--grey)", "var(--quiet)", "var(--ink)", "var(--good)"
"""Colours by role: the page's script puts in those of the light or the dark scheme."""

ROW_HEIGHT, MARGIN = 22, 90

Cell = str | float | int | bool | None


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One figure with its text alternative.

    ``figures`` maps a choice of the reader (a metric) to a Plotly figure, ``{"data", "layout"}``; ``columns``
    and ``rows`` are the numbers of all of them. ``lazy`` describes a picture the page's script draws from a
    data file when asked for.
    """

    id: str
    title: str
    caption: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]
    figures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    choice: str = "metric"
    lazy: Mapping[str, Any] | None = None


def text(name: object) -> str:
    """Text as Plotly shows it literally: its labels understand some HTML."""
    shown = printable(str(name))
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def by_method(count: int, x_title: str, **layout: Any) -> dict[str, Any]:
    """The layout of a picture with a line per method, the first one on top; heights in pixels."""
    return {
        "height": MARGIN + ROW_HEIGHT * max(count, 3),
        "margin": {"l": 10, "r": 10, "t": 34, "b": 45},
        "xaxis": {"title": {"text": text(x_title)}, "automargin": True, **layout.pop("xaxis", {})},
        "yaxis": {"automargin": True, "autorange": "reversed", "type": "category", "ticksuffix": " "},
        "showlegend": False,
        **layout,
    }


def line_at(x: float) -> dict[str, Any]:
    """A vertical line across the picture."""
    return {
        "type": "line", "xref": "x", "yref": "paper", "x0": x, "x1": x, "y0": 0, "y1": 1,
        "line": {"color": QUIET, "width": 1, "dash": "dot"}, "layer": "below",
    }  # fmt: skip


def spans(values: Sequence[float], intervals: Sequence[Sequence[float] | None]) -> dict[str, Any]:
    """Error bars for values with intervals; none where there is no interval."""
    high = [
        interval[1] - value if interval else 0.0 for value, interval in zip(values, intervals, strict=True)
    ]
    low = [
        value - interval[0] if interval else 0.0 for value, interval in zip(values, intervals, strict=True)
    ]
    return {
        "type": "data",
        "symmetric": False,
        "array": high,
        "arrayminus": low,
        "thickness": 1.5,
        "width": 3,
    }


def interval_cells(interval: Sequence[float] | None) -> tuple[float | None, float | None]:
    """Both ends of an interval as cells of a table."""
    return (interval[0], interval[1]) if interval else (None, None)
