"""Do methods find the same edges? The overlap of their strongest ones, and whether the signs agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lanner.site.network_details import Gathered, Top
from lanner.site.pictures import ROW_HEIGHT, Cell, Picture, text

SCALE = [[0.0, "#f7f7f7"], [0.5, "#92c5de"], [1.0, "#2166ac"]]
Number = float | None


def edge_overlap(found: Gathered) -> Picture | None:
    """The picture of one place; None with fewer than 2 networks."""
    by_name: dict[str, dict[str, list[Top]]] = {}
    for top in found.tops:
        by_name.setdefault(top.name, {}).setdefault(top.split, []).append(top)
    if len(by_name) < 2:
        return None
    names = list(by_name)
    table = {(a, b): _overlap(by_name[a], by_name[b]) for a in names for b in names}
    first = found.tops[0]
    rows: list[tuple[Cell, ...]] = [(a, b, *table[a, b]) for i, a in enumerate(names) for b in names[i + 1 :]]
    return Picture(
        id="edge-overlap",
        title="Agreement between networks",
        caption=f"Jaccard overlap of the strongest edges of each network, at most {first.k:,} (those that "
        "metrics ending in /top judge): edges in both over edges in either. Two random networks of "
        f"{first.k:,} of the {first.pairs:,} pairs would have {_by_chance(first):.3f}. The second choice is "
        "the share of common edges with the same sign, empty where they have none. Several runs on a split "
        "are compared each with each and averaged.",
        columns=("network", "and", "Jaccard", "edges in common", "of them with the same sign"),
        rows=rows,
        figures={
            "overlap (Jaccard)": _figure(names, table, 0, "Jaccard"),
            "same sign among common edges": _figure(names, table, 2, "same sign"),
        },
        choice="what",
    )


def _overlap(
    mine: Mapping[str, Sequence[Top]], theirs: Mapping[str, Sequence[Top]]
) -> tuple[Number, Number, Number]:
    """Jaccard, edges in common, and the share of them with one sign; means over pairs on the same split."""
    found: list[tuple[Number, Number, Number]] = []
    for split, tops in mine.items():
        for a in tops:
            for b in theirs.get(split, ()):
                common = a.signs.keys() & b.signs.keys()
                either = a.signs.keys() | b.signs.keys()
                same = sum(a.signs[edge] == b.signs[edge] for edge in common)
                found.append(
                    (
                        len(common) / len(either) if either else None,
                        float(len(common)),
                        same / len(common) if common else None,
                    )
                )
    columns = list(zip(*found, strict=True)) if found else [(), (), ()]
    jaccard, shared, sign = (_mean(column) for column in columns)
    return jaccard, shared, sign


def _by_chance(top: Top) -> float:
    """Expected overlap of two random sets of k of the pairs, by their expected intersection k^2 / pairs."""
    k = min(top.k, top.pairs)
    shared = k * k / top.pairs
    return shared / (2 * k - shared)


def _mean(values: Sequence[Number]) -> Number:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _figure(
    names: Sequence[str],
    table: Mapping[tuple[str, str], tuple[Number, Number, Number]],
    field: int,
    title: str,
) -> dict[str, Any]:
    values = [[table[a, b][field] for b in names] for a in names]
    trace = {
        "type": "heatmap",
        "x": [text(name) for name in names],
        "y": [text(name) for name in names],
        "z": values,
        "text": [["" if value is None else f"{value:.2f}" for value in line] for line in values],
        "texttemplate": "%{text}",
        "hovertemplate": "%{y} and %{x}: %{text}<extra></extra>",
        "colorscale": SCALE,
        "zmin": 0,
        "zmax": 1,
        "xgap": 2,
        "ygap": 2,
        "colorbar": {"title": {"text": title}, "thickness": 12, "len": 1},
    }
    return {
        "data": [trace],
        "layout": {
            "height": 190 + ROW_HEIGHT * max(len(names), 4),
            "margin": {"l": 10, "r": 10, "t": 34, "b": 10},
            "xaxis": {"type": "category", "automargin": True, "tickangle": -35, "showgrid": False},
            "yaxis": {"type": "category", "automargin": True, "autorange": "reversed", "showgrid": False},
        },
    }
