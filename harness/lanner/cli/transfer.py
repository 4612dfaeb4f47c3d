"""``store``: finished runs to and from a store that others see."""

from __future__ import annotations

import click

from lanner.cli.output import json_option, print_fields, print_json, talk
from lanner.config import Settings


@click.group("store")
def store_command() -> None:
    """Share finished runs by a store: s3://, gs://, sftp://, file:// or whatever else fsspec speaks.

    \b
    Examples:
      lanner store push s3://our-lab/lanner
      lanner store pull s3://our-lab/lanner
    """


@store_command.command("push")
@click.argument("url")
@json_option
@click.pass_obj
def push_command(settings: Settings, url: str, as_json: bool) -> None:
    """Copy the finished runs of this LANNER_HOME there: records, predictions, logs and scores.

    Runs of hidden splits stay here, and so do failures that the next build would try again. What is there
    already is never changed. Credentials are those that the protocol's own tools use.

    \b
    Examples:
      lanner store push s3://our-lab/lanner
      lanner store push file:///mnt/results --json
    """
    from lanner import transfer

    _show(transfer.push(settings.home, url), "pushed", as_json)


@store_command.command("pull")
@click.argument("url")
@json_option
@click.pass_obj
def pull_command(settings: Settings, url: str, as_json: bool) -> None:
    """Copy runs from there that this LANNER_HOME has not finished; the next build finds them cached.

    Every file is checked against its hash, and every record against its key. Scores are taken as they are:
    pull from a store whose writers you trust.

    \b
    Examples:
      lanner store pull s3://our-lab/lanner
      lanner store pull gs://our-lab/lanner --json
    """
    from lanner import transfer

    report = transfer.pull(settings.home, url)
    if report.moved + report.there + report.busy == 0:
        talk.print(f"no finished run is stored at {url}; check the address", markup=False)
    _show(report, "pulled", as_json)


def _show(report: object, done: str, as_json: bool) -> None:
    from lanner.transfer import Report

    assert isinstance(report, Report)
    if as_json:
        print_json({done if name == "moved" else name: n for name, n in report.to_json().items()})
        return
    print_fields(
        {
            done: f"{report.moved} runs, {report.bytes / 2**20:.1f} MiB, {report.requests} requests",
            "there already": report.there,
            "not finished": report.unfinished,
            "hidden, kept here": report.hidden,
            "at work here": report.busy,
        }
    )
