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
    "datasets": "datasets/index.html",
    "methods": "methods/index.html",
    "metrics": "metrics/index.html",
    "runs": "runs/index.html",
}
PAINT = "return performance.getEntriesByName('first-contentful-paint').map(e => e.startTime)[0] || null"
READY = "return [...document.querySelectorAll('table.sortable')].every(e => e.dataset.ready)"


def opened(driver: Any, page: Path) -> dict[str, float]:
    """Milliseconds to the first contentful paint, seconds until the tables can be sorted, and CPU seconds.

    CPU seconds are of the page's main thread until then; unlike the others they say something on a machine
    that has other work.
    """
    driver.get("about:blank")
    driver.execute_cdp_cmd("Performance.disable", {})
    driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    start = time.perf_counter()
    driver.get(page.as_uri())
    while not driver.execute_script(READY) or driver.execute_script(PAINT) is None:
        time.sleep(0.02)
    ready = time.perf_counter() - start
    metrics = driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    spent = {item["name"]: item["value"] for item in metrics}
    return {
        "first_paint_ms": driver.execute_script(PAINT),
        "sortable_s": ready,
        "cpu_s": spent["TaskDuration"],
        "layout_cpu_s": spent["LayoutDuration"] + spent["RecalcStyleDuration"],
        "script_cpu_s": spent["ScriptDuration"],
    }


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
    parser.add_argument("--site", type=Path, help="pages of that size, written before")
    options = parser.parse_args()
    size = {name: getattr(options, name) for name in ("methods", "datasets", "metrics", "conditions")}
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.site or Path(temporary) / "site").resolve()
        start, cpu = time.perf_counter(), time.process_time()
        if options.site is None:
            made = material(**size)
            start, cpu = time.perf_counter(), time.process_time()
            write_site(made, folder)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        paths = {**PAGES, "run": f"runs/{min(path.name for path in (folder / 'runs').glob('*-*.html'))}"}
        pages = {}
        with browser(Path(temporary)) as driver:
            for name, path in paths.items():
                found = [opened(driver, folder / path) for _ in range(options.repeats)]
                pages[name] = {
                    **{what: spread([item[what] for item in found]) for what in found[0]},
                    "html_bytes": (folder / path).stat().st_size,
                }
        files = [path for path in folder.rglob("*") if path.is_file()]
        document = {
            "machine": machine(),
            "size": size,
            "write_seconds": seconds,
            "write_cpu_seconds": cpu,
            "files": len(files),
            "site_bytes": sum(path.stat().st_size for path in files),
            "shared_bytes": sum(len(data) for _, data in shared_files()),
            "pages": pages,
        }
    show(
        f"Pages of {size['methods']} methods x {size['datasets']} datasets; shared files "
        f"{document['shared_bytes'] / 1e6:.1f} MB, written in {seconds:.0f} s ({cpu:.0f} s CPU)",
        ("page", "first paint, ms", "least", "greatest", "sortable after, s", "CPU, s", "HTML, MB"),
        [
            (
                name,
                f"{item['first_paint_ms']['median']:.0f}",
                f"{item['first_paint_ms']['min']:.0f}",
                f"{item['first_paint_ms']['max']:.0f}",
                f"{item['sortable_s']['median']:.2f}",
                f"{item['cpu_s']['median']:.2f}",
                f"{item['html_bytes'] / 1e6:.2f}",
            )
            for name, item in pages.items()
        ],
    )
    write("site", document, options.out)


if __name__ == "__main__":
    main()
