"""``lanner metric``: the cards of all metrics, and one prediction by every metric of a name."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lanner.cli.output import json_option, print_fields, print_json, print_table, talk
from lanner.cli.pair import PairOptions, device_option, pair_options, scores_of_files
from lanner.cli.stored import stored_run
from lanner.config import Settings
from lanner.errors import ConfigurationError
from lanner.records import CONTROL

if TYPE_CHECKING:
    import pandas as pd


@click.group("metric")
def metric_command() -> None:
    """Metrics: what each number means, exactly.

    \b
    Examples:
      lanner metric list
      lanner metric list --task network-inference
      lanner metric info pearson_delta
      lanner metric info cell_eval/mse --json
      lanner metric compare pds --truth truth.h5ad --prediction prediction.h5ad --control control
    """


@metric_command.command("list")
@click.option("--peers", is_flag=True, help="The peers' metrics, which reproduce numbers and rank nothing.")
@click.option("--task", metavar="TASK", help="Those of one task [all tasks].")
@json_option
def list_command(peers: bool, task: str | None, as_json: bool) -> None:
    """All metrics of all tasks, one line each; --json has Lanner's own and the peers'.

    \b
    Examples:
      lanner metric list
      lanner metric list --task network-inference
      lanner metric list --peers
      lanner metric list --json
    """
    from lanner import catalogue
    from lanner.catalogue.listing import by_task, listed

    if as_json:
        ids = [(name, metric) for name, metrics in by_task(task).items() for metric in metrics]
        print_json([{"task": name, **catalogue.document(metric)} for name, metric in ids])
        return
    found = listed(task)
    if peers:
        columns = ("task", "metric", "family", "better", "best", "needs", "what it is")
        print_table(
            columns,
            [
                (m.task, m.id, m.family, m.better, _number(m.best), m.needs, m.summary)
                for m in found
                if m.kind == catalogue.PEER
            ],
        )
        return
    print_table(
        ("task", "metric", "level", "per", "better", "chance", "needs", "what it is"),
        [
            (m.task, m.id, m.level, m.per, m.better, _chance(m.chance), m.needs, m.summary)
            for m in found
            if m.kind == catalogue.OWN
        ],
    )
    n_peers = sum(m.kind == catalogue.PEER for m in found)
    click.echo(f"{n_peers} metrics of peers, under the peers' names: lanner metric list --peers", err=True)


@metric_command.command("info")
@click.argument("name", metavar="METRIC")
@json_option
def info_command(name: str, as_json: bool) -> None:
    """The whole card of one metric.

    \b
    Examples:
      lanner metric info energy
      lanner metric info cell_eval/mse
      lanner metric info pds_cosine --json
    """
    from lanner import catalogue

    document = catalogue.document(name)
    if as_json:
        print_json(document)
        return
    fields = {key: _shown(key, value) for key, value in document.items()}
    print_fields({key: value for key, value in fields.items() if value not in ("none", "")})


@metric_command.command("compare")
@click.argument("name", metavar="NAME")
@click.option("--run", "run_name", metavar="RUN", help="A stored run: the start of its key, or its folder.")
@pair_options
@device_option
@json_option
@click.pass_obj
def compare_command(
    settings: Settings, /, name: str, run_name: str | None, device: str, as_json: bool, **pair: Any
) -> None:
    """Score one prediction with every metric of a name, side by side: how far do they disagree?

    NAME is a family (pearson delta, pds, energy ...; quote a space or write _) or the id of any member. Means
    are over perturbations; tau is the median rank correlation (Kendall) with the other variants over
    perturbations, larger always better. Nothing here is a leaderboard: there are no bounds and no intervals.

    With --run, held-out cells and sealed controls are the truth, and the controls the method was given stand
    for the prediction's own.

    \b
    Examples:
      lanner metric compare pds --truth real.h5ad --prediction predicted.h5ad --control non-targeting
      lanner metric compare pds --run 3f9c2a1b
      lanner metric compare cell_eval/mse --truth real.h5ad --prediction predicted.h5ad --control ctrl --json
      lanner metric compare pearson_delta --truth real.h5ad --prediction predicted.h5ad --control ctrl \\
        --train train.h5ad
    """
    from lanner import catalogue
    from lanner.catalogue.comparing import compare

    family, ids = catalogue.members(name)
    files = PairOptions(**pair)
    if run_name is None:
        frame = scores_of_files(files, ids, device)
    else:
        files.refuse()
        frame = _scores_of_run(settings, run_name, ids, device)
    comparison = compare(frame, family)
    if as_json:
        print_json(comparison.to_json())
        return
    click.echo(comparison.sentence)
    click.echo()
    rows = [
        (
            variant.metric,
            "-" if variant.value is None else f"{variant.value:.4g}",
            variant.n,
            _best(variant.better, variant.best),
            "-" if variant.tau is None else f"{variant.tau:.2f}",
            variant.reference,
            variant.space,
            variant.without,
        )
        for variant in comparison.variants
    ]
    columns = ("metric", "value", "n", "best", "tau", "reference", "space", "without a value")
    print_table(columns, rows)
    talk.print(frame.attrs["note"])


@metric_command.command("docs")
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder to write: docs/reference/metrics in the repository.",
)
@json_option
def docs_command(out: Path, as_json: bool) -> None:
    """Write the reference pages of all metrics, from their cards.

    \b
    Examples:
      lanner metric docs --out docs/reference/metrics
    """
    from lanner.catalogue.pages import write

    written = write(out)
    if as_json:
        print_json({"written": [str(path) for path in written]})
        return
    for path in written:
        click.echo(path)


def _scores_of_run(settings: Settings, name: str, metrics: Sequence[str], device: str) -> pd.DataFrame:
    """Scores of a stored run by metrics of two files, which are written for it and removed."""
    from lanner import pipeline
    from lanner.catalogue.stored import write_files
    from lanner.ingest import ingest
    from lanner.pairs.scores import score

    run = stored_run(settings, name)
    prediction = run.folder.prediction()
    if prediction is None:
        raise ConfigurationError(f"{run.folder.path} holds no prediction any more; run it again")
    with tempfile.TemporaryDirectory(prefix="lanner-compare-") as temporary:
        folder = Path(temporary)
        rows = pipeline.expectation(run.staged)
        result = ingest(prediction, rows=rows, destination=folder / "canonical")
        if result.kind == "network":
            raise ConfigurationError(f"run {name} predicts a network; compare runs that predict expression")
        files = write_files(run.truth, result, run.staged.folder / "train.h5ad", folder)
        return score(
            files.truth,
            files.prediction,
            control=CONTROL,
            perturbation_column="perturbation",
            context_column=files.context_column,
            train=files.train,
            metrics=metrics,
            scale="log1p" if run.truth.scale.startswith("log1p") else "auto",
            device=device,
        )


def _best(better: str, best: float) -> str:
    return "-" if better == "neither" else f"{best:g} ({better})"


def _shown(key: str, value: Any) -> str:
    if key == "chance":
        return _chance(value)
    if isinstance(value, list | tuple):
        return "; ".join(value)
    return "none" if value is None else str(value)


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"


def _chance(chance: float | str | None) -> str:
    return "none" if chance is None else str(chance)
