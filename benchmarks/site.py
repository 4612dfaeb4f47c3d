"""How quickly the pages open, from disk in headless Chromium: ``python -m benchmarks.site``.

The board is synthetic: 50 methods x 20 datasets x 20 metrics x 300 conditions unless told otherwise.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from lanner.site import write_site
from lanner.site.shared import shared_files

from benchmarks.figures import machine, show, spread, write
from tests.site.browser import browser
from tests.synthetic_board import material

PAGES = {
    "overview": "index.html",
    "dataset": "datasets/dataset-01.html",
    "method": "methods/method-03.html",
    "metric": "metrics/mse.html",
    "runs": "runs/index.html",
}
PAINT = "return performance.getEntriesByName('first-contentful-paint').map(e => e.startTime)[0] || null"
READY = "return [...document.querySelectorAll('table.sortable')].every(e => e.dataset.ready)"


def opened(driver: Any, page: Path) -> dict[str, float]:
    """Milliseconds to the first contentful paint, and seconds until the tables can be sorted."""
    driver.get("about:blank")
    start = time.perf_counter()
    driver.get(page.as_uri())
    while not driver.execute_script(READY) or driver.execute_script(PAINT) is None:
        time.sleep(0.02)
    ready = time.perf_counter() - start
    return {"first_paint_ms": driver.execute_script(PAINT), "sortable_s": ready}


def main() -> None:
    """Build the board, open each kind of page several times, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (
        ("methods", 50),
        ("datasets", 20),
        ("metrics", 20),
        ("conditions", 300),
        ("repeats", 5),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    size = {name: getattr(options, name) for name in ("methods", "datasets", "metrics", "conditions")}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "site"
        start = time.perf_counter()
        write_site(material(**size), folder)
        seconds = time.perf_counter() - start
        pages = {}
        with browser(Path(temporary)) as driver:
            for name, path in PAGES.items():
                found = [opened(driver, folder / path) for _ in range(options.repeats)]
                pages[name] = {
                    "first_paint_ms": spread([item["first_paint_ms"] for item in found]),
                    "sortable_s": spread([item["sortable_s"] for item in found]),
                    "html_bytes": (folder / path).stat().st_size,
                }
        files = [path for path in folder.rglob("*") if path.is_file()]
        document = {
            "machine": machine(),
            "size": size,
            "write_seconds": seconds,
            "files": len(files),
            "site_bytes": sum(path.stat().st_size for path in files),
            "shared_bytes": sum(len(data) for _, data in shared_files()),
            "pages": pages,
        }
    show(
        f"Pages of {size['methods']} methods x {size['datasets']} datasets; shared files "
        f"{document['shared_bytes'] / 1e6:.1f} MB, written in {seconds:.0f} s",
        ("page", "first paint, ms", "least", "greatest", "sortable after, s", "HTML, MB"),
        [
            (
                name,
                f"{item['first_paint_ms']['median']:.0f}",
                f"{item['first_paint_ms']['min']:.0f}",
                f"{item['first_paint_ms']['max']:.0f}",
                f"{item['sortable_s']['median']:.2f}",
                f"{item['html_bytes'] / 1e6:.2f}",
            )
            for name, item in pages.items()
        ],
    )
    write("site", document, options.out)


if __name__ == "__main__":
    main()
