"""The built pages: one static folder that opens from disk, with no network, and hosts anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lanner.leaderboard.exporting import find_results
from lanner.site.dataset_pages import dataset_pages
from lanner.site.downloads import ABOUT, of_conditions, of_pictures, whole
from lanner.site.environment import environment
from lanner.site.listings import listings
from lanner.site.material import Material, gather
from lanner.site.method_pages import method_pages
from lanner.site.metric_pages import metric_pages
from lanner.site.overview import overview
from lanner.site.pages import Board, Page, board
from lanner.site.run_pages import run_files, run_pages
from lanner.site.shared import shared_files
from lanner.store import write_bytes

__all__ = ["FOLDERS", "Material", "find_results", "gather", "render", "site_files", "write_site"]

FOLDERS = ("assets", "data", "datasets", "methods", "metrics", "runs")
"""Folders of a site that belong to it alone: a page of a method that is gone goes too."""


def write_site(material: Material, folder: Path) -> Path:
    """Write all pages and downloads to ``folder``, each file whole; return the first page.

    Pages are rendered from the material alone, so their numbers are those of leaderboard.json. All text of
    methods and datasets is escaped. Files in ``FOLDERS`` that no longer belong to the site are removed.
    """
    written = set()
    for path, data in site_files(material):
        target = folder / path
        if not _holds(target, data):
            write_bytes(target, data, durable=False)  # thousands of files that the next build compares anyway
        written.add(target)
    for name in FOLDERS:
        for old in sorted((folder / name).glob("*")):
            if old.is_file() and old not in written:
                old.unlink()
    return (folder / "index.html").resolve()


def _holds(path: Path, data: bytes) -> bool:
    return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data


def site_files(material: Material) -> Iterator[tuple[str, bytes]]:
    """Every file of a site: its path below the folder, and its bytes."""
    cut = board(material)
    files = whole(material)
    yield from files.items()
    yield from shared_files()
    yield from of_conditions(cut)
    yield from run_files(cut)
    downloads = [{"path": name, "about": ABOUT[name]} for name in files]
    made = environment()
    for page in _pages(cut):
        for part in (page.context, *page.context.get("places", ())):
            yield from of_pictures(part.get("pictures", ()))
        template = made.get_template(page.template)
        text = template.render(document=material.document, page=page, downloads=downloads, **page.context)
        yield page.path, text.encode()


def render(material: Material) -> dict[str, str]:
    """The text of every page by its path."""
    return {path: data.decode() for path, data in site_files(material) if path.endswith(".html")}


def _pages(cut: Board) -> Iterator[Page]:
    yield overview(cut)
    yield from listings(cut)
    yield from dataset_pages(cut)
    yield from method_pages(cut)
    yield from metric_pages(cut)
    yield from run_pages(cut)
