"""``run``, ``status`` and ``logs``: doing runs and looking at them."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import click
from rich.live import Live

from lanner import store
from lanner.cli.engine import RUNNERS, engine_options
from lanner.cli.output import json_option, plain_table, print_json, print_table, talk
from lanner.config import Settings
from lanner.errors import ConfigurationError
from lanner.records import State, printable

STATUS = ("key", "dataset", "split", "method", "seed", "state", "reason")
WATCH_SECONDS = 0.5
THROUGHPUT_SECONDS = 600.0


@click.command("run")
@click.argument("leaderboard", required=False)
@click.option("--method", "-m", "method_names", multiple=True, help="A method's name or folder; repeatable.")
@click.option("--dataset", "-d", "dataset_name", help="A dataset's id.")
@click.option("--split", "-s", "split_names", multiple=True, help="A split id; the recommended ones without.")
@click.option("--seed", "seeds", type=click.IntRange(0, 2**32 - 1), multiple=True, help="Repeatable [0].")
@click.option("--parameter", "-p", "parameters", multiple=True, help="name=value, for a single method.")
@click.option("--task", "task_name", default="perturbation-response", show_default=True, help="A task's id.")
@click.option(
    "--option", "-o", "options", multiple=True, help="name=value, an option of the task; repeatable."
)
@click.option(
    "--reveal", type=click.Choice(["none", "dose", "level"]), help="What requests say beyond a name [none]."
)
@click.option("--timeout", "timeout_s", type=click.IntRange(1), help="Seconds one run may take.")
@click.option("--runner", type=click.Choice(RUNNERS), default="auto", show_default=True)
@click.option("--trust-process", is_flag=True, help="Let the process runner run other people's methods.")
@click.option("--jobs", type=click.IntRange(1), help="Runs at a time [number of cores].")
@engine_options
@click.option("--compare", is_flag=True, help="Beside the baselines: paired differences, worst conditions.")
@click.option("--baseline", "baselines", multiple=True, help="A method to compare with; repeatable.")
@click.option(
    "--submit",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write what the method reached to this file, to send to a maintainer.",
)
@json_option
@click.pass_obj
def run_command(
    settings: Settings,
    leaderboard: str | None,
    method_names: tuple[str, ...],
    dataset_name: str | None,
    split_names: tuple[str, ...],
    seeds: tuple[int, ...],
    parameters: tuple[str, ...],
    task_name: str,
    options: tuple[str, ...],
    reveal: str | None,
    timeout_s: int | None,
    runner: str,
    trust_process: bool,
    jobs: int | None,
    engine: str,
    engine_config: Path | None,
    compare: bool,
    baselines: tuple[str, ...],
    submit: Path | None,
    as_json: bool,
) -> int:
    """Run methods on a dataset, or all runs of a leaderboard file, and score them.

    --compare runs the baselines too (additive, context-mean-delta and linear-embedding, or those of
    --baseline) and shows each method's gains on them, paired by condition. Whatever was run before is cached.
    --submit writes one file that `lanner submission verify` runs again.

    Scores are computed on the CPU, whatever the methods use: what is stored is the same to the last bit
    wherever it was computed. `lanner score RUN --device cuda` shows a GPU's.

    \b
    Examples:
      lanner run --method additive --dataset simulated --split unseen-combination
      lanner run -m ./my-method -d norman19-k562 --json
      lanner run --task network-inference -o regime=observational -m network-correlation -d simulated
      lanner run -m ./my-method -d simulated -s unseen-combination --compare --submit mine.json
      lanner run leaderboards/quickstart.yaml
    """
    from lanner import leaderboard as boards
    from lanner import methods
    from lanner.cli.building import build_and_show, check_task
    from lanner.cli.stage import parse_options
    from lanner.leaderboard import definition as definitions
    from lanner.tasks import TASKS

    if leaderboard is not None:
        if (
            method_names
            or dataset_name
            or split_names
            or seeds
            or parameters
            or options
            or reveal
            or timeout_s
        ):
            raise click.UsageError(
                "give a leaderboard file, or --method and --dataset with options, not both"
            )
        if compare or submit or baselines:
            raise click.UsageError("--compare, --baseline and --submit go with --method and --dataset")
        definition = boards.load(leaderboard, settings)
    elif not method_names or not dataset_name:
        raise click.UsageError("give a leaderboard file, or --method and --dataset; see lanner run --help")
    else:
        if parameters and len(method_names) > 1:
            raise click.UsageError("--parameter needs a single --method")
        given = {
            name: methods.parse_parameters(methods.find(settings, name), parameters) for name in method_names
        }
        check_task([methods.find(settings, name) for name in method_names], task_name)
        chosen = [{"name": name, "parameters": given[name]} for name in method_names]
        document: dict[str, Any] = {
            "name": "run",
            "title": "Run",
            "task": task_name,
            "datasets": [{"id": dataset_name, **({"splits": split_names} if split_names else {})}],
            "methods": chosen,
            "seeds": list(seeds) or [0],
            "limits": {"timeout_s": timeout_s} if timeout_s else {},
            **({"reveal": reveal} if reveal else {}),
            **({"options": parse_options(TASKS[task_name], options)} if options else {}),
        }
        if compare or submit:
            if engine != "local":
                raise click.UsageError(
                    f"--compare and --submit run on this machine; do the runs with --engine {engine} first, "
                    "and then compare without it: they are cached"
                )
            return _beside(
                document,
                settings,
                baselines if compare else None,
                submit,
                runner=runner,
                trust_process=trust_process,
                jobs=jobs,
                as_json=as_json,
            )
        if baselines:
            raise click.UsageError("--baseline goes with --compare")
        definition = definitions.define(document, settings)
    return build_and_show(
        definition,
        settings,
        runner=runner,
        trust_process=trust_process,
        jobs=jobs,
        engine=engine,
        engine_config=engine_config,
        as_json=as_json,
        site=None,
    )


def _beside(
    asked: dict[str, Any],
    settings: Settings,
    baselines: tuple[str, ...] | None,
    submit: Path | None,
    **options: Any,
) -> int:
    """``--compare`` and ``--submit``; without baselines nothing is compared."""
    from lanner.cli.comparing import compare_and_show

    if submit is not None and len(asked["methods"]) > 1:
        raise click.UsageError("--submit needs a single --method")
    return compare_and_show(asked, settings, baselines=baselines, submit=submit, **options)


@click.command("status")
@click.option("--failed", is_flag=True, help="Only runs that did not succeed.")
@click.option("--watch", is_flag=True, help="Follow them until none is under way.")
@json_option
@click.pass_obj
def status_command(settings: Settings, failed: bool, watch: bool, as_json: bool) -> None:
    """List the runs of this LANNER_HOME: state, reason, key; --json adds host, and since when.

    Any machine that sees the folder may ask; a run of another host counts as live by its heartbeat.

    \b
    Examples:
      lanner status
      lanner status --failed --json
      lanner status --watch
    """
    if as_json:
        print_json({"runs": _status_rows(settings, failed=failed)})
        return
    rows = _status_rows(settings, failed=failed)
    if watch:
        with Live(console=talk, transient=True) as live:
            while any(row["live"] or row["waits"] for row in rows):
                live.update(plain_table(STATUS, [[row[column] for column in STATUS] for row in rows]))
                time.sleep(WATCH_SECONDS)
                rows = _status_rows(settings, failed=failed)
    print_table(STATUS, [[row[column] for column in STATUS] for row in rows])
    talk.print(_summary(rows), markup=False)


@click.command("logs")
@click.argument("run")
@click.option("--stream", type=click.Choice(["both", "stdout", "stderr"]), default="both", show_default=True)
@click.option("--as-maintainer", is_flag=True, help="Also of a hidden split, whose data they may hold.")
@json_option
@click.pass_obj
def logs_command(settings: Settings, run: str, stream: str, as_maintainer: bool, as_json: bool) -> None:
    """Show what a method printed. RUN is the start of a run's key, or its folder.

    \b
    Examples:
      lanner logs 3f9c2a1b
      lanner logs 3f9c2a1b --stream stderr
    """
    folder, record = store.find_run(settings.home, run)
    if not as_maintainer and store.is_hidden(settings.home, record["keyed"]["split"]):
        raise ConfigurationError(
            f"the split of the run {record['key'][:12]} is hidden, and what methods print may be its data; "
            "--as-maintainer shows it to whoever may see those"
        )
    attempt = folder / f"attempt-{record['attempt']}"
    names = ("stdout", "stderr") if stream == "both" else (stream,)
    texts = {name: _log(attempt / f"{name}.log") for name in names}
    if as_json:
        print_json({"key": record["key"], "attempt": record["attempt"], **texts})
        return
    for name, text in texts.items():
        if len(texts) > 1:
            click.echo(f"--- {name}", err=True)
        click.echo(text, nl=not text.endswith("\n") and bool(text))


def _status_rows(settings: Settings, *, failed: bool) -> list[dict[str, Any]]:
    rows = [_status_row(settings.home, folder) for folder in sorted((settings.home / "runs").glob("*/*/*/*"))]
    return [row for row in rows if row is not None and not (failed and row["state"] == State.SUCCEEDED)]


def _status_row(home: Path, folder: Path) -> dict[str, Any] | None:
    attempts = store.RunFolder(path=folder, key="").attempts()
    specs = [spec for attempt in attempts if (spec := store.read_json(attempt / "spec.json"))]
    if not specs:  # a harness was killed while it made the first attempt
        return None
    spec = specs[-1]
    status = store.Status(attempts[-1])
    seen = status.read() or {"state": State.PENDING, "error_class": None, "message": ""}
    if store.is_hidden(home, spec["keyed"]["split"]):
        from lanner.runners.outcome import published

        seen = dict(published(seen, hidden=True))
    state = seen["state"]
    reason = ": ".join(part for part in (seen.get("error_class"), seen.get("message")) if part)
    live = status.is_alive()
    waits = None if live or State(state).is_terminal else waits_for(folder, attempts[-1])
    if waits is not None:
        state, reason = State.QUEUED, waits
    elif not State(state).is_terminal and not live:
        state, reason = "lost", "its process is gone; the next build runs it again"
    return {
        "key": spec["key"][:12],
        "dataset": spec["keyed"]["dataset"]["id"],
        "split": spec["split"]["id"],
        "method": spec["method"]["name"],
        "seed": spec["keyed"]["seed"],
        "state": state,
        "reason": reason,
        "live": live,
        "waits": waits is not None,
        "host": seen.get("host"),
        "since": seen.get("since"),
    }


def waits_for(run: Path, attempt: Path) -> str | None:
    """What an attempt that nobody has begun waits for; None where nobody will begin it."""
    from lanner.execution.engine import PLACED

    placed = store.read_json(attempt / PLACED)
    if store.Status(attempt).path.exists():
        return None
    if placed is not None and (placed.get("outlives_harness") or store.is_held(run)):
        return f"placed by the engine {placed['engine']} as {printable(placed['ticket'])}, not begun yet"
    return "a harness is about to place it" if store.is_held(run) else None


def _summary(rows: list[dict[str, Any]]) -> str:
    """How many runs are in which state and on how many hosts, and how many ended in the last ten minutes.

    Times are those of the hosts that wrote them: clocks that differ shift what counts as the last minutes.
    """
    counts = Counter(str(row["state"]) for row in rows)
    hosts = {row["host"] for row in rows if row["live"]}
    since = time.time() - THROUGHPUT_SECONDS
    recent = sum(not (row["live"] or row["waits"]) and (row["since"] or 0) > since for row in rows)
    states = ", ".join(f"{n} {state}" for state, n in sorted(counts.items())) or "no runs"
    live = f", at work on {len(hosts)} hosts" if hosts else ""
    return f"{states}{live}; {60 * recent / THROUGHPUT_SECONDS:.1f} runs/min in the last ten minutes"


def _log(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return printable(text, keep="\n\t")
