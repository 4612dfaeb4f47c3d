"""A page per run: every hash and version behind its numbers, and a file to do it again from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from lanner.leaderboard.reproducing import published_run
from lanner.records import indented_json
from lanner.site.material import Run
from lanner.site.naming import run_name
from lanner.site.overview import marks, skill_cell
from lanner.site.pages import Board, Page


def run_pages(board: Board) -> Iterator[Page]:
    """One page for each row of the document."""
    for row in board.material.document["rows"]:
        run = board.material.run(row)
        yield Page(
            path=f"runs/{run_name(row)}.html",
            template="run.html",
            title=f"Run {row['key'][:12]}",
            context={
                "row": row,
                "name": run_name(row),
                "run": run,
                "marks": marks([row]),
                "provenance": list(_provenance(board, row, run)),
                "scores": [
                    (name, score, skill_cell(score)) for name, score in sorted((row["scores"] or {}).items())
                ],
                "published": run.spec is not None,
            },
        )


def run_files(board: Board) -> Iterator[tuple[str, bytes]]:
    """``runs/<name>.json`` of every row that can be done again from it."""
    for row in board.material.document["rows"]:
        run = board.material.run(row)
        if run.spec is not None:
            document = published_run(board.material.document, row, run.spec, run.record)
            yield f"runs/{run_name(row)}.json", (indented_json(document) + "\n").encode()


def _provenance(board: Board, row: Mapping[str, Any], run: Run) -> Iterator[tuple[str, Any]]:
    """What decided the result, then where it happened, as name and value."""
    dataset = next(
        (item for item in board.material.document["datasets"] if item["id"] == row["dataset"]), None
    )
    yield "run key (sha256)", row["key"]
    yield "task", board.material.document["task"]
    yield "split (sha256)", row["split_sha256"]
    if dataset is not None:
        yield "dataset content (sha256)", dataset["content"]
        split = next((item for item in dataset["splits"] if item["sha256"] == row["split_sha256"]), None)
        if split is not None:
            yield "bounds (sha256)", split["bounds_sha256"]
    yield "method identity", row["identity"]
    yield "parameters", json.dumps(row["parameters"], sort_keys=True)
    yield "seed", row["seed"]
    keyed = (run.spec or {}).get("keyed", {})
    for name in ("protocol", "staging", "intake", "n_cells", "reveal", "limits", "resources", "runner"):
        if name in keyed:
            value = keyed[name]
            yield name, json.dumps(value, sort_keys=True) if isinstance(value, Mapping) else value
    prediction = (run.record or {}).get("prediction")
    if prediction:
        yield "prediction.h5ad (sha256)", prediction["sha256"]
    for name, value in run.resources.items():
        if value not in (None, [], ""):
            yield name.replace("_", " "), json.dumps(value) if isinstance(value, list | Mapping) else value
    for name, score in (row["scores"] or {}).items():
        if "@" not in name:
            yield f"card of {name}, version {score['version']} (sha256)", score["card"]
