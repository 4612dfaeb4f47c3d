"""``retry`` and ``cancel``: another attempt, or an end to one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from lanner import store
from lanner.cli.output import json_option, print_json, print_table
from lanner.cli.run import waits_for
from lanner.config import Settings
from lanner.errors import ConfigurationError, ErrorClass
from lanner.records import State

FAILURES = tuple(ErrorClass)


@click.command("retry")
@click.argument("runs", nargs=-1)
@click.option(
    "--failed",
    "failed",
    is_flag=False,
    flag_value="any",
    type=click.Choice(["any", *FAILURES], case_sensitive=False),
    help="All failed runs, or those of one error class: --failed=OOM.",
)
@click.option("--jobs", type=click.IntRange(1), help="Runs at a time [number of cores].")
@json_option
@click.pass_obj
def retry_command(
    settings: Settings, runs: tuple[str, ...], failed: str | None, jobs: int | None, as_json: bool
) -> int:
    """Give runs another attempt, with the same key; a leaderboard built afterwards shows the new outcome.

    RUNS are the starts of keys, or folders.

    \b
    Examples:
      lanner retry 3f9c2a1b
      lanner retry --failed
      lanner retry --failed=TIMEOUT
    """
    from lanner import execution
    from lanner.cli.building import default_jobs, display
    from lanner.execution.local import LocalEngine

    if not runs and failed is None:
        raise click.UsageError("name runs, or give --failed; see lanner retry --help")
    chosen = [store.find_run(settings.home, name) for name in runs]
    if failed is not None:
        chosen += [
            (folder, record)
            for folder, record in store.find_runs(settings.home)
            if record["state"] in (State.FAILED, State.CANCELLED)
            and failed.upper() in ("ANY", record["error_class"])
        ]
    plans = {record["key"]: _plan(folder, record) for folder, record in chosen}
    for plan in plans.values():
        plan.folder.forget()
    with display() as shown:
        shown.begin(len(plans), 0)
        execution.complete(
            list(plans.values()),
            settings,
            LocalEngine(settings, jobs or default_jobs()),
            on_state=lambda plan, state: shown.state(plan.label, state),
            on_record=lambda plan, record: shown.done(plan.label, record),
        )
    records = [_shown(settings.home, plan.folder.record() or {}) for plan in plans.values()]
    columns = ("key", "dataset", "split", "method", "seed", "state", "error_class", "message")
    rows = [{**{column: record.get(column) for column in columns}} for record in records]
    if as_json:
        print_json({"runs": rows})
    else:
        print_table(columns, [[str(row["key"])[:12], *(row[c] for c in columns[1:])] for row in rows])
    return 1 if any(row["state"] == State.FAILED for row in rows) else 0


@click.command("cancel")
@click.argument("runs", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every run under way in this LANNER_HOME.")
@json_option
@click.pass_obj
def cancel_command(settings: Settings, runs: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """Ask runs that are under way to stop, on whatever machine they are; their containers are removed.

    What an engine holds and has not begun ends as soon as it begins.

    RUNS are the starts of keys, or folders. A cancelled run is done again by the next build.

    \b
    Examples:
      lanner cancel 3f9c2a1b
      lanner cancel --all
    """
    if not runs and not everything:
        raise click.UsageError("name runs, or give --all; see lanner cancel --help")
    live = [
        attempt
        for folder in sorted((settings.home / "runs").glob("*/*/*/*"))
        for attempt in folder.glob("attempt-*")
        if store.Status(attempt).is_alive() or waits_for(folder, attempt) is not None
    ]
    asked = []
    for name in runs:
        matching = [attempt for attempt in live if _is_called(attempt, name)]
        if not matching:
            raise ConfigurationError(f"no run under way starts with {name!r}; `lanner status` lists them")
        asked += matching
    for attempt in live if everything else asked:
        store.Status(attempt).request_cancel()
    keys = [_key(attempt)[:12] for attempt in (live if everything else asked)]
    if as_json:
        print_json({"cancelling": keys})
    else:
        click.echo("\n".join(keys) or "nothing is under way")


def _shown(home: Path, record: Mapping[str, Any]) -> Mapping[str, Any]:
    from lanner.runners.outcome import published

    return published(record, hidden=bool(record) and store.is_hidden(home, record["keyed"]["split"]))


def _is_called(attempt: Path, name: str) -> bool:
    return _key(attempt).startswith(name) or Path(name).resolve() in (attempt, attempt.parent)


def _key(attempt: Path) -> str:
    return str(store.read_json(attempt / "spec.json")["key"])


def _plan(folder: Path, record: dict[str, Any]) -> Any:
    from lanner.pipeline import Plan

    spec = store.read_json(folder / f"attempt-{record['attempt']}" / "spec.json")
    if spec is None:
        raise ConfigurationError(f"{folder} has lost its spec.json; build its leaderboard again")
    return Plan(folder=store.RunFolder(path=folder, key=record["key"]), spec=spec)
