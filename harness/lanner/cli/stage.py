"""``stage`` and ``validate``: the contract by hand."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lanner.cli.output import json_option, print_fields, print_json, talk
from lanner.config import Settings
from lanner.errors import ConfigurationError, PredictionError

if TYPE_CHECKING:
    from lanner.tasks import Task


@click.command("stage")
@click.argument("dataset_name", metavar="DATASET")
@click.option("--split", "-s", "split_name", required=True, help="A split id, such as unseen-context/cd4t.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="The method's.")
@click.option("--method", "-m", "method_name", help="Stage for this method: its parameters and limits.")
@click.option("--parameter", "-p", "parameters", multiple=True, help="name=value of that method.")
@click.option("--task", "task_name", default="perturbation-response", show_default=True, help="A task's id.")
@click.option(
    "--option", "-o", "options", multiple=True, help="name=value, an option of the task; repeatable."
)
@click.option(
    "--reveal",
    type=click.Choice(["none", "dose", "level"]),
    help="What requests.csv says beyond the perturbation's name: --option reveal=... [none].",
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
    task_name: str,
    options: tuple[str, ...],
    reveal: str | None,
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
      lanner stage simulated --task network-inference --option regime=observational \\
        --split held-out-interventions --out staged
      LANNER_INPUT=staged LANNER_OUTPUT=out python my_method.py
      lanner validate out/prediction.h5ad --input staged
      lanner score out/prediction.h5ad --input staged
    """
    from lanner import datasets, methods, resources, splits, staging
    from lanner.leaderboard.campaign import save_split
    from lanner.records import Limits
    from lanner.tasks import TASKS

    if parameters and not method_name:
        raise click.UsageError("--parameter needs --method")
    task = TASKS[task_name]
    given = parse_options(task, options, reveal)
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
    truth = task.seal(dataset, split, settings.home, talk.print)
    staged = staging.stage_shared(dataset, split, task, truth, settings.home, given)
    staging.stage(
        staged,
        split,
        task,
        out,
        seed=seed,
        parameters=chosen,
        limits=method.limits if method else Limits(),
        options=given,
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
        **({"n_cells": staged.document["n_cells"]} if "n_cells" in staged.document else {}),
        **({"options": given} if task.id != "perturbation-response" else {}),
    }
    if as_json:
        print_json(result)
    else:
        print_fields(result)


def parse_options(task: Task, given: Sequence[str], reveal: str | None = None) -> dict[str, Any]:
    """``name=value`` texts as the options of ``task``, all of them, with defaults filled in."""
    values: dict[str, Any] = {} if reveal is None else {"reveal": reveal}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"--option {text!r} is not name=value")
        values[name] = value if name not in task.options else task.options[name].parsed(value)
    return task.chosen(values)


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
    from lanner.staging import open_input

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
        **result.sizes,
        "genes": len(staged.genes),
    }
    if as_json:
        print_json(fields)
    else:
        print_fields({**fields, "accepted": "yes", "unanswered": ", ".join(unanswered) or "none"})
    return 0
