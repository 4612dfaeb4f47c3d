"""Run the ``prepare.py`` of a registry entry: sources in, one file out."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lanner.errors import ConfigurationError


def run_program(
    program: Path, sources: Mapping[str, Path], parameters: Mapping[str, Any], output: Path
) -> Path:
    """Call ``prepare(sources, parameters, output)`` of a Python file; the path of what it wrote.

    The program runs in this process with the user's rights: an entry is code one trusts, like a package.
    Raises ConfigurationError where it defines no ``prepare`` or wrote nothing.
    """
    name = f"lanner_prepare_{program.parent.name.replace('-', '_')}"
    spec = importlib.util.spec_from_file_location(name, program)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "prepare"):
        raise ConfigurationError(f"{program} defines no prepare(sources, parameters, output); add it")
    module.prepare(dict(sources), dict(parameters), output)
    if not output.is_file():
        raise ConfigurationError(
            f"{program} wrote no file at the output it was given; write {output.name} there"
        )
    return output
