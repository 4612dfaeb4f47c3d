"""``clean``: make room."""

from __future__ import annotations

from collections import Counter

import click

from lanner import cleaning
from lanner.cli.output import json_option, print_json, print_table
from lanner.config import Settings


@click.command("clean")
@click.argument("kinds", nargs=-1, type=click.Choice([*cleaning.KINDS, "all"]))
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show what would go, and its size.")
@json_option
@click.pass_obj
def clean_command(
    settings: Settings, kinds: tuple[str, ...], yes: bool, dry_run: bool, as_json: bool
) -> None:
    """Remove caches, old attempts or images of this LANNER_HOME; shows sizes and asks first.

    Without KINDS it only shows what there is. What a live process works on is never removed. Images are
    Docker's and shared by all LANNER_HOMEs of this machine.

    \b
    Examples:
      lanner clean
      lanner clean leftovers attempts --yes
      lanner clean images --dry-run
    """
    wanted = frozenset(cleaning.KINDS if not kinds or "all" in kinds else kinds)
    if not kinds:
        dry_run = True
        wanted -= {"images"} if not _docker_answers() else set()
    found = cleaning.find(settings, wanted)
    sizes: Counter[str] = Counter()
    for item in found:
        sizes[item.kind] += item.size_bytes
    if not as_json:
        rows = [
            (kind, sum(item.kind == kind for item in found), f"{sizes[kind] / 2**20:,.1f}", what)
            for kind, what in cleaning.KINDS.items()
            if kind in wanted
        ]
        print_table(("kind", "items", "MiB", "what"), rows)
    removed = []
    if found and not dry_run:
        if not yes:
            click.confirm(
                f"Remove {len(found)} items, {sum(sizes.values()) / 2**20:,.1f} MiB?", abort=True, err=True
            )
        removed = [item for item in found if cleaning.remove(item)]
    if as_json:
        print_json(
            {
                "found": [{"kind": item.kind, "name": item.name, "bytes": item.size_bytes} for item in found],
                "removed": [item.name for item in removed],
            }
        )
    elif not dry_run:
        click.echo(f"removed {len(removed)} of {len(found)}", err=True)


def _docker_answers() -> bool:
    from lanner.runners.docker import docker_available

    return docker_available() is None
