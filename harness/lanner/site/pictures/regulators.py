"""Regulators one by one: how many edges each method gives them, how many are real, how well they rank."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lanner.site.network_details import Gathered, Regulator
from lanner.site.pictures import ROW_HEIGHT, Picture, text
from lanner.site.pictures.edge_overlap import SCALE

MOST = 60
"""Regulators a figure shows: those with most positives; the table has all."""


def regulators(found: Gathered) -> Picture | None:
    """The picture of one place, a figure for each thing that edges are held against."""
    by_truth: dict[str, list[Regulator]] = {}
    for item in found.regulators:
        by_truth.setdefault(item.truth, []).append(item)
    if not by_truth:
        return None
    return Picture(
        id="regulators",
        title="Regulators one by one",
        caption="Average precision (AUPRC) of each regulator's own pairs, regulators with most real edges "
        f"first, at most {MOST}; empty where a method gives a regulator no edge, or where none or all of its "
        "pairs are real. The table has all regulators: edges predicted, real edges, those found, the AUPRC "
        "and what a constant ranking gets (chance). Intervened on: enough held-out cells of its intervention "
        "to judge it; seen in training: the method could see cells of that intervention, regime permitting.",
        columns=(
            *("held against", "regulator", "method", "intervened on", "seen in training", "edges"),
            *("real edges", "found", "AUPRC", "chance"),
        ),
        rows=[
            (
                r.truth,
                r.name,
                r.method,
                r.intervened,
                r.seen,
                r.edges,
                r.positives,
                r.found,
                r.auprc,
                r.chance,
            )
            for rows in by_truth.values()
            for r in sorted(rows, key=_most_first)
        ],
        figures={truth: _figure(rows) for truth, rows in by_truth.items()},
        choice="held against",
    )


def _most_first(item: Regulator) -> tuple[float, str]:
    """Sorts regulators by real edges, then name; methods stay in the order they came in."""
    return -(item.positives or 0.0), item.name


def _figure(rows: Sequence[Regulator]) -> dict[str, Any]:
    names = list(dict.fromkeys(item.name for item in sorted(rows, key=_most_first)))[:MOST]
    methods = list(dict.fromkeys(item.method for item in rows))
    found = {(item.method, item.name): item for item in rows}
    cells = [[found.get((method, name)) for name in names] for method in methods]
    trace = {
        "type": "heatmap",
        "x": [text(name) for name in names],
        "y": [text(name) for name in methods],
        "z": [[None if item is None else item.auprc for item in line] for line in cells],
        "text": [[_told(item) for item in line] for line in cells],
        "hovertemplate": "%{y}, %{x}: %{text}<extra></extra>",
        "colorscale": SCALE,
        "zmin": 0,
        "zmax": 1,
        "xgap": 1,
        "ygap": 1,
        "colorbar": {"title": {"text": "AUPRC"}, "thickness": 12, "len": 1},
    }
    return {
        "data": [trace],
        "layout": {
            "height": 190 + ROW_HEIGHT * max(len(methods), 4),
            "margin": {"l": 10, "r": 10, "t": 34, "b": 10},
            "xaxis": {"type": "category", "automargin": True, "tickangle": -60, "showgrid": False},
            "yaxis": {"type": "category", "automargin": True, "autorange": "reversed", "showgrid": False},
        },
    }


def _told(item: Regulator | None) -> str:
    if item is None:
        return ""
    area = "no AUPRC" if item.auprc is None else f"AUPRC {item.auprc:.2f}"
    return f"{area}, {item.found or 0:g} of {item.positives or 0:g} real edges among {item.edges or 0:g}"
