"""What can be taken away: the document, tables of it, and the data behind every picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from lanner.leaderboard.exporting import results_table
from lanner.leaderboard.table import markdown
from lanner.records import indented_json
from lanner.site.conditions import Conditions
from lanner.site.crate import crate
from lanner.site.environment import script_json
from lanner.site.material import Material
from lanner.site.pages import Board, Drawn
from lanner.site.pictures import Cell
from lanner.site.pictures.scatter import file_stem, payload, table

ABOUT = {
    "leaderboard.json": "everything that was found, with every digit that is published",
    "leaderboard.csv": "a line per method, split and metric",
    "leaderboard.parquet": "the same, typed",
    "leaderboard.md": "the tables as Markdown",
    "scores.parquet": "every score of every condition",
    "execution.json": "what each run cost, and from which image",
    "ro-crate-metadata.json": "a description of this folder for machines (RO-Crate)",
}

PAGES = {"path": "index.html", "about": "the pages"}


def whole(material: Material) -> dict[str, bytes]:
    """The files of the site's first folder, by name, in the order of ``ABOUT``."""
    document = material.document
    results = results_table(document)
    files = {
        "leaderboard.json": _json(document),
        "leaderboard.csv": results.to_csv(index=False).encode(),
        "leaderboard.parquet": results.to_parquet(index=False),
        "leaderboard.md": markdown(document).encode(),
    }
    if material.scores is not None:
        files["scores.parquet"] = material.scores.to_parquet(index=False)
    if material.execution is not None:
        files["execution.json"] = _json(material.execution)
    listed = [{"path": name, "about": ABOUT[name]} for name in files]
    files["ro-crate-metadata.json"] = _json(crate(document, [*listed, PAGES], material.ended))
    return files


def of_pictures(drawn: Iterable[Drawn]) -> Iterator[tuple[str, bytes]]:
    """``data/<file>.csv`` of every picture on a page."""
    for item in drawn:
        yield f"data/{item.file}", csv_bytes(item.picture.columns, item.picture.rows)


def of_conditions(board: Board) -> Iterator[tuple[str, bytes]]:
    """Per-condition values, as CSV for people and as a script for pages, which read no CSV from disk."""
    for item in board.material.conditions:
        yield from _of_conditions(file_stem(board.stem(item.place), item), item)


def _of_conditions(stem: str, item: Conditions) -> Iterator[tuple[str, bytes]]:
    yield f"data/{stem}.csv", csv_bytes(*table(item))
    call = f"lannerData({script_json(f'{stem}.js')},{script_json(payload(item))});\n"
    yield f"data/{stem}.js", call.encode()


def csv_bytes(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """A CSV file; numbers with all their digits, nothing for None.

    Text that a spreadsheet would take for a formula is preceded by an apostrophe.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([_safe(name) for name in columns])
    writer.writerows(
        [["" if v is None else _safe(v) if isinstance(v, str) else v for v in row] for row in rows]
    )
    return stream.getvalue().encode()


def _safe(text: str) -> str:
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _json(document: object) -> bytes:
    return (indented_json(document) + "\n").encode()
