"""``lanner dataset add``: a file becomes a registry entry."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lanner.cli.output import json_option, print_fields, print_json, talk
from lanner.config import Settings

if TYPE_CHECKING:
    from lanner.datasets.proposal import Known, Proposal

KINDS = (
    "CRISPRi",
    "CRISPRa",
    "CRISPRko",
    "Cas13d",
    "RNAi",
    "overexpression",
    "drug",
    "cytokine",
    "infection",
)
SHOWN = 12
"""Choices up to here are listed in a prompt."""


@click.command("add")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--id", "id_", help="Name of the dataset [the file's name].")
@click.option("--title", help="One line for people [made of the labels].")
@click.option("--organism", type=click.Choice(["human", "mouse", "rat", "zebrafish", "fly", "yeast", "none"]))
@click.option(
    "--perturbation-kind",
    type=click.Choice(KINDS, case_sensitive=False),
    help="What a perturbation does to its target.",
)
@click.option("--assay", help="How expression was measured, such as Perturb-seq.")
@click.option("--licence", help="Terms of the file, such as CC-BY-4.0.")
@click.option("--citation", help="The publication to cite.")
@click.option("--doi", help="Its DOI, without a resolver's address.")
@click.option("--accession", help="Accession of the raw data, such as a GEO series.")
@click.option("--perturbation-column", "perturbation", help="The obs column of perturbation labels.")
@click.option("--control", multiple=True, metavar="LABEL", help="A label that means unperturbed; repeatable.")
@click.option(
    "--context", multiple=True, metavar="COLUMN", help="A column that names the context; repeatable."
)
@click.option("--context-value", help="The cell type or line of all cells, where no column says it.")
@click.option("--delimiter", help="What joins the targets of a combination in a label.")
@click.option(
    "--guides", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="10x: CSV of guides."
)
@click.option("--url", help="Public address of the same bytes, for others who use the entry.")
@click.option("--dry-run", is_flag=True, help="Show the entry; write nothing.")
@click.option("--yes", is_flag=True, help="Ask nothing: take what is proposed.")
@json_option
@click.pass_obj
def add_command(
    settings: Settings,
    /,
    file: Path,
    id_: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Add a file as a dataset: its columns are read, the rest is asked for, and the result is checked.

    FILE is an .h5ad in whatever convention (scPerturb, GEARS, PerturBench, cell-eval, PEREGGRN, your own)
    with counts or log1p values, or a 10x .h5 matrix with a --guides table. On a terminal what the file does
    not say is asked for and the mapping is shown before anything is written; elsewhere options must say it.
    Nothing is kept unless the data load and every check of level error passes.

    \b
    Examples:
      lanner dataset add screen.h5ad
      lanner dataset add screen.h5ad --perturbation-kind CRISPRi --assay Perturb-seq \\
          --licence CC-BY-4.0 --citation "Doe J et al. (2026)" --dry-run
      lanner dataset add filtered_feature_bc_matrix.h5 --guides protospacer_calls.csv --context-value K562
    """
    from lanner.datasets import proposal

    known = proposal.Known(id=id_, **given)
    asking = not yes and on_terminal()
    proposed = _asked(file, known) if asking else proposal.propose(file, known)
    if not as_json:
        if proposed.convention:
            talk.print(f"the file follows the {proposed.convention} convention")
        for note in proposed.notes:
            talk.print(note, markup=False)
    if dry_run:
        _show(proposed, as_json)
        return
    if asking or not as_json:
        for line in _mapping(proposed.document):
            talk.print(line, markup=False)
    if asking and not click.confirm("Is this what the file means?", default=True, err=True):
        raise click.UsageError(
            "nothing was written; say what it means with --perturbation-column, --control, --context, "
            "--context-value, --delimiter or --organism"
        )
    from lanner import datasets
    from lanner.cli.dataset import progress_bars, show_findings
    from lanner.datasets import addition

    with progress_bars() as progress:
        dataset, findings = addition.add(proposed, settings, progress)
    fields = datasets.dataset_fields(dataset)
    if as_json:
        print_json(
            {"entry": proposed.document, "data": fields, "checks": findings, "notes": list(proposed.notes)}
        )
    else:
        print_fields({"dataset": dataset.entry.id, "entry": dataset.entry.folder, **fields})
        show_findings({dataset.entry.id: findings})
        talk.print(f"next: lanner run --method train-mean --dataset {dataset.entry.id}")


def on_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _asked(file: Path, known: Known) -> Proposal:
    """The proposal, once a person has said all that the file does not."""
    from lanner.datasets import proposal
    from lanner.datasets.unsaid import UnsaidError

    proposal.check_file(file)  # before anybody types an answer
    for name in known.missing():
        kind = click.Choice(KINDS, case_sensitive=False) if name == "perturbation_kind" else str
        answer: Any = click.prompt(f"{name.replace('_', ' ')}, {proposal.ASKED[name]}", type=kind, err=True)
        known = replace(known, **{name: answer})
    while True:
        try:
            return proposal.propose(file, known)
        except UnsaidError as unsaid:
            if getattr(known, unsaid.field):  # was said, and does not help
                raise
            talk.print(str(unsaid), markup=False)
            answer = click.prompt(
                unsaid.question,
                type=click.Choice(unsaid.choices) if unsaid.choices else str,
                err=True,
                show_choices=len(unsaid.choices) <= SHOWN,
            )
            said: dict[str, Any] = {unsaid.field: (answer,) if unsaid.field == "control" else answer}
            known = replace(known, **said)


def _mapping(document: Mapping[str, Any]) -> Iterator[str]:
    """What is taken for what, a line each."""
    obs = document["obs"]
    controls = ", ".join(obs.get("control", ())) or f"where {obs.get('control_column')} is true"
    delimiter = obs.get("combination_delimiter")
    yield f"perturbation: {obs['perturbation']}; controls: {controls}; " + (
        f"{delimiter} joins the targets of a combination" if delimiter else "no combinations"
    )
    constants = obs.get("constants", {})
    yield "context: " + ", ".join(
        name + (f" = {constants[name]}" if name in constants else "") for name in obs["context"]
    )
    column = document["genes"].get("column") or document.get("prepare", {}).get("parameters", {}).get("genes")
    yield f"genes: {document['organism']}, {document['genes']['identifier']}s, " + (
        f"from the column {column}" if column else "from the index"
    )
    yield f"expression: {document['scale']}" + (
        f", counts in the layer {document['counts_layer']}"
        if "counts_layer" in document
        else ", counts unknown"
    )
    for name in ("batch", "dose"):
        if name in obs:
            yield f"{name}: {obs[name]}"


def _show(proposed: Any, as_json: bool) -> None:
    from lanner import schemas

    if as_json:
        print_json({"entry": proposed.document, "prepare": proposed.prepare, "notes": list(proposed.notes)})
        return
    click.echo(schemas.dump_yaml(proposed.document), nl=False)
