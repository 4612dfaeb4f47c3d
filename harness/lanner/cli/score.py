"""``score``: a stored run again, a prediction made by hand, or two files that know nothing of Lanner."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lanner import store
from lanner.cli.output import json_option, print_json, print_table
from lanner.cli.pair import PairOptions, device_option, pair_options, score_files
from lanner.cli.stored import sealed_truth, stored_run
from lanner.config import Settings
from lanner.errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd

    from lanner.tasks import Task
    from lanner.truth import Truth


@click.command("score")
@click.argument("what", metavar="[RUN|PREDICTION.h5ad]", required=False)
@click.option(
    "--input",
    "input_dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The staged input folder a prediction file answers.",
)
@pair_options
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    help="A metric's id, or with --truth a pattern such as 'cell_eval/*'; repeatable [the task's own].",
)
@click.option(
    "--residual",
    type=click.Choice(["none", "shift", "zero-preserving-scale"]),
    default="none",
    show_default=True,
    help="How cells may be drawn from the profiles of a prediction file.",
)
@device_option
@click.option(
    "--spec",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Score one shard, as an engine has it done; nothing is printed.",
)
@click.option("--per-condition", is_flag=True, help="Every condition's value, not their aggregate.")
@json_option
@click.pass_obj
def score_command(
    settings: Settings,
    /,
    what: str | None,
    input_dir: Path | None,
    metrics: tuple[str, ...],
    residual: str,
    device: str,
    spec: Path | None,
    per_condition: bool,
    as_json: bool,
    **pair: Any,
) -> None:
    """Score a stored run, a prediction made by hand on a staged input, or any two files of cells.

    RUN is the start of a run's key, or its folder; its stored prediction is scored again without running the
    method. The sealed truth is found in LANNER_HOME by the split's hash.

    With --truth, two .h5ad files are compared that need know nothing of Lanner. The truth's controls are the
    reference of both; nothing was held apart, so there are no bounds, no skill and no intervals.

    \b
    Examples:
      lanner score out/prediction.h5ad --input staged
      lanner score 3f9c2a1b --metric mse --metric pearson_delta --json
      lanner score --truth real.h5ad --prediction predicted.h5ad --control non-targeting
      lanner score --truth real.h5ad --prediction predicted.h5ad --control ctrl --metric 'cell_eval/*' \\
        --perturbation-column condition --out scores.csv
    """
    if spec is not None:
        from lanner.cli.exec import end_with_parent
        from lanner.score_units import score_spec

        end_with_parent()
        score_spec(spec.resolve(), settings)
        return
    files = PairOptions(**pair)
    if files.truth is not None:
        if what is not None or input_dir is not None:
            raise click.UsageError("give --truth and --prediction, or a run or prediction, not both")
        score_files(files, metrics, device, per_condition=per_condition, as_json=as_json)
        return
    files.refuse()
    if what is None:
        raise click.UsageError("name a run or a prediction, or give --truth, --prediction and --control")
    from lanner.pairs.device import chosen_device

    device = chosen_device(device)
    _check_names(metrics)
    if input_dir is not None:
        if not Path(what).is_file():
            raise ConfigurationError(f"{what} is not a file; give the prediction that answers {input_dir}")
        cells = None if residual == "none" else residual
        frame, truth, task, seed = _score_file(Path(what), input_dir, settings, metrics, cells, device)
    elif what.endswith(".h5ad"):
        raise click.UsageError("a prediction file needs --input, the staged folder it answers")
    else:
        frame, truth, task, seed, cells = _score_stored(what, settings, metrics, device)
    if per_condition:
        _show_conditions(frame, as_json)
    else:
        _show_aggregate(frame, truth, task, metrics, seed, cells, as_json)


def _score_file(
    file: Path,
    input_dir: Path,
    settings: Settings,
    metrics: Sequence[str],
    residual: str | None,
    device: str,
) -> tuple[pd.DataFrame, Truth, Task, int]:
    from lanner import pipeline, staging
    from lanner.ingest import ingest

    staged = staging.open_input(input_dir)
    task = staged.task
    chosen = _chosen(task, metrics)
    truth = sealed_truth(settings, staged.document["split"]["sha256"], task)
    if not task.is_of(staged.document, truth):
        raise ConfigurationError(f"{input_dir} has been changed since it was staged; stage it again")
    with tempfile.TemporaryDirectory(prefix="lanner-score-") as temporary:
        result = ingest(file, rows=pipeline.expectation(staged), destination=Path(temporary) / "canonical")
        frame = task.score(truth, result, chosen, residual=residual, device=device)
    return frame, truth, task, int(store.read_json(input_dir / "task.json")["seed"])


def _score_stored(
    name: str, settings: Settings, metrics: Sequence[str], device: str
) -> tuple[pd.DataFrame, Truth, Task, int, str | None]:
    from lanner import scores

    run = stored_run(settings, name)
    chosen = _chosen(run.task, metrics)
    frame = scores.score_run(run.folder, run.truth, run.staged, chosen, device=device)
    return frame, run.truth, run.task, run.record["seed"], run.record["residual"]


def _check_names(metrics: Sequence[str]) -> None:
    """ConfigurationError for a metric that no task knows, before anything is looked for."""
    from lanner.cards import CARDS
    from lanner.tasks import TASKS

    if metrics:
        for task in TASKS:
            TASKS[task].load()
    for name in metrics:
        CARDS[name]


def _chosen(task: Task, metrics: Sequence[str]) -> tuple[str, ...]:
    """The metrics asked for, or the task's own."""
    task.load()
    return tuple(metrics) or task.metrics


def _show_conditions(frame: pd.DataFrame, as_json: bool) -> None:
    columns = ("metric", "variant", "condition", "value", "status", "reason")
    rows: list[dict[str, Any]] = frame[list(columns)].to_dict("records")
    for row in rows:
        row["value"] = row["value"] if row["value"] == row["value"] else None
    if as_json:
        print_json({"conditions": rows})
        return
    print_table(columns, [[row[column] for column in columns] for row in rows])


def _show_aggregate(
    frame: pd.DataFrame,
    truth: Truth,
    task: Task,
    metrics: Sequence[str],
    seed: int,
    residual: str | None,
    as_json: bool,
) -> None:
    from lanner import aggregate, scores
    from lanner.leaderboard.digits import rounded
    from lanner.leaderboard.table import number, skill

    bounds = scores.score_bounds(truth, task, _chosen(task, metrics))
    run = aggregate.Scored(
        scores=frame, bounds=bounds, split=truth.split.sha256, seed=seed, residual=residual
    )
    rows = rounded(aggregate.aggregate([run]))
    if as_json:
        print_json({"dataset": truth.split.dataset["id"], "split": truth.split.id, "scores": rows})
        return
    columns = ("metric", "value", "interval", "n", "answered", "skill", "informative", "note")
    print_table(
        columns,
        [
            (
                f"{row['metric']}{row['variant']}",
                number(row["value"]),
                " to ".join(number(edge) for edge in row["interval"] or ()),
                row["n"],
                row["n_answered"],
                "-" if row["skill"] is None else skill(row),
                row["informative"],
                row["status"] if row["value"] is None else row["skill_reason"] or "",
            )
            for row in rows
        ],
    )
