"""``stage`` and ``validate``: the contract by hand."""

from __future__ import annotations

import csv
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lanner.cli.output import json_option, print_fields, print_json, talk
from lanner.config import Settings
from lanner.errors import ConfigurationError, PredictionError

if TYPE_CHECKING:
    from lanner.staging import Staged


@click.command("stage")
@click.argument("dataset_name", metavar="DATASET")
@click.option("--split", "-s", "split_name", required=True, help="A split id, such as unseen-context/cd4t.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="The method's.")
@click.option("--method", "-m", "method_name", help="Stage for this method: its parameters and limits.")
@click.option("--parameter", "-p", "parameters", multiple=True, help="name=value of that method.")
@click.option(
    "--reveal",
    type=click.Choice(["none", "dose", "level"]),
    default="none",
    show_default=True,
    help="What requests.csv says beyond the perturbation's name.",
)
@click.option("--resource", "resource_names", multiple=True, help="Prior knowledge to grant; repeatable.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new folder.")
@json_option
@click.pass_obj
def stage_command(
    settings: Settings,
    dataset_name: str,
    split_name: str,
    seed: int,
    method_name: str | None,
    parameters: tuple[str, ...],
    reveal: str,
    resource_names: tuple[str, ...],
    out: Path,
    as_json: bool,
) -> None:
    """Write the input folder a container would see; the truth stays sealed in LANNER_HOME.

    \b
    Examples:
      lanner stage simulated --split unseen-combination --out staged
      lanner stage simulated --split unseen-perturbation --reveal level --out levels
      lanner stage simulated --split unseen-perturbation --resource random --out granted
      LANNER_INPUT=staged LANNER_OUTPUT=out python my_method.py
      lanner validate out/prediction.h5ad --input staged
      lanner score out/prediction.h5ad --input staged
    """
    from lanner import datasets, methods, resources, splits, staging
    from lanner.leaderboard.campaign import save_split
    from lanner.records import Limits
    from lanner.tasks import TASKS
    from lanner.truth import seal

    if parameters and not method_name:
        raise click.UsageError("--parameter needs --method")
    task = TASKS["perturbation-response"]
    dataset = datasets.load(datasets.find_entry(settings, dataset_name), settings)
    found = splits.resolve(dataset, split_name)
    if len(found) > 1:
        names = ", ".join(split.id for split in found)
        raise ConfigurationError(f"{split_name} of {dataset_name} is {len(found)} splits; name one: {names}")
    split = found[0]
    granted = [resources.find(settings, name) for name in resource_names]
    method = methods.find(settings, method_name) if method_name else None
    chosen = (
        methods.resolve_parameters(method, methods.parse_parameters(method, parameters)) if method else {}
    )
    save_split(settings.home, split)
    truth = seal(dataset, split, task.id, settings.home, talk.print)
    staged = staging.stage_shared(dataset, split, task, truth, settings.home)
    staging.stage(
        staged,
        split,
        task,
        out,
        seed=seed,
        parameters=chosen,
        limits=method.limits if method else Limits(),
        reveal=reveal,
        resources=resources.files(granted, staged.genes, split),
        link=False,
    )
    result = {
        "input": str(out),
        "dataset": dataset.entry.id,
        "split": split.id,
        "split_sha256": split.sha256,
        "requests": len(truth.requests),
        "genes": len(dataset.genes),
        "n_cells": staged.document["n_cells"],
    }
    if as_json:
        print_json(result)
    else:
        print_fields(result)


@click.command("validate")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--input",
    "input_dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="The staged input folder the prediction answers.",
)
@json_option
@click.pass_obj
def validate_command(settings: Settings, file: Path, input_dir: Path, as_json: bool) -> int:
    """Say whether a prediction is accepted: exit 0, or 3 with the reason.

    \b
    Example:
      lanner validate out/prediction.h5ad --input staged
    """
    from lanner.ingest import ingest
    from lanner.pipeline import expectation

    staged = open_input(input_dir)
    try:
        with tempfile.TemporaryDirectory(prefix="lanner-validate-") as temporary:
            result = ingest(file, rows=expectation(staged), destination=Path(temporary) / "canonical")
    except PredictionError as error:
        if not as_json:
            raise
        print_json({"accepted": False, "code": error.code, "reason": str(error)})
        return error.exit_code
    unanswered = [
        name for name, answered in zip(staged.request_ids, result.answered, strict=True) if not answered
    ]
    fields = {
        "accepted": True,
        "kind": result.kind,
        "requests": len(staged.request_ids),
        "unanswered": unanswered,
        "n_cells": result.n_cells,
        "genes": len(staged.genes),
    }
    if as_json:
        print_json(fields)
    else:
        print_fields({**fields, "accepted": "yes", "unanswered": ", ".join(unanswered) or "none"})
    return 0


def open_input(folder: Path) -> Staged:
    """A staged input folder as the harness's own record of it, read back from its files."""
    from lanner import schemas, staging
    from lanner.h5ad.staged import read_genes

    try:
        task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
        with (folder / "requests.csv").open(encoding="utf-8", newline="") as stream:
            request_ids = [row["request_id"] for row in csv.DictReader(stream)]
        genes = read_genes(folder / "train.h5ad")
    except (OSError, KeyError, ValueError) as error:
        raise ConfigurationError(
            f"{folder} is not an input that `lanner stage` wrote ({error}); stage it again"
        ) from None
    schemas.check(task, "task", str(folder / "task.json"))
    return staging.Staged(
        folder=folder,
        document={
            "dataset": task["dataset"],
            "columns": task["columns"],
            "n_cells": task["n_cells"],
            "request_ids": request_ids,
            "genes": genes,
            "split": task["split"],
        },
    )
