"""A page per metric: its card, where it separates methods and where it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lanner.site.dataset_pages import ranges
from lanner.site.naming import slug
from lanner.site.overview import Shown, skill_cell
from lanner.site.pages import Board, Page

UNSAID: tuple[Any, ...] = (None, "", "none", (), [], 0, 0.0)


def metric_pages(board: Board) -> Iterator[Page]:
    """One page for each metric of the document."""
    measured = {
        where: {item["metric"]["id"]: item for item in ranges(board, where)} for where in board.summaries
    }
    for metric in board.material.document["metrics"]:
        name = metric["id"]
        found = []
        for where, of_metric in measured.items():
            if name in of_metric:
                methods = list(_methods(board, where, name))
                found.append(
                    {**of_metric[name], "where": where, "title": board.title(where), "methods": methods}
                )
        card = board.material.metrics.get(name, {})
        yield Page(
            path=f"metrics/{slug(name)}.html",
            template="metric.html",
            title=f"Metric {name}",
            context={
                "metric": metric,
                "card": [
                    (key.replace("_", " "), _listed(value))
                    for key, value in card.items()
                    if key not in ("id", "version", "title", "summary", "sha256") and value not in UNSAID
                ],
                "summary": card.get("summary", ""),
                "separates": [item for item in found if item["score"]["informative"] == "informative"],
                "cannot": [item for item in found if item["score"]["informative"] != "informative"],
            },
        )


def _listed(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _methods(board: Board, where: Any, name: str) -> Iterator[tuple[str, Shown, int]]:
    """Methods by skill on one place, best first: name, number, conditions."""
    scored = [
        (summary["method"], skill_cell(summary["scores"][name]), summary["scores"][name]["n"])
        for summary in board.summaries[where]
        if summary["scores"] and name in summary["scores"]
    ]
    yield from sorted(scored, key=lambda item: (-item[1].order, item[0]))
