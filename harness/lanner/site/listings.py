"""The list of each folder's pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lanner.site.naming import run_name, slug
from lanner.site.pages import Board, Page


def listings(board: Board) -> Iterator[Page]:
    """datasets/index.html, methods/index.html, metrics/index.html and runs/index.html."""
    document, methods = board.material.document, board.material.methods
    yield _listing(
        "datasets",
        ("dataset", "title", "organism", "perturbation", "licence"),
        [
            (
                slug(d["id"]),
                (d["id"], d["title"], d.get("organism"), d.get("perturbation_kind"), d.get("licence")),
            )
            for d in document["datasets"]
        ],
    )
    labels = sorted({summary["method"] for summary in document["summaries"]})
    yield _listing(
        "methods",
        ("method", "label", "what it predicts"),
        [(slug(m), (m, methods.get(m, {}).get("label"), methods.get(m, {}).get("summary"))) for m in labels],
    )
    yield _listing(
        "metrics",
        ("metric", "title", "level", "better", "primary"),
        [
            (slug(m["id"]), (m["id"], m["title"], m["level"], m["better"], "yes" if m["primary"] else "no"))
            for m in document["metrics"]
        ],
    )
    yield _listing(
        "runs",
        ("run", "dataset", "split", "method", "seed", "status", "reason"),
        [
            (
                run_name(row),
                (
                    row["key"][:12],
                    row["dataset"],
                    row["split"],
                    row["method"],
                    row["seed"],
                    row["status"],
                    row["reason"],
                ),
            )
            for row in document["rows"]
        ],
    )


def _listing(folder: str, columns: Sequence[str], rows: Sequence[tuple[str, tuple[Any, ...]]]) -> Page:
    return Page(
        path=f"{folder}/index.html",
        template="listing.html",
        title=folder.capitalize(),
        context={"columns": columns, "rows": rows, "folder": folder},
    )
