"""``engine``, and the options by which commands choose what places their runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from lanner.cli.output import json_option, print_fields, print_json
from lanner.config import Settings

RUNNERS = ["auto", "docker", "charliecloud", "apptainer", "process"]
"""What ``--runner`` of commands that place runs may be."""


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


@click.group("engine")
def engine_command() -> None:
    """What places runs on other machines.

    \b
    Examples:
      lanner engine render quickstart --engine-config cluster.yaml --out manifests
    """


@engine_command.command("render")
@click.argument("file")
@click.option(
    "--engine-config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="YAML of the engine kubernetes.",
)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder for the objects."
)
@json_option
@click.pass_obj
def render_command(settings: Settings, file: str, engine_config: Path, out: Path, as_json: bool) -> None:
    """Write the Kubernetes objects a build would create, one file each: to read, or to check by a policy.

    FILE is a leaderboard's YAML file, or the name of a bundled one. No cluster is asked and nothing is run;
    the Jobs are not to be applied by hand, as their attempts do not exist yet.

    \b
    Examples:
      lanner engine render quickstart --engine-config cluster.yaml --out manifests
      lanner engine render leaderboards/real.yaml --engine-config cluster.yaml --out manifests --json
    """
    from lanner.cli.building import display
    from lanner.execution.kubernetes import render
    from lanner.leaderboard import load
    from lanner.leaderboard.campaign import expand
    from lanner.store import write_json

    definition = load(file, settings)
    with display() as shown:
        campaign = expand(definition, settings, runner="docker", trust_process=False, monitor=shown)
    plans = {cell.plan.folder.key: cell.plan for cell, _ in campaign.missing()}
    written = []
    for document in render(plans.values(), settings, engine_config):
        path = out / f"{document['metadata']['name']}.json"
        write_json(path, document)
        written.append(str(path))
    if as_json:
        print_json({"files": written})
    else:
        print_fields({"objects": len(written), "folder": str(out)})
