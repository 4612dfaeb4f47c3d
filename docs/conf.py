"""Sphinx settings: `make docs` builds these pages with warnings as errors."""

from __future__ import annotations

import re
from importlib.metadata import version as installed_version

project = "Lanner"
author = "The Lanner developers"
copyright = "The Lanner developers, MIT licence"
version = release = installed_version("lanner")

extensions = ["myst_parser", "sphinx_click", "sphinx_copybutton"]
exclude_patterns = ["_build"]
nitpicky = True
html_theme = "furo"
html_title = "Lanner"
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
copybutton_exclude = ".linenos, .gp, .go"

OUTSIDE = re.compile(r"\]\((?:\.\./)+schemas/([a-z-]+)\.schema\.json\)")


def _link_schemas(app: object, docname: str, source: list[str]) -> None:
    """On disk a link to a schema opens the file; among the pages it opens its section."""
    up = "../" * docname.count("/")
    source[0] = OUTSIDE.sub(rf"]({up}reference/schemas.md#\1)", source[0])


def setup(app: object) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _link_schemas)  # type: ignore[attr-defined]
