"""From the verified sources to the canonical form: labels, genes and checked row blocks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lanner.datasets.conventions import Columns, canonical_obs
from lanner.datasets.entry import Entry
from lanner.datasets.fetch import Progress, sync
from lanner.datasets.program import run_program
from lanner.datasets.values import CountCheck, ScaleCheck, checked
from lanner.errors import ConfigurationError
from lanner.h5ad.blocks import Block
from lanner.h5ad.source import SourceFile
from lanner.matrix import write_matrix
from lanner.records import CONTROL, Condition

REPLICATES = ("all", "half1", "half2")


def prepare(entry: Entry, sources: Mapping[str, Path], output: Path) -> Path:
    """Run the entry's ``prepare.py`` and return the AnnData file it wrote; without one, its only source."""
    program = entry.prepare_file
    if program is None:
        return next(iter(sources.values()))
    return run_program(program, sources, entry.prepare_parameters, output)


def normalise(entry: Entry, path: Path, folder: Path, progress: Progress | None = None) -> None:
    """Write the normalised dataset of the AnnData file ``path`` into the empty ``folder``.

    X is float32 on the entry's scale, CSR for cells and dense for profiles; memory is that of obs and of one
    block of rows.

    Raises
    ------
    ConfigurationError
        The file contradicts the entry: a column, the controls, the scale or the genes.
    """
    with SourceFile(path) as source:
        keep = _kept(source.obs, entry)
        obs = canonical_obs(source.obs[keep], entry.columns, entry.id)
        obs.index = pd.Index(unique_names(obs.index), name="cell")
        _check_rows(obs, entry)
        genes = _genes(source.var, entry)
        conditions = _label_conditions(obs, entry)
        sparse = entry.kind == "cells"
        what = f"normalise {entry.id}"
        X = checked(_selected(source.blocks(), keep, what, progress), ScaleCheck(entry))
        write_matrix(folder / "X", len(genes), X, sparse=sparse)
        layer = entry.document.get("counts_layer")
        if layer is not None:
            counts = checked(_selected(source.blocks(layer), keep, what, progress), CountCheck(entry))
            write_matrix(folder / "counts", len(genes), counts, sparse=sparse)
    obs.to_parquet(folder / "obs.parquet")
    sync(folder / "obs.parquet")
    document = {
        "format": "lanner-dataset/1",
        "id": entry.id,
        "content": entry.content,
        "kind": entry.kind,
        "scale": entry.scale,
        "source_rows": len(keep),
        "rows": len(obs),
        "genes": list(genes),
        "contexts": sorted(obs["context"].unique()),
        "conditions": conditions,
    }
    with (folder / "dataset.json").open("w", encoding="utf-8") as stream:
        json.dump(document, stream, ensure_ascii=False)
    sync(folder / "dataset.json")


def _kept(obs: pd.DataFrame, entry: Entry) -> np.ndarray[Any, Any]:
    keep = np.ones(len(obs), dtype=bool)
    for column, allowed in entry.document.get("filter", {}).items():
        if column not in obs:
            raise ConfigurationError(
                f"{entry.id}: filter names obs column {column!r}, which the source lacks"
            )
        keep &= obs[column].astype(str).isin([str(value) for value in allowed]).to_numpy()
    if not keep.any():
        raise ConfigurationError(f"{entry.id}: filter keeps none of the {len(obs)} rows; correct its values")
    return keep


def unique_names(names: Iterable[str]) -> list[str]:
    """``names`` with ``-1``, ``-2`` ... added to repeated ones, in order, never meeting another name."""
    names = [str(name) for name in names]
    taken = set(names)
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        count = seen.get(name, -1) + 1
        candidate = name
        while count and (candidate := f"{name}-{count}") in taken:
            count += 1
        seen[name] = count
        taken.add(candidate)
        unique.append(candidate)
    return unique


