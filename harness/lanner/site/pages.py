"""Pages as values: a path, a template and what it shows. Each kind of page is a module that makes some."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lanner.leaderboard.table import PlainTable, place, tables
from lanner.leaderboard.verdict import TRAINING_MEAN
from lanner.site.material import Material
from lanner.site.naming import slug
from lanner.site.pictures import Cell, Picture

Place = tuple[str, str, str]
LAZY_HEIGHT = 480
SHOWN_ROWS = 400
"""Rows of a picture's table that a page holds; the download has them all."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page to be: ``path`` is relative to the site, ``/``-separated; ``context`` is the template's."""

    path: str
    template: str
    title: str
    context: Mapping[str, Any]

    @property
    def root(self) -> str:
        """The way from this page's folder to the site's."""
        return "../" * self.path.count("/")


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A picture on a page: its data file below ``data/``, its element's id, the rows its table shows."""

    picture: Picture
    anchor: str
    file: str

    @property
    def shown(self) -> Sequence[tuple[Cell, ...]]:
        """The first rows of its table."""
        return self.picture.rows[:SHOWN_ROWS]

    @property
    def left_out(self) -> int:
        """How many rows are in the download only."""
        return max(0, len(self.picture.rows) - SHOWN_ROWS)

    @property
    def height(self) -> int:
        """Pixels to keep free for it, so that nothing on the page moves when it is drawn."""
        heights = (figure["layout"]["height"] for figure in self.picture.figures.values())
        return int(next(heights, LAZY_HEIGHT))

    @property
    def spec(self) -> dict[str, Any]:
        """What the page's script needs to draw it."""
        return {"figures": self.picture.figures, "lazy": self.picture.lazy}


@dataclass(frozen=True, kw_only=True)
class Board:
    """A document cut by place: what several kinds of pages look up."""

    material: Material
    tables: Mapping[Place, PlainTable] = field(default_factory=dict)
    summaries: Mapping[Place, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    compared: Mapping[Place, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        """What every method is compared with, in words."""
        return str(self.material.document.get("reference", TRAINING_MEAN))

    def title(self, where: Place) -> str:
        """Dataset and split for people."""
        return self.tables[where].title if where in self.tables else f"{where[0]}, {where[1]}"

    def places_of(self, dataset: str) -> Iterator[Place]:
        """The split designs of a dataset."""
        return (where for where in self.summaries if where[0] == dataset)

    def stem(self, where: Place) -> str:
        """What the files of a place are called by."""
        return slug(" ".join(where) if self._ambiguous(where) else f"{where[0]}-{where[1]}")

    def _ambiguous(self, where: Place) -> bool:
        return sum(other[:2] == where[:2] for other in self.summaries) > 1


def board(material: Material) -> Board:
    """Cut a document by dataset and split design, in its own order."""
    document = material.document
    of_place: dict[Place, list[Mapping[str, Any]]] = {}
    for summary in document["summaries"]:
        of_place.setdefault(place(summary), []).append(summary)
    compared: dict[Place, dict[str, Mapping[str, Any]]] = {}
    for item in document["comparisons"]:
        if item["kind"] == "methods":
            compared.setdefault(place(item), {})[item["metric"]] = item
    found = {place(next(iter(table.summaries.values()))): table for table in tables(document)}
    return Board(material=material, tables=found, summaries=of_place, compared=compared)
