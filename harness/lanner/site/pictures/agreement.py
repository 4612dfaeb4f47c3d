"""Do metrics order the methods alike? Kendall's tau-b between metrics, and between variants of one metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lanner.aggregate import standings
from lanner.cards import CARDS
from lanner.site.pictures import ROW_HEIGHT, Picture, text
from lanner.site.pictures.heatmap import SCALE, cells

LEAST_METHODS = 4
"""With three methods tau has four values and says little."""

Order = Mapping[str, float]
Matrix = NDArray[np.float64]


def agreement(summaries: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> Picture | None:
    """The picture of the summaries of one table; None with fewer than 4 scored methods or 2 metrics."""
    scored = [summary for summary in summaries if summary["scores"] is not None]
    names = list(dict.fromkeys(key for s in scored for key in s["scores"]))
    orders = {name: _order(name, scored) for name in names if name.partition("@")[0] in CARDS}
    own = [name for name in metrics if len(orders.get(name, {})) >= LEAST_METHODS]
    if len(scored) < LEAST_METHODS or len(own) < 2:
        return None
    figures, rows = {}, []
    table = kendall([orders[name] for name in own], [orders[name] for name in own])
    figures["between metrics"] = _figure(own, own, table)
    rows += [
        (a, b, tau[0], tau[1])
        for a, line in zip(own, table, strict=True)
        for b, tau in zip(own, line, strict=True)
        if a < b
    ]
    variants = sorted({name.partition("@")[2] for name in names if "@" in name})
    if variants:
        across = [
            kendall([orders[name]], [orders.get(f"{name}@{variant}", {}) for variant in variants])[0]
            for name in own
        ]
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


def kendall(a: Sequence[Order], b: Sequence[Order]) -> list[list[tuple[float | None, int]]]:
    """Tau-b of every order of ``a`` with every one of ``b``, over the methods both order, and their number.

    tau-b = sum st / sqrt(sum s^2 sum t^2) over pairs of methods, s and t the signs of their differences
    (Kendall 1945, Biometrika 33:239-251). All sums are of whole numbers: exact up to the last division.
    None where fewer than ``LEAST_METHODS`` methods are in both, or where all of them tie.
    """
    methods = sorted({name for order in (*a, *b) for name in order})
    (known_a, sign_a, pairs_a), (known_b, sign_b, pairs_b) = _signs(a, methods), _signs(b, methods)
    shared = known_a @ known_b.T
    spread = ((sign_a**2) @ pairs_b.T) * (pairs_a @ (sign_b**2).T)
    told = (shared >= LEAST_METHODS) & (spread > 0)
    tau = (sign_a @ sign_b.T) / np.sqrt(np.where(told, spread, 1.0))
    return [
        [(float(tau[i, j]) if told[i, j] else None, int(shared[i, j])) for j in range(len(b))]
        for i in range(len(a))
    ]


def _signs(orders: Sequence[Order], methods: Sequence[str]) -> tuple[Matrix, Matrix, Matrix]:
    """A line per order: which methods it has, signs of differences over pairs, which pairs it has."""
    shape = (len(orders), len(methods))
    places = np.array([[order.get(name, np.nan) for name in methods] for order in orders]).reshape(shape)
    known = ~np.isnan(places)
    first, second = np.triu_indices(len(methods), 1)
    pairs = known[:, first] & known[:, second]
    sign = np.zeros(pairs.shape)
    np.sign(places[:, first] - places[:, second], out=sign, where=pairs)
    return known.astype(float), sign, pairs.astype(float)


def _figure(
    columns: Sequence[str], lines: Sequence[str], table: Sequence[Sequence[tuple[float | None, int]]]
) -> dict[str, Any]:
    values = [[tau for tau, _ in line] for line in table]
    labels = [["" if tau is None else f"{tau + 0.0:.2f}" for tau in line] for line in values]
    bar = {"title": {"text": "tau"}, "thickness": 12, "len": 1}
    traces = cells(values, labels, SCALE, "%{y} and %{x}: tau %{text}<extra></extra>", bar)
    shared = {"x": [text(name) for name in columns], "y": [text(name) for name in lines]}
    return {
        "data": [{**shared, **trace} for trace in traces],
        "layout": {
            "height": 160 + ROW_HEIGHT * max(len(lines), 4),
            "margin": {"l": 10, "r": 10, "t": 34, "b": 10},
            "xaxis": {"type": "category", "automargin": True, "tickangle": -35, "showgrid": False},
            "yaxis": {"type": "category", "automargin": True, "autorange": "reversed", "showgrid": False},
        },
    }
