"""The report as one HTML file that opens from disk and loads nothing from anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from lanner.dataset_report.figures import figures
from lanner.records import printable
from lanner.store import write_bytes


def write_page(document: Mapping[str, Any], path: Path) -> Path:
    """Write the page of a report whole; returns its path."""
    write_bytes(path, render(document).encode())
    return path.resolve()


def render(document: Mapping[str, Any]) -> str:
    """The page's text: everything a dataset says of itself is escaped; equal for equal documents."""
    environment = Environment(
        loader=PackageLoader("lanner.dataset_report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value, keep="\n") if type(value) is str else value,
    )
    order = {"error": 0, "warning": 1, "ok": 2, "info": 3}
    checks = sorted(((verdict(line), line) for line in document["checks"]), key=lambda item: order[item[0]])
    return environment.get_template("report.html").render(
        document=document,
        checks=checks,
        counts={name: sum(mark == name for mark, _ in checks) for name in order},
        figures=list(figures(document)),
        plotly=Markup(get_plotlyjs()),
    )


def verdict(line: Mapping[str, Any]) -> str:
    """``error``, ``warning``, ``ok`` or ``info``."""
    if line["level"] == "information":
        return "info"
    return "ok" if line["passed"] else str(line["level"])
