"""Do metrics order the methods alike? Kendall's tau-b between metrics, and between variants of one metric."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lanner.aggregate import standings
from lanner.cards import CARDS
from lanner.site.pictures import ROW_HEIGHT, Picture, text
from lanner.site.pictures.heatmap import SCALE

LEAST_METHODS = 4
"""With three methods tau has four values and says little."""

Order = Mapping[str, float]


def agreement(summaries: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> Picture | None:
    """The picture of the summaries of one table; None with fewer than 4 scored methods or 2 metrics."""
    scored = [summary for summary in summaries if summary["scores"] is not None]
    names = list(dict.fromkeys(key for s in scored for key in s["scores"]))
    orders = {name: _order(name, scored) for name in names if name.partition("@")[0] in CARDS}
    own = [name for name in metrics if len(orders.get(name, {})) >= LEAST_METHODS]
    if len(scored) < LEAST_METHODS or len(own) < 2:
        return None
    figures, rows = {}, []
    table = [[_tau(orders[a], orders[b]) for b in own] for a in own]
    figures["between metrics"] = _figure(own, own, table)
    rows += [
        (a, b, tau[0], tau[1])
        for a, line in zip(own, table, strict=True)
        for b, tau in zip(own, line, strict=True)
        if a < b
    ]
    variants = sorted({name.partition("@")[2] for name in names if "@" in name})
    if variants:
        across = [[_tau(orders[a], orders.get(f"{a}@{v}", {})) for v in variants] for a in own]
        figures["with own variants"] = _figure([f"@{v}" for v in variants], own, across)
        rows += [
            (a, f"{a}@{v}", tau[0], tau[1])
            for a, line in zip(own, across, strict=True)
            for v, tau in zip(variants, line, strict=True)
        ]
    return Picture(
        id="agreement",
        title="Metric agreement",
        caption="Kendall's tau-b between the orders of the methods: 1 the same order, -1 the reverse. "
        "Variants of one metric differ in masking (@unmasked), in scoring against all cells "
        "(@all-cells) and in counting each unit's own value alike (@own).",
        columns=("metric", "and", "tau", "methods"),
        rows=rows,
        figures=figures,
        choice="comparison",
    )


def _order(name: str, scored: Sequence[Mapping[str, Any]]) -> Order:
    rows = {s["method"]: s["scores"][name] for s in scored if name in s["scores"]}
    return standings(name.partition("@")[0], rows)


def _tau(a: Order, b: Order) -> tuple[float | None, int]:
    """Tau-b over the methods both order (Kendall 1945), and how many they are; None where it is undefined."""
    from scipy.stats import kendalltau

    both = sorted(set(a) & set(b))
    if len(both) < LEAST_METHODS:
        return None, len(both)
    tau = float(kendalltau([a[name] for name in both], [b[name] for name in both]).statistic)
    return (None if math.isnan(tau) else tau), len(both)


def _figure(
    columns: Sequence[str], lines: Sequence[str], table: Sequence[Sequence[tuple[float | None, int]]]
) -> dict[str, Any]:
    values = [[tau for tau, _ in line] for line in table]
    trace = {
        "type": "heatmap",
        "x": [text(name) for name in columns],
        "y": [text(name) for name in lines],
        "z": values,
        "text": [["" if tau is None else f"{tau + 0.0:.2f}" for tau in line] for line in values],
        "texttemplate": "%{text}",
        "hovertemplate": "%{y} and %{x}: tau %{text}<extra></extra>",
        "colorscale": SCALE,
        "zmin": -1,
        "zmax": 1,
        "xgap": 2,
        "ygap": 2,
        "colorbar": {"title": {"text": "tau"}, "thickness": 12, "len": 1},
    }
    return {
        "data": [trace],
        "layout": {
            "height": 160 + ROW_HEIGHT * max(len(lines), 4),
            "margin": {"l": 10, "r": 10, "t": 34, "b": 10},
            "xaxis": {"type": "category", "automargin": True, "tickangle": -35, "showgrid": False},
            "yaxis": {"type": "category", "automargin": True, "autorange": "reversed", "showgrid": False},
        },
    }
