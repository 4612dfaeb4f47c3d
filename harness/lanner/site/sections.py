"""What a page shows beyond its own: sections of pictures, some for one task only.

A task adds its own in one file: functions registered with ``section``. Those of ``ANY`` are drawn for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lanner.site.material import costs
from lanner.site.network_details import gathered
from lanner.site.pages import Board, Drawn, Place
from lanner.site.pictures import Picture
from lanner.site.pictures.agreement import agreement
from lanner.site.pictures.cost import cost_and_skill
from lanner.site.pictures.curves import curves
from lanner.site.pictures.dots import skill_dots
from lanner.site.pictures.edge_curves import edge_curves
from lanner.site.pictures.edge_overlap import edge_overlap
from lanner.site.pictures.forest import forest
from lanner.site.pictures.heatmap import skill_heatmap
from lanner.site.pictures.regulators import regulators
from lanner.site.pictures.scatter import scatter
from lanner.site.pictures.stability import stability

ANY = "*"
Section = Callable[[Board, Place], Picture | None]
SECTIONS: dict[str, list[Section]] = {}


def section(task: str) -> Callable[[Section], Section]:
    """Register a picture of a dataset and split design, for the task of that id or for ``ANY``."""

    def register(function: Section) -> Section:
        SECTIONS.setdefault(task, []).append(function)
        return function

    return register


def pictures(board: Board, where: Place) -> Iterator[Drawn]:
    """Every picture there is to draw of a place, in the order of registration."""
    task = board.material.document["task"].partition("@")[0]
    for draw in (*SECTIONS[ANY], *SECTIONS.get(task, ())):
        picture = draw(board, where)
        if picture is not None:
            stem = board.stem(where)
            yield Drawn(picture=picture, anchor=f"{stem}-{picture.id}", file=f"{stem}-{picture.id}.csv")


def _metrics(board: Board, where: Place) -> list[str]:
    """Metrics without a variant that a place has scores of, primary ones first, in the document's order."""
    ordered = sorted(board.material.document["metrics"], key=lambda metric: not metric["primary"])
    scores: Mapping[str, Any] = next((s["scores"] for s in board.summaries[where] if s["scores"]), {})
    names = [metric["id"] for metric in ordered if metric["id"] in scores]
    informative = [name for name in names if scores[name]["informative"] == "informative"]
    return informative + [name for name in names if name not in informative]


def _primary(board: Board, where: Place) -> list[str]:
    return [name for name in _metrics(board, where) if name in board.material.primary]


@section(ANY)
def _skill(board: Board, where: Place) -> Picture | None:
    return skill_dots(board.summaries[where], _metrics(board, where))


@section(ANY)
def _heatmap(board: Board, where: Place) -> Picture | None:
    table = board.tables.get(where)
    return skill_heatmap(list(table.summaries.values()), _metrics(board, where)) if table else None


@section(ANY)
def _forest(board: Board, where: Place) -> Picture | None:
    return forest(board.compared.get(where, {}), _primary(board, where), board.reference)


@section("perturbation-response")
def _scatter(board: Board, where: Place) -> Picture | None:
    order = {name: number for number, name in enumerate(_metrics(board, where))}
    found = [item for item in board.material.conditions if item.place == where]
    found.sort(key=lambda item: order.get(item.metric, len(order)))
    return scatter(found, board.stem(where))


@section(ANY)
def _learning(board: Board, where: Place) -> Picture | None:
    return _curves(board, where, "data-scaling")


@section(ANY)
def _similarity(board: Board, where: Place) -> Picture | None:
    return _curves(board, where, "graded-similarity")


def _curves(board: Board, where: Place, kind: str) -> Picture | None:
    """Series of a dataset, drawn once: at the first of its places that is of this kind."""
    first = next((p for p in board.places_of(where[0]) if p[1].partition("/")[0] == kind), None)
    if where != first:
        return None
    series = [item for item in board.material.document.get("series", ()) if item["dataset"] == where[0]]
    return curves(series, kind)


@section(ANY)
def _stability(board: Board, where: Place) -> Picture | None:
    return stability(board.compared.get(where, {}), _primary(board, where))


@section(ANY)
def _agreement(board: Board, where: Place) -> Picture | None:
    return agreement(board.summaries[where], _metrics(board, where))


@section(ANY)
def _cost(board: Board, where: Place) -> Picture | None:
    summaries = board.summaries[where]
    of_method = {s["method"]: costs(board.material, board.material.rows_of(s)) for s in summaries}
    return cost_and_skill(summaries, _primary(board, where), of_method)


@section("network-inference")
def _edge_curves(board: Board, where: Place) -> Picture | None:
    return edge_curves(gathered(board, where))


@section("network-inference")
def _edge_overlap(board: Board, where: Place) -> Picture | None:
    return edge_overlap(gathered(board, where))


@section("network-inference")
def _regulators(board: Board, where: Place) -> Picture | None:
    return regulators(gathered(board, where))
