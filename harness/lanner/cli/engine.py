"""The options by which commands choose what places their runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--engine`` and ``--engine-config``, for commands that place runs."""
    where = click.option(
        "--engine",
        type=click.Choice(["local", "dask", "slurm-array", "kubernetes"]),
        default="local",
        show_default=True,
        help="What places the runs.",
    )
    how = click.option(
        "--engine-config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="YAML of the engine: address, classes of workers, partition.",
    )
    return where(how(command))
