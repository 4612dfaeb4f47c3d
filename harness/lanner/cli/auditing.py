"""``lanner split audit``: leaks of a split, for people and for machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lanner.cli.output import json_option, print_json, print_table, talk
from lanner.config import Settings
from lanner.errors import ConfigurationError
from lanner.records import Split
from lanner.splits import resolve

if TYPE_CHECKING:
    from lanner.datasets import Entry


@click.command("audit")
@click.option("--dataset", "dataset_id", required=True, help="Dataset that is split.")
@click.option(
    "--split",
    "wanted",
    help="As for show, or the file of a saved split. Default: all recommended ones.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Split seed, instead of the design's own.")
@click.option("--cells/--no-cells", default=True, show_default=True, help="Compare cells across the border.")
@json_option
@click.pass_context
def audit_command(
    context: click.Context,
    dataset_id: str,
    wanted: str | None,
    seed: int | None,
    cells: bool,
    as_json: bool,
) -> None:
    """Look for leaks in splits: shared targets, synonyms, copied cells, confounded batches and more.

    Ends with exit code 2 where a finding is an error; warnings and notes do not change it.

    \b
    Examples:
      lanner split audit --dataset simulated
      lanner split audit --dataset kang18-pbmc --split unseen-context/cd4t --json
      lanner split audit --dataset norman19-k562 --split my-split.json
    """
    from lanner import datasets
    from lanner.audit import Severity, audit

    settings: Settings = context.obj
    with talk.status(f"loading {dataset_id}"):
        entry = datasets.find_entry(settings, dataset_id)
        dataset = datasets.load(entry, settings)
    splits = _saved(wanted) or resolve(dataset, wanted, seed=seed)
    source = _published(entry, settings)
    found = [(split, audit(dataset, split, source=source, cells=cells)) for split in splits]
    if as_json:
        print_json(
            [
                {"split": split.id, "sha256": split.sha256, "findings": [item.to_json() for item in items]}
                for split, items in found
            ]
        )
    else:
        rows = [
            [split.id, item.severity.name.lower(), item.check, item.message, ", ".join(item.examples)]
            for split, items in found
            for item in items
        ]
        quiet = [[split.id, "ok", "", "nothing found", ""] for split, items in found if not items]
        print_table(["split", "", "check", "finding", "such as"], [*rows, *quiet], dataset_id)
    errors = sum(item.severity == Severity.ERROR for _, items in found for item in items)
    if errors:
        talk.print(f"{errors} errors; scores on these splits do not mean what they say")
        context.exit(2)


def _saved(wanted: str | None) -> tuple[Split, ...]:
    """The split of a saved file; nothing where ``wanted`` is not one."""
    if wanted is None or not wanted.endswith(".json"):
        return ()
    from lanner import schemas

    try:
        document = json.loads(Path(wanted).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{wanted} cannot be read as a saved split ({error}); correct it") from None
    schemas.check(document, "split", wanted)
    return (Split.from_json(document),)


def _published(entry: Entry, settings: Settings) -> Path | None:
    """The one published AnnData file of an entry, where there is one."""
    from lanner import datasets

    if len(entry.sources) != 1 or not entry.sources[0].name.endswith(".h5ad"):
        return None
    return next(iter(datasets.fetch(entry, settings).values()))
