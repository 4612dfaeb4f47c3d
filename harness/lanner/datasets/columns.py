"""Read the meaning of obs columns off their names and values: what ``dataset add`` proposes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from lanner.datasets.unsaid import UnsaidError
from lanner.errors import ConfigurationError

PERTURBATION = (
    *("perturbation", "condition", "target_gene", "target", "gene_target", "guide_target", "gene"),
    *("perturbation_name", "gene_symbol", "guide_identity", "treatment", "drug", "product_name", "cytokine"),
)
"""Names of the perturbation column, the more telling first."""
CONTROL = re.compile(
    r"(ctrl|controls?|negative[ _-]?control|neg[ _-]?ctrl|nt|ntc|non[ _-]?targeting|unperturbed|"
    r"untreated|unstimulated|vehicle|dmso|dmso_tf|mock|pbs|safe[ _-]?targeting|scrambled?|wt|wild[ _-]?type)"
    r"([ _-]?\d+)?",
    re.IGNORECASE,
)
"""Labels that mean unperturbed, in any case, numbered or not."""
CONTROL_COLUMN = ("is_control", "is_ctrl", "control")
CONTEXT = ("cell_type", "celltype", "cell_line", "cellline", "cell_type_name", "cell", "tissue")
BATCH = ("batch", "gem_group", "gemgroup", "gem_batch", "lane", "library", "plate", "bio_rep", "replicate")
DOSE = ("dose", "dose_value", "dose_val", "concentration")
NO_LABEL = {"", "nan", "none", "na", "n/a", "unassigned", "unknown", "ambiguous", "multiplet", "doublet"}
"""Labels, in lower case, of cells whose perturbation nobody knows."""
DELIMITERS = ("+", "|", ";", "&", ",", "_")
AMBIGUOUS = (",", "_")
"""Also found inside names: taken for a delimiter only where most parts are known by themselves."""
BY_MOLECULE = ("drug", "cytokine", "infection")
"""Kinds of perturbation whose labels are not genes."""


@dataclass(frozen=True, kw_only=True)
class Guess:
    """The ``obs`` section of an entry and its ``filter``, with what to tell the person who adds it."""

    obs: Mapping[str, Any]
    filter: Mapping[str, Sequence[str]]
    convention: str | None
    notes: Sequence[str] = field(default=())


def guess_columns(
    obs: pd.DataFrame,
    genes: Iterable[str],
    *,
    perturbation_kind: str,
    perturbation: str | None = None,
    control: Sequence[str] = (),
    context: Sequence[str] = (),
    context_value: str | None = None,
    delimiter: str | None = None,
    where: str,
) -> Guess:
    """Propose what each column means; what is given wins over what is guessed.

    Parameters
    ----------
    obs
        Table of the source, one row per cell.
    genes
        Gene symbols of the source: a label's part that is one of them is a target.
    perturbation_kind
        As in the entry; labels of drugs, cytokines and infections are not genes.
    perturbation, control, context, delimiter
        Column, control labels, context columns and combination delimiter, where they are known.
    context_value
        The one cell type or line of all cells, where no column says it.
    where
        Name of the file, for errors.

    Raises
    ------
    ConfigurationError
        No column reads as a perturbation with controls, or a column named is not there.
    """
    _check_named(obs, [*([perturbation] if perturbation else []), *context], where)
    notes: list[str] = []
    flag = next((name for name in CONTROL_COLUMN if name in obs and _is_flag(obs[name])), None)
    column = perturbation or _perturbation_column(obs, control, flag, where)
    labels = obs[column].astype(object)
    unlabelled = labels.isna() | labels.astype(str).str.strip().str.lower().isin(NO_LABEL)
    known = sorted(labels[~unlabelled].astype(str).unique())
    controls = list(control) or [label for label in known if CONTROL.fullmatch(label.strip())]
    absent = [label for label in control if label not in known]
    if absent and flag is None and len(absent) == len(control):
        raise ConfigurationError(
            f"{where}: {column!r} has no label {absent[0]!r}; its labels: {_some(known)}; correct --control"
        )
    section: dict[str, Any] = {"perturbation": column}
    if controls:
        section["control"] = controls
    elif flag is not None:
        section["control_column"] = flag
    else:
        raise UnsaidError(
            "control",
            f"Label of {column!r} that means unperturbed",
            f"{where}: none of the labels of {column!r} reads as a control ({_some(known)}); name it with "
            "--control LABEL, or the right column with --perturbation-column",
            known,
        )
    if len(known) <= len(controls):
        raise ConfigurationError(
            f"{where}: every label of {column!r} is a control ({_some(known)}); name the right column with "
            "--perturbation-column"
        )
    by_molecule = perturbation_kind in BY_MOLECULE
    joint = delimiter or (None if by_molecule else _delimiter(known, controls, set(genes)))
    if joint is not None:
        section["combination_delimiter"] = joint
    section.update(_context(obs, context, context_value, where, notes))
    _add_optional(section, obs, by_molecule)
    section["targets"] = "none" if by_molecule else "perturbation"
    kept: dict[str, list[str]] = {}
    if unlabelled.any():
        kept[column] = known
        notes.append(f"{int(unlabelled.sum())} cells without a perturbation label are left out")
    return Guess(obs=section, filter=kept, convention=_convention(obs, column, controls, flag), notes=notes)


def _check_named(obs: pd.DataFrame, names: Iterable[str], where: str) -> None:
    for name in names:
        if name not in obs:
            raise ConfigurationError(
                f"{where}: there is no obs column {name!r}; columns: {_some(obs.columns)}"
            )


def _perturbation_column(obs: pd.DataFrame, control: Sequence[str], flag: str | None, where: str) -> str:
    """The first telling name whose values hold a control; failing that, the first telling name."""
    lowered = {str(name).lower(): str(name) for name in obs.columns}
    named = [lowered[name] for name in PERTURBATION if name in lowered and lowered[name] != flag]
    named = [name for name in named if _is_label(obs[name])]
    for name in named:
        labels = obs[name].astype(str).unique()
        if any(label in control or (not control and CONTROL.fullmatch(label.strip())) for label in labels):
            return name
    if named:
        return named[0]
    raise UnsaidError(
        "perturbation",
        "The obs column that says what was done to a cell",
        f"{where}: no obs column reads as the perturbation; name it with --perturbation-column, "
        f"columns: {_some(obs.columns)}",
        list(map(str, obs.columns)),
    )


def _is_label(values: pd.Series[Any]) -> bool:
    return not (pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values))


def _is_flag(values: pd.Series[Any]) -> bool:
    """Whether a column is true, false (or 1, 0) and both."""
    return pd.api.types.is_bool_dtype(values) or set(values.dropna().unique()) == {0, 1}


def _delimiter(labels: Sequence[str], controls: Sequence[str], genes: set[str]) -> str | None:
    """What joins targets: the first character that takes labels apart into more than one name.

    An ambiguous one must take half of its labels apart into names known alone: genes, controls, singles.
    """
    for candidate in DELIMITERS:
        joined = [label for label in labels if candidate in label and label not in controls]
        if not joined:
            continue
        if candidate not in AMBIGUOUS:
            return candidate
        alone = genes | set(controls) | {label for label in labels if candidate not in label}
        apart = sum(all(part.strip() in alone for part in label.split(candidate)) for label in joined)
        if apart >= 0.5 * len(joined):
            return candidate
    return None


def _context(
    obs: pd.DataFrame, given: Sequence[str], value: str | None, where: str, notes: list[str]
) -> dict[str, Any]:
    if given:
        return {"context": list(given)}
    lowered = {str(name).lower(): str(name) for name in obs.columns}
    found = [lowered[name] for name in CONTEXT if name in lowered and not obs[lowered[name]].isna().any()]
    if value is None and found:
        best = max(found, key=lambda name: (1 < obs[name].nunique() <= 50, -found.index(name)))
        return {"context": [best]}
    if value is None:
        raise UnsaidError(
            "context_value",
            "The cell type or line of all cells",
            f"{where}: no obs column says the cell type or line; name one with --context COLUMN, or give the "
            "one of all cells with --context-value NAME",
        )
    notes.append(f"every cell is in the context {value!r}")
    return {"context": ["cell_type"], "constants": {"cell_type": value}}


def _add_optional(section: dict[str, Any], obs: pd.DataFrame, by_molecule: bool) -> None:
    """Batch, and dose of molecules, where columns of those names vary."""
    lowered = {str(name).lower(): str(name) for name in obs.columns}
    taken = {section["perturbation"], *section["context"]}
    for key, names in (("batch", BATCH), ("dose", DOSE if by_molecule else ())):
        for name in names:
            column = lowered.get(name)
            if column is None or column in taken or obs[column].isna().any():
                continue
            if 1 < obs[column].nunique() <= max(2, len(obs) // 10):
                section[key] = column
                break


def _convention(obs: pd.DataFrame, column: str, controls: Sequence[str], flag: str | None) -> str | None:
    """The published convention the file follows, for the person who reads the entry."""
    if flag == "is_control":
        return "PEREGGRN"
    if column in ("target", "target_gene") and "non-targeting" in controls:
        return "cell-eval"
    if column == "condition" and controls == ["ctrl"]:
        return "GEARS"
    if column == "condition" and controls == ["control"]:
        return "PerturBench"
    if column == "perturbation" and {"nperts", "perturbation_type", "ncounts"} & set(obs.columns):
        return "scPerturb"
    return None


def _some(names: Iterable[Any], limit: int = 8) -> str:
    shown = [str(name) for name in names]
    text = ", ".join(shown[:limit]) or "none"
    return f"{text} and {len(shown) - limit} more" if len(shown) > limit else text


def gene_column(var: pd.DataFrame, labels: Iterable[str]) -> tuple[str, str | None]:
    """``(identifier, column)`` of genes: the index or the var column that names most of the labels' parts.

    Ensembl identifiers are kept where no column of symbols is complete and unique.
    """
    parts = {part for label in labels for part in re.split(r"[+|;&,_]", label)}
    symbols = [
        str(name)
        for name in var.columns
        if re.fullmatch(r"(gene_?)?(symbols?|names?)|feature_name", str(name), re.IGNORECASE)
        and var[name].notna().all()
        and var[name].astype(str).is_unique
    ]
    candidates: list[str | None] = [None, *symbols]
    named = [set(map(str, var.index if name is None else var[name])) for name in candidates]
    best = int(np.argmax([len(parts & names) for names in named]))
    if is_ensembl(named[best]) and symbols and not is_ensembl(named[1]):
        best = 1
    return ("ensembl" if is_ensembl(named[best]) else "symbol"), candidates[best]


def is_ensembl(names: Iterable[str]) -> bool:
    """Whether most names are Ensembl gene identifiers."""
    names = list(names)
    return sum(bool(re.fullmatch(r"ENS[A-Z]*G\d{6,}(\.\d+)?", name)) for name in names) > len(names) / 2


def guess_organism(names: Sequence[str]) -> str | None:
    """``human`` or ``mouse`` by how gene names are written; None where they are written otherwise."""
    if is_ensembl(names):
        return "mouse" if names[0].startswith("ENSMUSG") else "human" if names[0].startswith("ENSG") else None
    letters = [name for name in names if re.fullmatch(r"[A-Za-z][A-Za-z0-9.-]*[A-Za-z][A-Za-z0-9.-]*", name)]
    if not letters:
        return None
    upper = np.mean([name == name.upper() for name in letters])
    title = np.mean([name[0].isupper() and name[1:] == name[1:].lower() for name in letters])
    return "human" if upper > 0.8 else "mouse" if title > 0.8 else None
