"""Whether a metric orders its own controls: said wherever a method or a negative bound beats the positive.

geneRNIB's positive control is beaten by methods on several of its metrics, and nothing on its page says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from lanner.cards import CARDS, ROLES
from lanner.records import canonical_json


def control_sanity(summaries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Metrics whose controls are out of order, by dataset and split; on means, over all units.

    ``summaries`` are those of leaderboard.json. Variants are left out, and so are metrics without a positive
    bound here and those that are neither better nor worse. JSON-ready: dataset, split, design, metric,
    positive (bound), negatives (bounds that are no worse), methods (that are better), says (a sentence).
    """

    def where(summary: Mapping[str, Any]) -> tuple[str, str, str]:
        return summary["dataset"], summary["split"], canonical_json(summary["design"])

    found = []
    for _, group in groupby(summaries, key=where):
        items = [summary for summary in group if summary["scores"] is not None]
        names = [name for name, row in items[0]["scores"].items() if not row["variant"]] if items else []
        found += [item for name in names if (item := _checked(name, items)) is not None]
    return found


def _checked(metric: str, summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    card = CARDS[metric]
    rows = {summary["method"]: summary["scores"][metric] for summary in summaries}
    first = next(iter(rows.values()))
    anchors = [name for name in first["positive"] if ROLES[name].anchors_for(card.level)]
    if not anchors or first["positive"][anchors[0]] is None or card.better == "neither":
        return None
    positive, best = anchors[0], card.merit(first["positive"][anchors[0]])
    negatives = [
        name for name, value in first["negative"].items() if value is not None and card.merit(value) >= best
    ]
    methods = [
        name for name, row in rows.items() if row["value"] is not None and card.merit(row["value"]) > best
    ]
    if not negatives and not methods:
        return None
    better = f"better than the positive bound {positive}: {', '.join(methods)}"
    no_worse = (
        f"no worse than the positive bound {positive}: {', '.join(negatives)}; it can rank nothing here"
    )
    parts = [*([no_worse] if negatives else []), *([better] if methods else [])]
    return {
        **{key: summaries[0][key] for key in ("dataset", "split", "design")},
        "metric": metric,
        "positive": positive,
        "negatives": negatives,
        "methods": methods,
        "says": f"{metric}: {'; '.join(parts)}.",
    }
