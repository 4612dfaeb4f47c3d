"""From a file to a registry entry: what can be read off it is proposed, what cannot is asked for."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from lanner import schemas
from lanner.datasets import preparing
from lanner.datasets.columns import Guess, gene_column, guess_columns, guess_organism
from lanner.datasets.conventions import Columns, canonical_obs
from lanner.datasets.expression import Expression, look
from lanner.datasets.preparing import read_guides
from lanner.datasets.unsaid import UnsaidError
from lanner.errors import ConfigurationError
from lanner.h5ad.source import SourceFile
from lanner.h5ad.tenx import TenxFile, is_tenx_file
from lanner.records import COMBINATION, CONTROL

ASKED = {
    "perturbation_kind": "what a perturbation does: CRISPRi, CRISPRa, CRISPRko, drug, cytokine, ...",
    "assay": "how expression was measured, such as Perturb-seq",
    "licence": "the terms under which the file may be used, such as CC-BY-4.0",
    "citation": "the publication to cite: authors, title, journal, year",
}
"""Fields of an entry no file holds, with the question to put."""

ORGANISMS = ("human", "mouse", "rat", "zebrafish", "fly", "yeast", "none")

BARCODES = ("barcode", "cell_barcode", "cell", "cell_id")
GUIDES = (
    "target",
    "target_gene",
    "perturbation",
    "gene",
    "guide_target",
    "guide",
    "feature_call",
    "guide_identity",
)


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the person says of a file; None or empty where it is to be guessed or asked."""

    id: str | None = None
    title: str | None = None
    organism: str | None = None
    perturbation_kind: str | None = None
    assay: str | None = None
    licence: str | None = None
    citation: str | None = None
    doi: str | None = None
    accession: str | None = None
    perturbation: str | None = None
    control: Sequence[str] = ()
    context: Sequence[str] = ()
    context_value: str | None = None
    delimiter: str | None = None
    guides: Path | None = None
    url: str | None = None

    def missing(self) -> list[str]:
        """Names of the fields of ``ASKED`` that are not given."""
        return [name for name in ASKED if not getattr(self, name)]


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A complete entry: the document of dataset.yaml, the text of prepare.py, and what to tell."""

    document: Mapping[str, Any]
    prepare: str | None
    convention: str | None
    notes: Sequence[str] = field(default=())


def propose(path: Path, known: Known) -> Proposal:
    """The entry of a file in AnnData or 10x format.

    Raises
    ------
    ConfigurationError
        The file cannot be read as perturbation data, or something nobody can read off it is not given.
    """
    missing = known.missing()
    if missing:
        flags = ", ".join(f"--{name.replace('_', '-')} ({ASKED[name]})" for name in missing)
        raise ConfigurationError(f"{path.name}: a file does not say {flags}; give them")
    check_file(path)
    if is_tenx_file(path):
        return _from_tenx(path, known)
    return _from_anndata(path, known)


def check_file(path: Path) -> None:
    """Raise ConfigurationError unless there is such a file, in AnnData or 10x format by its first look."""
    if not path.is_file():
        raise ConfigurationError(f"{path} is not a file; give an .h5ad, or a 10x .h5 with --guides")
    if path.stat().st_size == 0:
        raise ConfigurationError(f"{path.name} is empty; copy it again")
    if not is_tenx_file(path):
        with SourceFile(path):
            pass


def _from_anndata(path: Path, known: Known) -> Proposal:
    with SourceFile(path) as source:
        _check_table(source.obs, source.var, path.name)
        expression = look(source)
        obs, var = source.obs, source.var
    labels = [str(label) for name in obs.columns for label in _few(obs[name])]
    identifier, column = gene_column(var, labels)
    names = [str(name) for name in (var.index if column is None else var[column])]
    repeated = pd.Index(names)[pd.Index(names).duplicated()].unique()
    if len(repeated):
        raise ConfigurationError(
            f"{path.name}: {len(repeated)} gene names occur twice, such as {repeated[0]!r}; make them "
            "unique, for example with var_names_make_unique()"
        )
    guess = _guess(obs, names, known, path.name)
    prepare = None
    if expression.is_counts:
        prepare = ("prepare_counts", {"version": preparing.VERSION, "genes": column})
    genes = {"identifier": identifier, "column": None if prepare else column}
    return _proposal(path, known, obs, names, guess, expression, genes, prepare)


def _from_tenx(path: Path, known: Known) -> Proposal:
    if known.guides is None:
        raise ConfigurationError(
            f"{path.name} is a 10x matrix, which does not say what was done to each cell; give the table of "
            "barcodes and guides with --guides FILE.csv"
        )
    table = read_guides(known.guides)
    lowered = {str(name).lower(): str(name) for name in table.columns}
    barcode = next((lowered[name] for name in BARCODES if name in lowered), None)
    label = known.perturbation or next((lowered[name] for name in GUIDES if name in lowered), None)
    if barcode is None or label is None or label not in table:
        raise ConfigurationError(
            f"{known.guides.name}: its columns are {', '.join(map(str, table.columns))}; one must be named "
            f"{' or '.join(BARCODES)}, and one {' or '.join(GUIDES[:3])} (or --perturbation-column)"
        )
    with TenxFile(path) as matrix:
        names = list(matrix.genes.names)
        barcodes = set(matrix.barcodes)
    obs = table[table[barcode].isin(barcodes)].drop_duplicates(barcode).dropna(subset=[label])
    if obs.empty:
        raise ConfigurationError(
            f"{known.guides.name}: none of its barcodes is in {path.name}; give the table of this library"
        )
    guess = _guess(obs.set_index(barcode), names, known, known.guides.name)
    note = f"{len(obs)} of {len(barcodes)} barcodes have a guide; X is made log1p of counts per 10,000"
    expression = Expression(is_counts=True, scale="log1p-cp10k", counts_layer="counts", note=note)
    parameters = {
        "version": preparing.VERSION,
        "matrix": path.name,
        "guides": known.guides.name,
        "barcode": barcode,
        "perturbation": label,
    }
    genes = {"identifier": "symbol", "column": None}
    prepare = ("prepare_10x", parameters)
    return _proposal(path, known, obs.set_index(barcode), names, guess, expression, genes, prepare)


def _guess(obs: pd.DataFrame, names: Sequence[str], known: Known, where: str) -> Guess:
    return guess_columns(
        obs,
        names,
        perturbation_kind=str(known.perturbation_kind),
        perturbation=known.perturbation,
        control=known.control,
        context=known.context,
        context_value=known.context_value,
        delimiter=known.delimiter,
        where=where,
    )


def _proposal(
    path: Path,
    known: Known,
    obs: pd.DataFrame,
    names: Sequence[str],
    guess: Guess,
    expression: Expression,
    genes: Mapping[str, Any],
    prepare: tuple[str, Mapping[str, Any]] | None,
) -> Proposal:
    organism = known.organism or guess_organism(names)
    if organism is None:
        raise UnsaidError(
            "organism",
            "The organism",
            f"{path.name}: gene names such as {names[0]!r} do not say the organism; give it with --organism",
            ORGANISMS,
        )
    canonical = _canonical(obs, guess, path.name)
    citation = {"text": known.citation, "doi": known.doi, "accession": known.accession}
    if not (known.doi or known.accession):
        citation["reason"] = "none was given when the dataset was added"
    files = [path, *([known.guides] if known.guides else [])]
    document: dict[str, Any] = {
        "id": known.id or re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-"),
        "version": 1,
        "title": known.title or _title(canonical, known),
        "organism": organism,
        "assay": known.assay,
        "perturbation_kind": known.perturbation_kind,
        "kind": "cells",
        "scale": expression.scale,
        "licence": known.licence,
        "citation": {key: value for key, value in citation.items() if value},
        "sources": [_source(file, known.url if file == path else None, str(known.licence)) for file in files],
        **({"filter": dict(guess.filter)} if guess.filter else {}),
        **({"prepare": {"file": "prepare.py", "parameters": dict(prepare[1])}} if prepare else {}),
        "obs": dict(guess.obs),
        "genes": {key: value for key, value in genes.items() if value is not None},
        **({"counts_layer": expression.counts_layer} if expression.counts_layer else {}),
        "splits": _splits(canonical),
    }
    schemas.check(document, "dataset", f"the entry of {path.name}")
    program = _PROGRAM.format(function=prepare[0]) if prepare else None
    notes = [expression.note, *guess.notes]
    return Proposal(document=document, prepare=program, convention=guess.convention, notes=notes)


_PROGRAM = '''"""Written by lanner dataset add: makes of the published source what dataset.yaml describes."""

from lanner.datasets.preparing import {function} as prepare

__all__ = ["prepare"]
'''


def _canonical(obs: pd.DataFrame, guess: Guess, where: str) -> pd.DataFrame:
    for column, labels in guess.filter.items():
        obs = obs[obs[column].astype(str).isin(labels)]
    return canonical_obs(obs, Columns.of(guess.obs), where)


def _title(obs: pd.DataFrame, known: Known) -> str:
    labels = set(obs["perturbation"]) - {CONTROL}
    doubles = sum(COMBINATION in label for label in labels)
    what = f"{len(labels) - doubles} perturbations" + (f" and {doubles} combinations" if doubles else "")
    return f"{known.perturbation_kind}: {what}, {len(obs):,} cells"


def _splits(obs: pd.DataFrame) -> list[dict[str, Any]]:
    """The designs the labels allow: each asks something the data can answer."""
    contexts = [name for name in obs.columns if name not in ("perturbation", "dose", "batch", "replicate")]
    perturbed = obs[obs["perturbation"] != CONTROL]
    labels = set(perturbed["perturbation"])
    singles = {label for label in labels if COMBINATION not in label}
    doubles = labels - singles
    spread = perturbed.groupby("perturbation")[contexts].apply(lambda rows: len(rows.drop_duplicates()))
    found: list[dict[str, Any]] = []
    if len(singles) >= 5:
        found.append({"id": "unseen-perturbation", "parameters": {"fraction": 0.3}})
    if len(doubles) >= 2 and singles:
        found.append({"id": "unseen-combination", "parameters": {"fraction": 0.5}})
    if (spread > 1).any():
        mode = "whole" if len(labels) < 3 else "pairs"
        found.append({"id": "unseen-context", "parameters": {"mode": mode}})
    return found


def _check_table(obs: pd.DataFrame, var: pd.DataFrame, where: str) -> None:
    if len(obs) == 0 or len(var) == 0:
        raise ConfigurationError(
            f"{where} holds {len(obs)} cells and {len(var)} genes; give the file with data"
        )
    if not len(obs.columns):
        raise ConfigurationError(f"{where}: obs has no columns, so nothing says what was done to each cell")


def _few(values: pd.Series[Any], limit: int = 5000) -> Sequence[Any]:
    """Distinct values of a column of labels; none of a numeric one."""
    if pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return []
    distinct = values.dropna().unique()
    return list(distinct) if len(distinct) <= limit else []


def _source(path: Path, url: str | None, licence: str) -> dict[str, Any]:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {
        "name": re.sub(r"[^A-Za-z0-9._-]", "_", path.name).lstrip("._-"),
        "urls": [*([url] if url else []), path.resolve().as_uri()],
        "sha256": digest,
        "bytes": path.stat().st_size,
        "licence": licence,
    }
