"""``network export`` and ``network control``: networks as resources that a leaderboard can grant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lanner import store
from lanner.cli.output import json_option, print_fields, print_json
from lanner.config import Settings
from lanner.errors import ConfigurationError
from lanner.records import State

OUT = click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="A new folder, such as resources_registry/my-network beside the leaderboard; its name is the id.",
)


@click.group("network")
def network_command() -> None:
    """Turn networks into resources: what one task inferred can be granted in another.

    \b
    Examples:
      lanner network export 3f9c2a1b --out resources_registry/genie3-simulated
      lanner network control dense --dataset simulated --out resources_registry/dense
    """


@network_command.command("export")
@click.argument("prediction")
@OUT
@click.option("--top", type=click.IntRange(1), help="Keep so many of the strongest edges [all].")
@click.option("--licence", default="LicenseRef-derived", show_default=True, help="Terms of the network.")
@click.option("--as-maintainer", is_flag=True, help="Also of a hidden split, whose data it was fitted to.")
@json_option
@click.pass_obj
def export_command(
    settings: Settings,
    prediction: str,
    out: Path,
    top: int | None,
    licence: str,
    as_maintainer: bool,
    as_json: bool,
) -> None:
    """Write a predicted network as a resource entry. PREDICTION is the start of a run's key, or a file.

    \b
    Examples:
      lanner network export 3f9c2a1b --out resources_registry/genie3-simulated
      lanner network export output/prediction.h5ad --top 2000 --out resources_registry/mine
    """
    from lanner.h5ad.edges import read_edges
    from lanner.network_resource import write_entry

    path, title, summary = Path(prediction), "A predicted network", "Exported from a file of unknown origin."
    if not path.is_file():
        path, title, summary = _of_run(settings, prediction, as_maintainer)
    edges = read_edges(path).head(top)
    _report(write_entry(out, edges, {"title": title, "summary": summary, "licence": licence}), edges, as_json)


@network_command.command("control")
@click.argument("kind", type=click.Choice(["empty", "dense", "random"]))
@click.option("--dataset", "-d", "dataset_name", required=True, help="Dataset whose genes the network has.")
@click.option("--like", type=click.Path(exists=True, path_type=Path), help="random: the network to match.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="random: seed.")
@OUT
@json_option
@click.pass_obj
def control_command(
    settings: Settings,
    kind: str,
    dataset_name: str,
    like: Path | None,
    seed: int,
    out: Path,
    as_json: bool,
) -> None:
    """Write a network that knows nothing: none of the edges, all of them, or as many at random.

    \b
    Examples:
      lanner network control dense --dataset simulated --out resources_registry/dense
      lanner network control random --dataset simulated --like resources_registry/mine --seed 1 \\
          --out resources_registry/random-1
    """
    from lanner import datasets
    from lanner import network_resource as networks

    if (kind == "random") != (like is not None):
        raise click.UsageError("random, and only random, needs --like: the network whose size it matches")
    genes = datasets.load(datasets.find_entry(settings, dataset_name), settings).genes
    if like is not None:
        edges, what = networks.randomised(networks.read_table(like), genes, seed), f"{like.name}, seed {seed}"
        summary = (
            f"Every regulator of {what}, with as many targets drawn at random from {dataset_name}'s genes."
        )
    elif kind == "dense":
        edges, summary = networks.dense(genes), f"All ordered pairs of {dataset_name}'s genes."
    else:
        edges, summary = networks.empty(), "No edge at all."
    fields = {"title": f"Control: {kind} network", "summary": summary, "licence": "MIT"}
    _report(networks.write_entry(out, edges, fields), edges, as_json)


def _of_run(settings: Settings, name: str, as_maintainer: bool) -> tuple[Path, str, str]:
    """The accepted prediction of a run, a title, and what the network has seen."""
    folder, record = store.find_run(settings.home, name)
    keyed = record["keyed"]
    if not as_maintainer and store.is_hidden(settings.home, keyed["split"]):
        raise ConfigurationError(
            f"the split of the run {record['key'][:12]} is hidden, and a network fitted to it tells of its "
            "data; --as-maintainer exports it for whoever may see those"
        )
    path = store.RunFolder(path=folder, key=record["key"]).prediction()
    if record["state"] != State.SUCCEEDED or path is None:
        raise ConfigurationError(
            f"the run {record['key'][:12]} has no accepted prediction; `lanner status` says why"
        )
    method, dataset = record["method"], record["dataset"]
    summary = (
        f"Inferred by {method} in run {record['key'][:12]} from the training part of {dataset}, split "
        f"{record['split']}: what is forecast on {dataset} with it must be held out there too."
    )
    return path, f"Network inferred by {method} on {dataset}", summary


def _report(document: dict[str, Any], edges: Any, as_json: bool) -> None:
    fields = {"id": document["id"], "edges": len(edges), "sha256": document["file"]["sha256"]}
    if as_json:
        print_json(fields)
    else:
        print_fields(fields)
