"""How stable the first place is: in which share of bootstrap draws each method is first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lanner.site.pictures import MARK, Picture, by_method, text


def stability(compared: Mapping[str, Mapping[str, Any]], metrics: Sequence[str]) -> Picture | None:
    """The picture of comparisons of one table, by metric; ranks stand in its table."""
    figures, rows = {}, []
    for metric in metrics:
        item = compared.get(metric) or {}
        shares, ranks = item.get("first_share") or {}, item.get("ranks") or {}
        if not shares:
            continue
        ordered = sorted(shares.items(), key=lambda pair: (-pair[1], ranks.get(pair[0], 0), pair[0]))
        rows += [(metric, name, share, ranks.get(name)) for name, share in ordered]
        trace = {
            "type": "bar",
            "orientation": "h",
            "x": [share for _, share in ordered],
            "y": [text(name) for name, _ in ordered],
            "marker": {"color": MARK},
            "hoverinfo": "text",
            "textposition": "none",
            "hovertext": [f"{text(name)}: first in {100 * share:.1f} % of draws" for name, share in ordered],
        }
        axis = {"range": [0, 1], "tickformat": ".0%"}
        layout = by_method(len(ordered), "share of bootstrap draws in which the method is first", xaxis=axis)
        figures[metric] = {"data": [trace], "layout": layout}
    if not figures:
        return None
    return Picture(
        id="stability",
        title="Rank stability",
        caption="What is scored is drawn again, by the units of the intervals. A first place that holds in "
        "few draws is no finding.",
        columns=("metric", "method", "first in share of draws", "rank"),
        rows=rows,
        figures=figures,
    )
