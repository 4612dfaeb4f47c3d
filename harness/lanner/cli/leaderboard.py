"""``leaderboard`` and ``demo``."""

from __future__ import annotations

from pathlib import Path

import click

from lanner.cli.engine import RUNNERS, engine_options
from lanner.cli.leaderboard_files import diff_command, export_command, serve_command
from lanner.cli.output import json_option, print_fields, print_json, print_table
from lanner.config import Settings

SITE = Path("site")


@click.group("leaderboard")
def leaderboard_command() -> None:
    """Build leaderboards from runs, show, export and compare them.

    \b
    Examples:
      lanner leaderboard build leaderboards/quickstart.yaml
      lanner leaderboard serve
      lanner leaderboard build leaderboards/real.yaml --dry-run
      lanner leaderboard informative real
    """


@leaderboard_command.command("build")
@click.argument("file")
@click.option("--runner", type=click.Choice(RUNNERS), default="auto", show_default=True)
@click.option("--trust-process", is_flag=True, help="Let the process runner run other people's methods.")
@click.option("--jobs", type=click.IntRange(1), help="Runs at a time [number of cores].")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Page folder [site/NAME].")
@click.option(
    "--dry-run", is_flag=True, help="List the runs to do, cached ones, and what it will take; run nothing."
)
@engine_options
@click.option("--detach", is_flag=True, help="Place the runs and return; the same command collects them.")
@click.option(
    "--score-shards",
    type=click.IntRange(1),
    help="Have the engine score too, each run in so many parts [score in this process].",
)
@json_option
@click.pass_obj
def build_command(
    settings: Settings,
    file: str,
    runner: str,
    trust_process: bool,
    jobs: int | None,
    engine: str,
    engine_config: Path | None,
    detach: bool,
    score_shards: int | None,
    out: Path | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Do the runs that are missing, score them, and write leaderboard.json and pages.

    FILE is a leaderboard's YAML file, or the name of a bundled one. A method that fails is a row with its
    reason (exit 1); the rest is built. Scores are computed on the CPU, as leaderboard.json is to be the same
    everywhere; `lanner score RUN --device cuda` shows a GPU's.

    \b
    Examples:
      lanner leaderboard build leaderboards/quickstart.yaml
      lanner leaderboard build quickstart --runner process --json
      LANNER_MIRROR=../shared/data lanner leaderboard build leaderboards/real.yaml --jobs 2
      lanner leaderboard build real --engine slurm-array --engine-config cluster.yaml --detach
      lanner leaderboard build real --engine dask --engine-config cluster.yaml --score-shards 8
    """
    from lanner.cli.building import build_and_show
    from lanner.leaderboard import load

    definition = load(file, settings)
    if dry_run:
        return _dry_run(definition, settings, runner, trust_process, jobs, as_json)
    return build_and_show(
        definition,
        settings,
        runner=runner,
        trust_process=trust_process,
        jobs=jobs,
        engine=engine,
        engine_config=engine_config,
        detach=detach,
        score_shards=score_shards,
        as_json=as_json,
        site=out or SITE / definition.name,
    )


@leaderboard_command.command("informative")
@click.argument("file")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Write informative.json and .md there."
)
@json_option
@click.pass_obj
def informative_command(settings: Settings, file: str, out: Path | None, as_json: bool) -> None:
    """Say which metrics can tell methods apart on each dataset and split; no method is run.

    FILE is a leaderboard's YAML file, or the name of a bundled one.

    \b
    Examples:
      lanner leaderboard informative quickstart
      lanner leaderboard informative real --out docs/reference
    """
    from lanner.cli.building import display
    from lanner.leaderboard import load
    from lanner.leaderboard.informative import COLUMNS, cells, informative, markdown
    from lanner.store import write_bytes, write_json

    definition = load(file, settings)
    with display() as shown:
        document = informative(definition, settings, shown)
    if out is not None:
        write_json(out / "informative.json", document)
        write_bytes(out / "informative.md", markdown(document).encode())
    if as_json:
        print_json(document)
    else:
        print_table(COLUMNS, [cells(row) for row in document["rows"]], title=definition.title)


for _command in (serve_command, export_command, diff_command):
    leaderboard_command.add_command(_command)


@click.command("demo")
@click.option("--runner", type=click.Choice(["auto", "docker", "process"]), default="auto", show_default=True)
@click.option("--jobs", type=click.IntRange(1), help="Runs at a time [number of cores].")
@json_option
@click.pass_obj
def demo_command(settings: Settings, runner: str, jobs: int | None, as_json: bool) -> int:
    """Build the quickstart leaderboard: embedded data, five baselines, a table and a page in minutes.

    \b
    Example:
      lanner demo
    """
    from lanner.cli.building import build_and_show
    from lanner.leaderboard import load

    return build_and_show(
        load("quickstart", settings),
        settings,
        runner=runner,
        trust_process=False,
        jobs=jobs,
        as_json=as_json,
        site=SITE / "quickstart",
    )


def _dry_run(
    definition: object, settings: Settings, runner: str, trust: bool, jobs: int | None, as_json: bool
) -> int:
    from lanner.cli.building import choose_runner, clock, default_jobs
    from lanner.leaderboard import Definition, expand

    assert isinstance(definition, Definition)
    campaign = expand(
        definition,
        settings,
        runner=choose_runner(runner, settings),
        trust_process=trust,
    )
    missing = campaign.missing()
    reasons = {cell.plan.folder.key: reason for cell, reason in missing}
    rows = [
        {
            "dataset": cell.artefact.dataset.entry.id,
            "split": cell.artefact.split.id,
            "method": cell.choice.label,
            "seed": cell.seed,
            "key": cell.plan.folder.key,
            "cached": cell.skip is None and cell.plan.folder.key not in reasons,
            "reason": cell.skip or reasons.get(cell.plan.folder.key, ""),
        }
        for cell in campaign.cells
    ]
    estimate = campaign.estimate(missing, jobs or default_jobs())
    cached = sum(bool(row["cached"]) for row in rows)
    if as_json:
        print_json({"runs": rows, "to_do": len(missing), "cached": cached, "estimate": estimate})
        return 0
    columns = ("dataset", "split", "method", "seed", "cached", "reason")
    print_table(
        columns,
        [[("yes" if row["cached"] else "no") if c == "cached" else row[c] for c in columns] for row in rows],
    )
    print_fields(
        {
            "to do": f"{len(missing)} of {len(rows)} runs",
            "cached": f"{cached} rows",
            "wall time": f"about {clock(estimate['wall_seconds'])} on {estimate['workers']} workers; "
            f"runs one after another take {clock(estimate['run_seconds'])}, and scoring is not counted",
            "CPU": f"about {estimate['cpu_hours']:.2f} hours",
            "memory": f"at most {estimate['peak_memory_mb']} MB in a run; the limits of the "
            f"{estimate['workers']} largest add up to {estimate['memory_at_once_mb']} MB",
            "known from": ", ".join(f"{name}: {n} runs" for name, n in estimate["basis"].items() if n) or "-",
            "disk": f"at most about {estimate['disk_bytes'] / 2**20:.0f} MiB of predictions",
        }
    )
    return 0
