"""``lanner split``: the split designs there are, and what they make of a dataset."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lanner.cli.auditing import audit_command
from lanner.cli.output import json_option, print_json, print_table, talk
from lanner.config import Settings
from lanner.errors import ConfigurationError
from lanner.records import Split
from lanner.splits import (
    ALIASES,
    COMMON,
    SPLITS,
    Alias,
    Parameter,
    cell_parts,
    is_combination,
    resolve,
    seen_singles,
)

if TYPE_CHECKING:
    from lanner.datasets import Dataset


@click.group()
def split_command() -> None:
    """Split designs and the train, valid and test conditions they give.

    \b
    Examples:
      lanner split list
      lanner split show --dataset kang18-pbmc
      lanner split audit --dataset kang18-pbmc
    """


split_command.name = "split"
split_command.add_command(audit_command)


@split_command.command("list")
@json_option
def list_designs(as_json: bool) -> None:
    """List the split designs, their parameters, and the names other benchmarks give to them.

    \b
    Examples:
      lanner split list
      lanner split list --json
    """
    designs = [SPLITS[name] for name in SPLITS]
    if as_json:
        print_json(
            [
                {
                    "id": design.id,
                    "summary": design.summary,
                    "mark": design.mark,
                    "parameters": {parameter.name: _described(parameter) for parameter in design.parameters},
                    "names": {
                        name: {"parameters": dict(alias.parameters), "seed": alias.seed}
                        | {"source": alias.source, "differs": alias.differs}
                        for name, alias in _names(design.id).items()
                    },
                }
                for design in designs
            ]
        )
        return
    for design in designs:
        click.echo(f"{design.id}: {design.summary}")
        if design.mark:
            click.echo(f"  ({design.mark})")
        _print_parameters(design.own)
    click.echo("Every design, where it means something:")
    _print_parameters(COMMON)
    rows = [
        [
            f"  {name}",
            alias.design,
            json.dumps(dict(alias.parameters)),
            alias.seed,
            alias.source,
            alias.differs,
        ]
        for name, alias in ((name, ALIASES[name]) for name in ALIASES)
    ]
    click.echo("Names of other benchmarks:")
    print_table(["  name", "design", "parameters", "seed", "source", "differs in"], rows)


@split_command.command("show")
@click.option("--dataset", "dataset_id", required=True, help="Dataset to split.")
@click.option(
    "--split", "wanted", help="Design or artefact id, or a design as JSON. Default: all recommended ones."
)
@click.option("--seed", type=click.IntRange(min=0), help="Split seed, instead of the design's own.")
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw perturbations by contexts to FILE.svg (a single artefact) or FILE.html (any number).",
)
@json_option
@click.pass_obj
def show(
    settings: Settings,
    dataset_id: str,
    wanted: str | None,
    seed: int | None,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Show the split artefacts of a dataset: how many conditions and cells are train, valid and test.

    \b
    Examples:
      lanner split show --dataset kang18-pbmc
      lanner split show --dataset kang18-pbmc --split unseen-context/cd4t --json
      lanner split show --dataset simulated --split '{"id": "unseen-perturbation",
                        "parameters": {"folds": 5}, "seed": 1}'
      lanner split show --dataset simulated --split gears-simulation --picture split.svg
    """
    from lanner import datasets  # brings AnnData, which the other commands do without

    with talk.status(f"loading {dataset_id}"):
        dataset = datasets.load(datasets.find_entry(settings, dataset_id), settings)
    splits = resolve(dataset, wanted, seed=seed)
    if picture is not None:
        _draw(picture, splits, dataset)
    sizes = [split_sizes(split, dataset) for split in splits]
    if as_json:
        print_json(
            [
                {"sha256": split.sha256, "sizes": size, "split": split.to_json()}
                for split, size in zip(splits, sizes, strict=True)
            ]
        )
        return
    rows = [
        [
            split.id,
            *(_counted(size["conditions"][part], size["cells"][part]) for part in ("train", "valid", "test")),
            size["contexts"],
            ", ".join(f"{policy} {n}" for policy, n in size["controls"].items()),
            size["singles"],
            ", ".join(f"{seen}: {n}" for seen, n in size["seen_singles"].items()),
            split.sha256[:12],
        ]
        for split, size in zip(splits, sizes, strict=True)
    ]
    columns = ["split", "train", "valid", "test", "test contexts", "controls", "tested singles"]
    print_table(
        [*columns, "combinations by seen singles", "sha256"], rows, f"{dataset_id}: conditions (cells)"
    )
    for mark in sorted({SPLITS[split.design["id"]].mark for split in splits} - {""}):
        click.echo(mark)


def _draw(path: Path, splits: Sequence[Split], dataset: Dataset) -> None:
    from lanner.splits.picture import grid, page

    if path.suffix not in (".svg", ".html"):
        raise ConfigurationError(f"{path} is neither .svg nor .html; name the picture so")
    if path.suffix == ".svg" and len(splits) > 1:
        raise ConfigurationError(
            f"{len(splits)} splits do not fit into one {path.name}; name one artefact, or draw a .html page"
        )
    pictures = [grid(split, dataset.conditions) for split in splits]
    text = pictures[0] if path.suffix == ".svg" else page(pictures, f"Splits of {dataset.entry.id}")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written ({error.strerror}); name another file") from None


def _names(design: str) -> dict[str, Alias]:
    return {name: ALIASES[name] for name in ALIASES if ALIASES[name].design == design}


def split_sizes(split: Split, dataset: Dataset) -> dict[str, Any]:
    """Conditions and cells per part, tested contexts, their control policies, doubles by seen singles."""
    by_id = {condition.id: condition for condition in dataset.conditions}
    chosen = {"train": split.train, "valid": split.valid, "test": split.test}
    contexts = {by_id[name].context_id for name in split.test}
    seen = Counter(seen_singles(split, dataset.conditions).values())
    # Conditions that are cut within are in several parts, each with its own cells of them.
    within = set(split.train) & set(split.test) if split.cells is not None else set()
    cells = {
        part: sum(by_id[name].n_cells for name in names if name not in within)
        for part, names in chosen.items()
    }
    for name in within:
        assert split.cells is not None
        for part, rows in zip(cells, cell_parts(range(by_id[name].n_cells), split.cells), strict=True):
            cells[part] += len(rows)
    return {
        "conditions": {part: len(names) for part, names in chosen.items()},
        "cells": cells,
        "contexts": len(contexts),
        "singles": sum(not is_combination(by_id[name]) for name in split.test),
        "controls": dict(sorted(Counter(str(split.controls[context]) for context in contexts).items())),
        "seen_singles": {str(level): seen[level] for level in sorted(seen)},
    }


def _print_parameters(parameters: Sequence[Parameter]) -> None:
    rows = [[f"  {p.name}", json.dumps(p.default), _allowed(p.schema), p.help] for p in parameters]
    print_table(["  parameter", "default", "allowed", ""], rows)
    click.echo()


def _counted(conditions: int, cells: int) -> str:
    return f"{conditions} ({cells})" if conditions else "-"


def _described(parameter: Parameter) -> dict[str, Any]:
    described = {"default": parameter.default, "help": parameter.help, "schema": dict(parameter.schema)}
    return {**described, "only": dict(parameter.only)} if parameter.only else described


def _allowed(schema: Mapping[str, Any]) -> str:
    """The values of a parameter in words: ``a | b``, or ``number > 0, <= 1``."""
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {schema[key]}" for key, sign in signs.items() if key in schema]
    return f"{schema.get('type', 'any')} {', '.join(bounds)}".strip()