def _check_rows(obs: pd.DataFrame, entry: Entry) -> None:
    control = obs["perturbation"] == CONTROL
    if not control.any():
        labels = ", ".join(map(repr, entry.columns.control)) or repr(entry.columns.control_column)
        raise ConfigurationError(
            f"{entry.id}: no control rows: nothing in {entry.columns.perturbation!r} is {labels}; correct "
            "obs.control in dataset.yaml"
        )
    if control.all():
        raise ConfigurationError(f"{entry.id}: every row is a control; correct obs.control in dataset.yaml")
    if entry.kind == "cells":
        return
    if "replicate" not in obs:
        obs["replicate"] = REPLICATES[0]
    keys = [name for name in ("perturbation", *entry.context_columns, "dose", "replicate") if name in obs]
    odd = sorted(set(obs["replicate"]) - set(REPLICATES))
    if odd:
        raise ConfigurationError(f"{entry.id}: replicate {odd[0]!r} is none of {', '.join(REPLICATES)}")
    if obs.duplicated(keys).any():
        name = obs.loc[obs.duplicated(keys), "perturbation"].iloc[0]
        raise ConfigurationError(f"{entry.id}: {name!r} has two profile rows of one replicate; keep one")


def _genes(var: pd.DataFrame, entry: Entry) -> tuple[str, ...]:
    column = entry.document["genes"].get("column")
    if column is not None and column not in var:
        known = ", ".join(map(str, var.columns)) or "none"
        raise ConfigurationError(f"{entry.id}: the source has no var column {column!r}; columns: {known}")
    names = pd.Index(var.index if column is None else var[column]).astype(str)
    if names.has_duplicates:
        repeated = names[names.duplicated()].unique()
        raise ConfigurationError(
            f"{entry.id}: {len(repeated)} gene names occur twice, such as {repeated[0]!r}; use another "
            "genes.column or merge them in prepare.py"
        )
    if (names.str.strip() == "").any() or names.isin(["nan", "None"]).any():
        raise ConfigurationError(f"{entry.id}: a gene has no name; use another genes.column")
    return tuple(names)


def _label_conditions(obs: pd.DataFrame, entry: Entry) -> list[dict[str, Any]]:
    """Add ``context`` and ``condition`` to obs; the perturbed conditions, sorted by id, as JSON."""
    columns = entry.columns
    keys = ["perturbation", *columns.context, *(["dose"] if "dose" in obs else [])]
    codes = obs.groupby(keys, sort=False, observed=True).ngroup().to_numpy()
    first = obs.iloc[np.unique(codes, return_index=True)[1]]
    sizes = np.bincount(codes)
    labels = [
        _condition(row, columns, int(size)) for (_, row), size in zip(first.iterrows(), sizes, strict=True)
    ]
    obs["condition"] = np.array([label.id for label in labels], dtype=object)[codes]
    obs["context"] = np.array([label.context_id for label in labels], dtype=object)[codes]
    if len({label.id for label in labels}) < len(labels):
        raise ConfigurationError(
            f"{entry.id}: two conditions have one id; '@' in a label meets a dose; rename it"
        )
    if entry.kind == "profile":
        _check_profiles(obs, entry)
    return [
        {
            "perturbation": label.perturbation,
            "targets": list(label.targets),
            "context": list(label.context),
            "dose": label.dose,
            "n_cells": label.n_cells if entry.kind == "cells" else 1,
        }
        for label in sorted(labels, key=lambda label: label.id)
        if not label.is_control
    ]


def _condition(row: pd.Series[str], columns: Columns, n_cells: int) -> Condition:
    return Condition(
        perturbation=row["perturbation"],
        targets=columns.targets_of(row["perturbation"]),
        context=tuple(row[name] for name in columns.context),
        dose=row.get("dose", ""),
        n_cells=n_cells,
    )


def _check_profiles(obs: pd.DataFrame, entry: Entry) -> None:
    replicates = obs.groupby("condition")["replicate"].agg(set)
    for condition, found in replicates.items():
        if found != {"all"} and found != set(REPLICATES):
            raise ConfigurationError(
                f"{entry.id}: {condition!r} has the replicates {sorted(found)}; give all, "
                "or all, half1 and half2"
            )


def _selected(
    blocks: Iterable[tuple[int, int, Block]], keep: np.ndarray[Any, Any], what: str, progress: Progress | None
) -> Iterator[Block]:
    for start, stop, block in blocks:
        chosen = keep[start:stop]
        yield block if chosen.all() else block[chosen]
        if progress is not None:
            progress(what, stop, len(keep))
