"""``lanner dataset``: what is in the registry, what it holds, whether it is what it claims to be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from lanner.cli.dataset_add import add_command
from lanner.cli.output import json_option, print_fields, print_json, print_table, talk
from lanner.config import Settings

if TYPE_CHECKING:
    from lanner import datasets
    from lanner.datasets import Entry


@click.group("dataset")
def dataset_command() -> None:
    """Find, add, fetch and check datasets.

    \b
    Examples:
      lanner dataset list
      lanner dataset info kang18-pbmc
      lanner dataset check simulated
      lanner dataset add screen.h5ad
    """


dataset_command.add_command(add_command)


@dataset_command.command("list")
@json_option
@click.pass_obj
def list_datasets(settings: Settings, as_json: bool) -> None:
    """List the datasets of the registry.

    \b
    Examples:
      lanner dataset list
      lanner dataset list --json
    """
    from lanner import datasets

    found = datasets.entries(settings).values()
    rows = [
        {
            "id": entry.id,
            "kind": entry.kind,
            "perturbation_kind": entry.perturbation_kind,
            "organism": entry.organism,
            "licence": entry.document["licence"],
            "bytes": sum(source.bytes for source in entry.sources),
            "title": entry.title,
        }
        for entry in found
    ]
    if as_json:
        print_json(rows)
        return
    columns = ("id", "kind", "perturbation", "organism", "licence", "MB", "title")
    print_table(
        columns, [[*list(row.values())[:5], round(row["bytes"] / 1e6, 1), row["title"]] for row in rows]
    )


@dataset_command.command("info")
@click.argument("dataset")
@click.option("--load", "loads", is_flag=True, help="Also fetch and normalise it, and show its sizes.")
@json_option
@click.pass_obj
def info(settings: Settings, dataset: str, loads: bool, as_json: bool) -> None:
    """Show what one registry entry says, and with --load what the data hold.

    \b
    Examples:
      lanner dataset info kang18-pbmc
      lanner dataset info simulated --load --json
    """
    from lanner import datasets

    entry = datasets.find_entry(settings, dataset)
    sizes: dict[str, Any] = {}
    if loads:
        with progress_bars() as progress:
            sizes = datasets.dataset_fields(datasets.load(entry, settings, progress))
    if as_json:
        print_json({**entry.document, "content": entry.content, **({"data": sizes} if loads else {})})
        return
    print_fields({**_entry_fields(entry), **{key: _text(value) for key, value in sizes.items()}})


@dataset_command.command("fetch")
@click.argument("names", nargs=-1, required=True, metavar="DATASET...")
@json_option
@click.pass_obj
def fetch(settings: Settings, names: tuple[str, ...], as_json: bool) -> None:
    """Fetch, verify and normalise datasets, so that later commands need no network.

    Files are taken from the cache, from the folders of LANNER_MIRROR, or from their addresses.

    \b
    Examples:
      lanner dataset fetch kang18-pbmc norman19-k562
      LANNER_MIRROR=~/published lanner dataset fetch kang18-pbmc
    """
    rows = []
    from lanner import datasets

    for entry in [datasets.find_entry(settings, name) for name in names]:
        with progress_bars() as progress:
            loaded = datasets.load(entry, settings, progress)
        rows.append({"id": entry.id, "content": loaded.content, "folder": str(loaded.folder)})
    if as_json:
        print_json(rows)
    else:
        print_table(("id", "content", "folder"), [[r["id"], r["content"][:12], r["folder"]] for r in rows])


@dataset_command.command("check")
@click.argument("names", nargs=-1, required=True, metavar="DATASET...")
@click.option(
    "--page", type=click.Path(dir_okay=False, path_type=Path), help="Write the report of one dataset as HTML."
)
@click.option(
    "--range/--no-range",
    "dynamic_range",
    default=None,
    help="Also what each metric can tell on the recommended splits: minutes [with --page].",
)
@json_option
@click.pass_context
def check(
    context: click.Context,
    names: tuple[str, ...],
    page: Path | None,
    dynamic_range: bool | None,
    as_json: bool,
) -> None:
    """Test datasets: structure, known facts, knock-down, controls, batches, agreement of halves, licence.

    Ends with exit code 2 when a check of level error fails; warnings do not change it. With --page, and with
    --range, the technical bounds are scored too: is the dataset able to tell methods apart?

    \b
    Examples:
      lanner dataset check simulated
      lanner dataset check kang18-pbmc --page kang.html
      lanner dataset check kang18-pbmc --range --json
    """
    settings: Settings = context.obj
    if page is not None and len(names) > 1:
        raise click.UsageError("--page is of a single dataset")
    results: dict[str, Any] = {}
    from lanner import datasets
    from lanner.dataset_report import report

    for entry in [datasets.find_entry(settings, name) for name in names]:
        with progress_bars() as progress:
            loaded = datasets.load(entry, settings, progress)
        with_range = page is not None if dynamic_range is None else dynamic_range
        results[entry.id] = report(loaded, settings, dynamic_range=with_range, say=talk.print)
    if page is not None:
        from lanner.dataset_report.page import write_page

        written = write_page(next(iter(results.values())), page)
    if as_json:
        print_json(results)
    else:
        show_findings({name: found["checks"] for name, found in results.items()})
    if page is not None:
        talk.print(f"page: {written}", markup=False)
    failed = sum(_verdict(line) == "FAILED" for found in results.values() for line in found["checks"])
    if failed:
        talk.print(f"{failed} checks failed; the entry or its source is not what it claims to be")
        context.exit(2)


def show_findings(results: dict[str, list[dict[str, Any]]]) -> None:
    """One table of checks for each dataset."""
    for name, findings in results.items():
        rows = [[_verdict(line), line["fact"], line["observed"], line["expected"]] for line in findings]
        print_table(("", "check", "observed", "expected"), rows, title=name)


def _verdict(finding: dict[str, Any]) -> str:
    if finding["level"] == "information":
        return "info"
    if finding["passed"]:
        return "ok"
    return "FAILED" if finding["level"] == "error" else "warning"


def _entry_fields(entry: Entry) -> dict[str, str]:
    citation = entry.document["citation"]
    fields = {
        "id": entry.id,
        "title": entry.title,
        "summary": entry.document.get("summary"),
        "version": entry.version,
        "organism": entry.organism,
        "assay": entry.assay,
        "perturbation": entry.perturbation_kind,
        "kind": entry.kind,
        "scale": entry.scale,
        "licence": entry.document["licence"],
        "citation": citation["text"],
        "doi": citation.get("doi"),
        "accession": citation.get("accession"),
        "context": entry.context_columns,
        "sources": [f"{source.name}, {source.bytes} bytes, {source.urls[0]}" for source in entry.sources],
        "splits": [_split(split) for split in entry.splits],
        "entry": entry.folder,
    }
    return {name: _text(value) for name, value in fields.items() if value not in (None, [])}


def _split(split: Any) -> str:
    parameters = ", ".join(f"{name}={value}" for name, value in split["parameters"].items())
    return f"{split['id']} ({parameters})" if parameters else str(split["id"])


def _text(value: Any) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


@contextmanager
def progress_bars() -> Iterator[datasets.Progress]:
    """A progress bar on stderr that disappears when done; silent where stderr is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    with Progress(*columns, TimeRemainingColumn(), console=talk, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done)

        yield report
