"""What two files have in common: the perturbation column, the perturbations, the genes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lanner.errors import ConfigurationError
from lanner.h5ad.cells import CellFile
from lanner.records import COMBINATION

Array = np.ndarray[Any, Any]

COLUMNS = (
    *("target_gene", "perturbation", "gene", "condition", "target", "pert", "perturbation_name"),
    *("gene_target", "guide_target", "treatment", "drug", "cytokine"),
)
"""Usual names of the obs column with the perturbation, the most specific first."""


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Which perturbation each cell has: names, and one index per cell (int64)."""

    names: tuple[str, ...]
    codes: Array

    def counts(self) -> dict[str, int]:
        """Cells of each label; those without any are left out."""
        n = np.bincount(self.codes[self.codes >= 0], minlength=len(self.names))
        return {name: int(n[i]) for i, name in enumerate(self.names) if n[i]}

    def groups(self, perturbations: Sequence[str], control: str) -> Array:
        """Number of each cell's perturbation among ``perturbations``, their count for controls, else -1."""
        number = {name: p for p, name in enumerate((*perturbations, control))}
        table = np.array([number.get(name, -1) for name in self.names] + [-1], dtype=np.int64)
        groups: Array = table[self.codes]
        return groups


@dataclass(frozen=True, kw_only=True)
class Match:
    """Perturbations of both files, sorted; those of one only, with their cells."""

    perturbations: tuple[str, ...]
    unanswered: Mapping[str, int] = field(default_factory=dict)
    not_in_truth: Mapping[str, int] = field(default_factory=dict)


def perturbation_column(file: CellFile, control: str, column: str | None) -> str:
    """The obs column with the perturbation: the one given, else the first usual one that has the control.

    Raises
    ------
    ConfigurationError
        None of the usual columns is there.
    """
    if column is not None:
        return column
    known = [name for name in COLUMNS if name in file.columns]
    if not known:
        raise ConfigurationError(
            f"{file.path.name} has none of the usual perturbation columns ({', '.join(COLUMNS[:5])} ...); "
            "name it with perturbation_column (--perturbation-column), one of: "
            f"{', '.join(file.columns) or 'none'}"
        )
    for name in known:
        if control in file.labels(name)[0]:
            return name
    return known[0]


def read_labels(
    file: CellFile,
    column: str,
    *,
    context_column: str | None = None,
    context: str | None = None,
) -> Labels:
    """The perturbation of each cell; -1 outside the context where one is given."""
    names, codes = file.labels(column)
    if context_column is not None and context is not None:
        contexts, of_cell = file.labels(context_column)
        if context not in contexts:
            raise ConfigurationError(
                f"{file.path.name}: no cell has {context!r} in obs column {context_column!r}; there are: "
                f"{_some(sorted(contexts))}"
            )
        codes = np.where(of_cell == contexts.index(context), codes, -1)
    return Labels(names=tuple(names), codes=codes)


def match(truth: Labels, prediction: Labels, control: str, names: tuple[str, str]) -> Match:
    """Perturbations of both files.

    Raises
    ------
    ConfigurationError
        The truth has no controls, or the files share no perturbation.
    """
    there, given = truth.counts(), prediction.counts()
    if control not in there:
        raise ConfigurationError(
            f"{names[0]}: no cell is labelled {control!r}, the control; its labels are {_some(sorted(there))}"
        )
    there.pop(control)
    given.pop(control, None)
    both = tuple(sorted(there.keys() & given.keys()))
    if not both:
        raise ConfigurationError(
            f"{names[0]} and {names[1]} share no perturbation besides {control!r}: {_some(sorted(there))} "
            f"there, {_some(sorted(given))} here"
        )
    return Match(
        perturbations=both,
        unanswered={name: n for name, n in sorted(there.items()) if name not in given},
        not_in_truth={name: n for name, n in sorted(given.items()) if name not in there},
    )


def shared_genes(truth: CellFile, others: Sequence[CellFile], *, intersect: bool) -> tuple[str, ...]:
    """The pair's genes, in the order of the truth: all of it, or those of all files with ``intersect``.

    Raises
    ------
    ConfigurationError
        A file names a gene twice, or the files have different genes and ``intersect`` was not asked for.
    """
    for file in (truth, *others):
        if len(set(file.genes)) < len(file.genes):
            seen: set[str] = set()
            twice = next(gene for gene in file.genes if gene in seen or seen.add(gene))  # type: ignore[func-returns-value]
            raise ConfigurationError(
                f"{file.path.name} has the gene {twice!r} more than once; make var names unique"
            )
    common = set(truth.genes).intersection(*(file.genes for file in others))
    for file in others:
        if set(file.genes) != set(truth.genes) and not intersect:
            raise ConfigurationError(
                f"{truth.path.name} has {len(truth.genes):,} genes and {file.path.name} {len(file.genes):,}, "
                f"{len(set(truth.genes) & set(file.genes)):,} of them the same; give both the same genes, or "
                "score the shared ones with intersect_genes (--intersect-genes)"
            )
    if not common:
        raise ConfigurationError(
            f"{truth.path.name} shares no gene with the other file; are the ids of one kind?"
        )
    return tuple(gene for gene in truth.genes if gene in common)


def gene_columns(file: CellFile, genes: Sequence[str]) -> Array | None:
    """Each gene's number in the pair, -1 for one that takes no part; None where both are the same."""
    if file.genes == tuple(genes):
        return None
    number = {gene: g for g, gene in enumerate(genes)}
    return np.array([number.get(gene, -1) for gene in file.genes], dtype=np.int64)


def targets_of(perturbations: Sequence[str], genes: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """Columns of the genes that a label's parts (``A+B``) name."""
    number = {gene: g for g, gene in enumerate(genes)}
    return tuple(
        tuple(number[part] for part in dict.fromkeys(name.split(COMBINATION)) if part in number)
        for name in perturbations
    )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return (", ".join(map(repr, names[:5])) or "none") + more
