"""``reproduce``: do a published run again and compare."""

from __future__ import annotations

import click

from lanner.cli.output import json_option, print_fields, print_json, print_table
from lanner.config import Settings

SHOWN = 20


@click.command("reproduce")
@click.argument("run")
@click.option(
    "--method", "-m", help="The method's folder or name, where the published name is not known here."
)
@click.option(
    "--tolerance", type=click.FloatRange(0), help="Relative difference that still counts as one [0.001]."
)
@json_option
@click.pass_obj
def reproduce_command(
    settings: Settings, run: str, method: str | None, tolerance: float | None, as_json: bool
) -> int:
    """Run a published row again and say: same, within tolerance, or different, and where.

    RUN is the .json that a run's page offers, or its URL. Dataset, split and method must be those published,
    by their hashes; nothing cached stands for the run. Exits 1 where it is different.

    \b
    Examples:
      lanner reproduce site/quickstart/runs/1a2b3c4d5e6f-0a1b.json
      lanner reproduce https://example.org/board/runs/1a2b3c4d5e6f-0a1b.json --json
    """
    from lanner.cli.building import display
    from lanner.leaderboard.reproducing import TOLERANCE, Verdict, read_published, reproduce

    limit = TOLERANCE if tolerance is None else tolerance
    published = read_published(run)
    with display() as shown:
        report = reproduce(published, settings, method=method, tolerance=limit, monitor=shown)
    rows = [(d.what, d.published, d.here, d.relative) for d in report.differences]
    columns = ("what", "published", "here", "relative difference")
    if as_json:
        print_json(
            {
                "key": published["key"],
                "verdict": report.verdict,
                "tolerance": limit,
                "compared": report.compared,
                "differences": [dict(zip(columns, row, strict=True)) for row in rows],
                "notes": list(report.notes),
            }
        )
    else:
        row = published["row"]
        print_fields(
            {
                "run": f"{row['method']} on {row['dataset']}, {row['split']}, seed {row['seed']}",
                "verdict": report.verdict,
                "compared": f"{report.compared} numbers, {len(rows)} not equal, tolerance {limit:g}",
                **({"notes": "\n".join(report.notes)} if report.notes else {}),
            }
        )
        if rows:
            print_table(columns, rows[:SHOWN])
            if len(rows) > SHOWN:
                click.echo(f"and {len(rows) - SHOWN} more; --json lists them all")
    return 1 if report.verdict == Verdict.DIFFERENT else 0
