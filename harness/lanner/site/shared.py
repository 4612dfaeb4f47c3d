"""Files that all pages share, written once: style, script, Plotly and the tables' bundle."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources

from lanner.errors import InfrastructureError

OWN = ("board.css", "board.js", "theme.js")
EXPORTS = re.compile(r"export\s*\{([^{}]*)\};?")
NAMES = re.compile(r"([\w$]+) as ([\w$]+)")


def shared_files() -> Iterator[tuple[str, bytes]]:
    """``assets/...`` and the bytes of each: Lanner's own, Plotly, and DataTables as packed by itables."""
    own = resources.files("lanner.site") / "assets"
    for name in OWN:
        yield f"assets/{name}", (own / name).read_bytes()
    yield "assets/plotly.min.js", (resources.files("plotly") / "package_data" / "plotly.min.js").read_bytes()
    packed = resources.files("itables") / "html"
    yield "assets/tables.css", (packed / "dt_bundle.css").read_bytes()
    yield "assets/tables.js", classic((packed / "dt_bundle.js").read_text(encoding="utf-8")).encode()


def classic(module: str) -> str:
    """itables' ES module as a plain script that sets ``window.LannerTables``.

    A browser refuses to import a module into a page opened from disk; a plain script it loads.
    """
    found = EXPORTS.search(module)
    exported = {public: private for private, public in NAMES.findall(found.group(1))} if found else {}
    if found is None or "default" not in exported or len(EXPORTS.findall(module)) != 1:
        raise InfrastructureError(
            "itables' dt_bundle.js does not export DataTables as expected; install the version of"
            " itables that constraints.txt names"
        )
    tables = f"window.LannerTables={{DataTable:{exported['default']}}};"
    return f"(function(){{{module[: found.start()]}{tables}{module[found.end() :]}\n}})();\n"
