"""``lanner submission``: look at what was sent, and run it again."""

from __future__ import annotations

from pathlib import Path

import click

from lanner.cli.output import json_option, print_fields, print_json, print_table, talk
from lanner.config import Settings

FILE = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.group("submission")
def submission_command() -> None:
    """What a method's author sent: one file that `lanner run --submit` wrote.

    \b
    Examples:
      lanner submission show mine.json
      lanner submission verify mine.json
    """


@submission_command.command("show")
@FILE
@json_option
def show(file: Path, as_json: bool) -> None:
    """Show what a submission claims, having checked its form; nothing is run.

    \b
    Examples:
      lanner submission show mine.json
      lanner submission show mine.json --json
    """
    from lanner.submission import read

    document = read(file)
    if as_json:
        print_json(document)
        return
    method = document["method"]
    print_fields(
        {
            "method": method["name"],
            "label": method["manifest"].get("label", ""),
            "summary": method["manifest"].get("summary", ""),
            "licence": method["manifest"].get("licence", ""),
            "identity": method["identity"],
            "parameters": method["parameters"],
            "task": document["task"],
            "lanner": document["lanner"],
            **({"note": method["note"]} if method["note"] else {}),
        }
    )
    click.echo()
    names = list(document["runs"][0]["scores"])
    rows = [
        (
            run["dataset"]["id"],
            run["split"]["id"],
            run["split"]["sha256"][:8],
            run["seed"],
            *(_score(run["scores"].get(name)) for name in names),
        )
        for run in document["runs"]
    ]
    print_table(("dataset", "split", "sha256", "seed", *names), rows)


@submission_command.command("verify")
@FILE
@click.option(
    "--method", "-m", "source", help="The method's name or folder, where the submission's is not here."
)
@click.option("--tolerance", type=click.FloatRange(0), help="Largest relative difference of a score [0.001].")
@click.option("--runner", type=click.Choice(["auto", "docker", "process"]), default="auto", show_default=True)
@click.option("--trust-process", is_flag=True, help="Let the process runner run other people's methods.")
@click.option("--jobs", type=click.IntRange(1), help="Runs at a time [number of cores].")
@json_option
@click.pass_obj
def verify_command(
    settings: Settings,
    file: Path,
    source: str | None,
    tolerance: float | None,
    runner: str,
    trust_process: bool,
    jobs: int | None,
    as_json: bool,
) -> int:
    """Run a submission again from your own data, and say of each run whether it gives what was submitted.

    The method is found by its image's digest, or by its name or --method and must then be the very files
    that were submitted. Nothing cached is used. Ends with 1 where a run is different.

    \b
    Examples:
      lanner submission verify mine.json
      lanner submission verify mine.json --method ./their-method
      lanner submission verify mine.json --tolerance 0.01 --json
    """
    from lanner.cli.building import choose_runner, default_jobs, display
    from lanner.submission import TOLERANCE, read, verify

    document = read(file)
    chosen = choose_runner(runner, settings)
    with display() as shown:
        found = verify(
            document,
            settings,
            runner=chosen,
            jobs=jobs or default_jobs(),
            source=source,
            trust_process=trust_process,
            tolerance=TOLERANCE if tolerance is None else tolerance,
            monitor=shown,
        )
    if as_json:
        print_json(found)
    else:
        columns = ("dataset", "split", "seed", "verdict", "prediction", "where")
        rows = [[*(row[name] for name in columns[:-1]), "; ".join(row["where"])] for row in found["rows"]]
        click.echo(f"{found['method']} {found['identity']}\n")
        print_table(columns, rows)
        if found["note"]:
            talk.print(f"{found['note']}: the files were scored again", markup=False)
    return 0 if found["verified"] else 1


def _score(score: dict[str, float | None] | None) -> str:
    return "-" if score is None or score["value"] is None else f"{score['value']:.4g}"
