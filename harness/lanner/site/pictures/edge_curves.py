"""Precision and recall of edges, strongest first: a line per method and bound, chance as a dotted line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lanner.site.network_details import Curve, Gathered
from lanner.site.pictures import GREY, INK, QUIET, Picture, text
from lanner.site.pictures.curves import COLOURS

HEIGHT, LEGEND_ROW = 460, 20
"""Pixels of the plot with its axes, and of three entries of the legend."""
DASHES = {"negative bound": "dot", "positive bound": "dash"}


def edge_curves(found: Gathered) -> Picture | None:
    """The picture of one place, a figure for each thing that edges are held against."""
    by_truth: dict[str, list[Curve]] = {}
    for curve in found.curves:
        by_truth.setdefault(curve.truth, []).append(curve)
    shown = {truth: _ordered(lines) for truth, lines in by_truth.items() if any(c.precision for c in lines)}
    if not shown:
        return None
    return Picture(
        id="edge-curves",
        title="Precision and recall of edges",
        caption="All pairs of a candidate regulator and a gene, strongest first; pairs without an edge come "
        "last, all tied. Tied pairs stand at the mean over their orders, held-out effects at the mean over "
        "halves of the held-out cells. The dotted horizontal line is the prevalence: the precision of a "
        "guess. In the legend the area under each line (AUPRC). Positive bounds are dashed in the colour "
        "of the text, negative ones dotted in grey. A network none of whose edges can be judged has no line.",
        columns=(
            *("held against", "method or bound", "kind", "AUPRC", "prevalence", "positives", "pairs"),
            *("recall", "precision"),
        ),
        rows=[
            (truth, c.name, c.kind, c.auprc, c.prevalence, c.positives, c.pairs, recall, precision)
            for truth, lines in shown.items()
            for c in lines
            for recall, precision in zip(c.recall or (None,), c.precision or (None,), strict=True)
        ],
        figures={truth: _figure(lines) for truth, lines in shown.items()},
        choice="held against",
    )


def _ordered(lines: Sequence[Curve]) -> list[Curve]:
    """Methods by their area, then bounds by theirs; those without one last."""
    return sorted(lines, key=lambda c: (c.kind != "method", -1.0 if c.auprc is None else -c.auprc, c.name))


def _figure(lines: Sequence[Curve]) -> dict[str, Any]:
    drawn = [curve for curve in lines if curve.precision]
    prevalence = sum(curve.prevalence for curve in drawn) / len(drawn)
    traces = [_trace(curve, number) for number, curve in enumerate(drawn)]
    chance = {
        "type": "line", "xref": "paper", "yref": "y", "x0": 0, "x1": 1, "y0": prevalence, "y1": prevalence,
        "line": {"color": QUIET, "width": 1, "dash": "dot"}, "layer": "below",
    }  # fmt: skip
    label = {
        "xref": "paper", "yref": "y", "x": 1, "y": prevalence, "xanchor": "right", "yanchor": "bottom",
        "text": f"prevalence {prevalence:.3g}", "showarrow": False, "font": {"color": QUIET, "size": 11},
    }  # fmt: skip
    return {
        "data": traces,
        "layout": {
            "height": HEIGHT + LEGEND_ROW * -(-len(drawn) // 3),
            "margin": {"l": 10, "r": 10, "t": 34, "b": 45},
            "xaxis": {"title": {"text": "recall"}, "range": [0, 1.01], "automargin": True},
            "yaxis": {"title": {"text": "precision"}, "range": [0, 1.03], "automargin": True},
            "shapes": [chance],
            "annotations": [label],
            "legend": {"orientation": "h", "y": -0.2},
        },
    }


def _trace(curve: Curve, number: int) -> dict[str, Any]:
    bound = curve.kind in DASHES
    colour = (INK if curve.kind == "positive bound" else GREY) if bound else COLOURS[number % len(COLOURS)]
    dash = DASHES.get(curve.kind, "solid" if number < len(COLOURS) else "longdash")
    return {
        "type": "scatter",
        "mode": "lines",
        "x": curve.recall,
        "y": curve.precision,
        "name": f"{text(curve.name)} {curve.auprc:.2f}",
        "line": {"color": colour, "dash": dash, "width": 1.2 if bound else 2},
        "hovertemplate": "%{fullData.name}: precision %{y:.3f} at recall %{x:.3f}<extra></extra>",
    }
