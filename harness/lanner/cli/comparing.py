"""``lanner run --compare`` and ``--submit``: the author's loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from lanner.cli.building import choose_runner, default_jobs, display, show
from lanner.cli.output import print_json, print_table, talk
from lanner.config import Settings
from lanner.records import State

OTHERS = "Gain on each baseline, paired by condition [95 % interval], p after Holm; positive is better"


def compare_and_show(
    asked: Mapping[str, Any],
    settings: Settings,
    *,
    baselines: Sequence[str] | None,
    submit: Path | None,
    runner: str,
    trust_process: bool,
    jobs: int | None,
    as_json: bool,
) -> int:
    """Run what is asked for, with baselines beside it unless None; show, and write the submission."""
    from lanner import methods
    from lanner.leaderboard.beside_baselines import compare_with_baselines
    from lanner.leaderboard.building import build
    from lanner.leaderboard.definition import define
    from lanner.submission import submission_of, write

    mine = define(asked, settings)
    labels = [choice.label for choice in mine.choices]
    names = {choice.method.name for choice in mine.choices}
    added = (baselines or mine.task.baselines) if baselines is not None else ()
    others = [name for name in added if methods.find(settings, name).name not in names]
    definition = define({**asked, "methods": [*asked["methods"], *others]}, settings)
    chosen = choose_runner(runner, settings)
    with display() as shown:
        results = build(
            definition,
            settings,
            runner=chosen,
            trust_process=trust_process,
            jobs=jobs or default_jobs(),
            monitor=shown,
        )
    if submit is not None:
        write(submit, submission_of(asked, results, labels[0]))
    document = compare_with_baselines(results, labels) if baselines is not None else results.document
    if as_json:
        print_json(document)
    elif baselines is None:
        show(document)
    else:
        show_comparison(document)
    if submit is not None:
        talk.print(f"submission: {submit}; who has it runs lanner submission verify {submit}", markup=False)
    rows = [row for row in results.document["rows"] if row["method"] in labels]
    return 1 if any(row["status"] == State.FAILED for row in rows) else 0


def show_comparison(document: Mapping[str, Any]) -> None:
    """Per dataset, split and method: one line, the differences, the conditions where it does worst."""
    from lanner.tasks import TASKS

    reference = TASKS[document["task"].partition("@")[0]].reference
    for item in document["items"]:
        click.echo(f"{item['dataset']}, {item['split']}: {item['method']}")
        if item["note"]:
            click.echo(item["note"])
        if item["reason"]:
            click.echo(f"{item['status']}: {item['reason']}")
        if not item["metrics"]:
            click.echo()
            continue
        click.echo(verdict(item) + "\n")
        metrics = item["metrics"]
        names = sorted({name for metric in metrics for name in metric["against"]})
        columns = ("", *(f"{metric['metric']}{'' if _tells(metric) else '*'}" for metric in metrics))
        rows = [(item["method"], *(_value(metric) for metric in metrics))]
        rows += [(name, *(_gain(metric, name) for metric in metrics)) for name in names]
        print_table(columns, rows, title=OTHERS)
        if any(not _tells(metric) for metric in metrics):
            click.echo("* not informative on this dataset and split")
        click.echo()
        _show_worst(item, reference)


def verdict(item: Mapping[str, Any]) -> str:
    """On how many informative metrics the method is better than which baseline, after correction."""
    informative = [metric for metric in item["metrics"] if _tells(metric)]
    if not informative:
        return "No primary metric is informative here: this split cannot tell methods apart."
    names = sorted({name for metric in informative for name in metric["against"]})
    wins = {
        name: sum(metric["against"].get(name, {}).get("better", False) for metric in informative)
        for name in names
    }
    losses = {name: sum(_worse(metric["against"].get(name)) for metric in informative) for name in names}
    told = ", ".join(f"{name} on {wins[name]} (worse on {losses[name]})" for name in names)
    return f"Of {len(informative)} informative primary metrics, better than {told}."


def _worse(compared: Mapping[str, Any] | None) -> bool:
    """Whether the whole interval lies below 0."""
    return bool(compared and compared["interval"] and compared["interval"][1] < 0)


def _show_worst(item: Mapping[str, Any], reference: str) -> None:
    if not item["worst"]:
        return
    names = [metric["metric"] for metric in item["metrics"]]
    rows = [
        (
            line["condition"],
            *(f"{line['gains'][name]:+.3g}" if name in line["gains"] else "-" for name in names),
        )
        for line in item["worst"]
    ]
    print_table(("condition", *names), rows, title=f"Worst conditions: gain on {reference}")
    click.echo()


def _tells(metric: Mapping[str, Any]) -> bool:
    return bool(metric["informative"] == "informative")


def _value(metric: Mapping[str, Any]) -> str:
    skill = "" if metric["skill"] is None else f", skill {metric['skill']:.2f}"
    return f"{metric['value']:.3g}{skill}"


def _gain(metric: Mapping[str, Any], name: str) -> str:
    item = metric["against"].get(name)
    if item is None:
        return "-"
    span = " [{:+.2g}, {:+.2g}]".format(*item["interval"]) if item["interval"] else ""
    p = "" if item["p_holm"] is None else f", p {item['p_holm']:.2g}"
    return f"{round(item['gain'], 12) + 0.0:+.2g}{span}{p}"
