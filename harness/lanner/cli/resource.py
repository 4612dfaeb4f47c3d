"""``lanner resource``: the priors a leaderboard can grant, their terms, and what of them is at hand."""

from __future__ import annotations

import click

from lanner.cli.output import json_option, print_fields, print_json, print_table
from lanner.config import Settings


@click.group("resource")
def resource_command() -> None:
    """Find and fetch priors: gene sets, networks, embeddings, and their random controls.

    \b
    Examples:
      lanner resource list
      lanner resource info dorothea
      lanner resource fetch dorothea-embedding
    """


@resource_command.command("list")
@json_option
@click.pass_obj
def list_resources(settings: Settings, as_json: bool) -> None:
    """List the priors of the registry.

    \b
    Examples:
      lanner resource list
      lanner resource list --json
    """
    from lanner import resources

    found = [resources.find(settings, name).describe() for name in resources.names(settings)]
    if as_json:
        print_json(found)
        return
    columns = ("id", "kind", "of", "licence", "title")
    print_table(columns, [[item.get(column) for column in columns] for item in found])


@resource_command.command("info")
@click.argument("name")
@json_option
@click.pass_obj
def info(settings: Settings, name: str, as_json: bool) -> None:
    """Say what a prior holds, what it was made from, and whom to cite.

    \b
    Examples:
      lanner resource info go-bp
      lanner resource info dorothea --json
    """
    from lanner import resources

    found = resources.find(settings, name)
    summary = found.document.get("summary")
    result = {**found.describe(), "summary": summary, "file": found.file_name, "folder": str(found.folder)}
    if as_json:
        print_json(result)
        return
    cited = found.citation or {}
    citation = f"{cited['text']} doi:{cited['doi']}" if "doi" in cited else cited.get("text")
    print_fields({**{name: value for name, value in result.items() if value}, "citation": citation or "none"})


@resource_command.command("fetch")
@click.argument("name")
@json_option
@click.pass_obj
def fetch(settings: Settings, name: str, as_json: bool) -> None:
    """Bring a prior into LANNER_HOME now: from a mirror or its address, prepared, embedded or shuffled.

    \b
    Examples:
      lanner resource fetch dorothea
      lanner resource fetch go-bp-embedding --json
    """
    from lanner import resources

    found = resources.find(settings, name)
    found.make()
    result = {"id": found.id, "sha256": found.sha256, "at": str(found.kept or found.folder)}
    if as_json:
        print_json(result)
    else:
        print_fields(result)
