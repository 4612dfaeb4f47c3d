"""A page per dataset: its card, its splits, what its metrics can tell, every picture of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lanner.site.anchor import anchor_value
from lanner.site.naming import slug
from lanner.site.overview import lines
from lanner.site.pages import Board, Page, Place
from lanner.site.sections import pictures

FACTS = ("organism", "assay", "perturbation_kind", "kind", "scale", "licence", "version", "content")


def dataset_pages(board: Board) -> Iterator[Page]:
    """One page for each dataset of the document."""
    all_lines: dict[Place, list[Any]] = {}
    for line in lines(board):
        all_lines.setdefault(line.where, []).append(line)
    for dataset in board.material.document["datasets"]:
        name = dataset["id"]
        yield Page(
            path=f"datasets/{slug(name)}.html",
            template="dataset.html",
            title=f"Dataset {name}",
            context={
                "dataset": dataset,
                "entry": board.material.datasets.get(name, {}),
                "facts": [(fact.replace("_", " "), dataset[fact]) for fact in FACTS if dataset.get(fact)],
                "primary": board.material.primary,
                "places": [
                    {
                        "anchor": board.stem(where),
                        "title": board.title(where),
                        "table": board.tables.get(where),
                        "lines": all_lines.get(where, []),
                        "ranges": list(ranges(board, where)),
                        "pictures": list(pictures(board, where)),
                    }
                    for where in board.places_of(name)
                ],
            },
        )


def ranges(board: Board, where: Place) -> Iterator[dict[str, Any]]:
    """The dynamic range of every metric on a place: from its best negative bound to the duplicate."""
    scores: Mapping[str, Any] = next((s["scores"] for s in board.summaries[where] if s["scores"]), {})
    for metric in board.material.document["metrics"]:
        score = scores.get(metric["id"])
        if score is None:
            continue
        known = [value for value in score["negative"].values() if value is not None]
        best = None
        if known and score["better"] in ("higher", "lower"):
            best = max(known) if score["better"] == "higher" else min(known)
        yield {
            "metric": metric,
            "score": score,
            "best_negative": None if score.get("component") else best,
            "duplicate": None if score.get("component") else anchor_value(score),
        }
