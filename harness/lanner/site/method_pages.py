"""A page per method: its card, how to run it, its results, where it is best and worst, what went wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lanner.site.naming import slug
from lanner.site.overview import Line, lines, marks
from lanner.site.pages import Board, Page

ENDS = 8
"""Conditions listed at each end."""


def method_pages(board: Board) -> Iterator[Page]:
    """One page for each method label of the document."""
    of_method: dict[str, list[Line]] = {}
    for line in lines(board):
        if line.kind == "method":
            of_method.setdefault(line.method, []).append(line)
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for row in board.material.document["rows"]:
        rows.setdefault(row["method"], []).append(row)
    for name, found in of_method.items():
        ours = rows.get(name, [])
        yield Page(
            path=f"methods/{slug(name)}.html",
            template="method.html",
            title=f"Method {name}",
            context={
                "method": name,
                "manifest": board.material.methods.get(name, {}),
                "identities": sorted({row["identity"] for row in ours}),
                "parameters": ours[0]["parameters"] if ours else {},
                "training_data": ours[0]["training_data"] if ours else [],
                "images": _images(board, ours),
                "marks": marks(ours),
                "primary": board.material.primary,
                "lines": found,
                "runs": [(row, board.material.run(row)) for row in ours],
                "failures": [row for row in ours if row["status"] != "succeeded"],
                "ends": list(_ends(board, name)),
                "log": _last_log(board, ours),
                "command": _command(board, name, ours),
            },
        )


def _images(board: Board, rows: list[Mapping[str, Any]]) -> list[str]:
    found = {
        text
        for row in rows
        for used in [board.material.run(row).resources]
        for text in (*used.get("digests", ()), used.get("image_id"))
        if text
    }
    return sorted(found)


def _ends(board: Board, method: str) -> Iterator[dict[str, Any]]:
    """The conditions on which a method gains most and least on the best negative bound of each."""
    for item in board.material.conditions:
        if item.metric not in board.material.primary or method not in item.gains:
            continue
        gains, values = item.gains[method], item.values.get(method, ())
        ordered = sorted(range(len(gains)), key=lambda i: (-gains[i], item.names[i]))
        if len(ordered) < 2:
            continue
        count = min(ENDS, len(ordered) // 2)

        def rows(
            places: list[int], item: Any = item, gains: Any = gains, values: Any = values
        ) -> list[tuple[str, Any, float]]:
            return [(item.names[i], values[i], gains[i]) for i in places]

        yield {
            "title": board.title(item.place),
            "metric": item.metric,
            "best": rows(ordered[:count]),
            "worst": rows(ordered[::-1][:count]),
        }


def _last_log(board: Board, rows: list[Mapping[str, Any]]) -> tuple[Mapping[str, Any], str] | None:
    """The log tail of a run: of one that failed, where one did and printed something."""
    for row in sorted(rows, key=lambda row: (row["status"] != "failed", row["status"] != "succeeded")):
        log = board.material.run(row).log
        if log:
            return row, log
    return None


def _command(board: Board, label: str, rows: list[Mapping[str, Any]]) -> str | None:
    """How to run it by hand on the first dataset it was run on."""
    if not rows:
        return None
    row = rows[0]
    name = str(board.material.methods.get(label, {}).get("name") or label.partition("[")[0])
    given = board.material.methods.get(label, {}).get("parameters", {})
    changed = [
        f"--parameter {key}={value}"
        for key, value in row["parameters"].items()
        if key in given and given[key].get("default") != value
    ]
    design = row["split"].partition("/")[0]
    return " ".join(
        ["lanner run", f"--method {name}", f"--dataset {row['dataset']}", f"--split {design}", *changed]
    )
