"""How pages are rendered: one Jinja environment in which nothing is markup unless this package wrote it."""

from __future__ import annotations

import json
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lanner.leaderboard.table import number
from lanner.records import printable
from lanner.site.naming import run_name, slug


def environment() -> Environment:
    """Autoescaping is on, an undefined name is an error, control characters are shown as escapes."""
    made = Environment(
        loader=PackageLoader("lanner.site"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value, keep="\n") if type(value) is str else value,
    )
    made.filters["number"] = number
    made.filters["amount"] = amount
    made.filters["slug"] = slug
    made.filters["run_name"] = run_name
    made.filters["script_json"] = script_json
    made.filters["pretty"] = pretty
    return made


def script_json(value: Any) -> Markup:
    """JSON that can stand inside a <script> element: no character of it can end that element."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def amount(value: float | None) -> str:
    """A cost: three digits, thousands whole; ``-`` for none."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def pretty(value: Any) -> str:
    """A document as indented JSON, for people."""
    return json.dumps(value, indent=2, ensure_ascii=False)
