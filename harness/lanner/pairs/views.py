"""One file of a pair as the pair sees it: its perturbations, its genes, one scale, float32 CSR row blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from lanner.errors import ConfigurationError
from lanner.h5ad.blocks import Block
from lanner.h5ad.cells import CellFile

Array = np.ndarray[Any, Any]

LARGEST_LOG = 20.0
"""No log1p of normalised counts is larger: a cell of 10^8 counts in one gene would reach 18.4."""
ENOUGH = 20
"""Fewest non-zero values from which "all are whole numbers" says that they are counts."""


@dataclass
class Values:
    """What the values of a file, seen block by block, say about their scale."""

    name: str
    whole: bool = True
    highest: float = 0.0
    n_nonzero: int = 0

    def see(self, values: Array) -> None:
        """Take in stored values; ConfigurationError for one that is negative, NaN or infinite."""
        if not values.size:
            return
        low, high = float(values.min()), float(values.max())
        if not (low >= 0 and high < np.inf):  # NaN is neither
            what = f"negative values (down to {low:.4g})" if low < 0 else "NaN or infinite values"
            raise ConfigurationError(
                f"{self.name}: X holds {what}; expected log1p expression or counts, which are finite and not "
                "negative: clip or remove them"
            )
        self.highest = max(self.highest, high)
        self.n_nonzero += values.size
        if self.whole:
            self.whole = bool((values == np.rint(values)).all())

    @property
    def are_counts(self) -> bool:
        """Whether all values are whole numbers, as counts are and logarithms are not."""
        return self.whole and self.n_nonzero >= ENOUGH and self.highest >= 2


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """``log1p(counts * target / total)`` of each cell; ``totals`` are over all genes of the file."""

    totals: Array
    target: float

    def apply(self, block: sp.csr_matrix, rows: slice) -> sp.csr_matrix:
        """The same block on the log1p scale, float32."""
        total = np.maximum(self.totals[rows], 1e-300)
        factor = np.repeat(self.target / total, np.diff(block.indptr))
        data = np.log1p(block.data.astype(np.float64) * factor).astype(np.float32)
        return sp.csr_matrix((data, block.indices, block.indptr), shape=block.shape)


class View:
    """Row blocks of one file.

    Parameters
    ----------
    file
        The open file.
    groups
        Int64, one per cell of the file: its perturbation's number, ``n_groups - 1`` for controls, -1 for a
        cell that takes no part.
    n_groups
        Perturbations and the control.
    columns
        Int64, one per gene of the file: the gene's number in the pair, -1 for one that takes no part; None
        where both are the same.
    n_genes
        Genes of the pair.
    """

    def __init__(
        self, file: CellFile, groups: Array, n_groups: int, columns: Array | None, n_genes: int
    ) -> None:
        self.file = file
        self.groups, self.n_groups, self.n_genes = groups, n_groups, n_genes
        self.normalisation: Normalisation | None = None
        self._columns = columns

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return self.file.path.name

    def blocks(self, values: Values | None = None) -> Iterator[tuple[Array, sp.csr_matrix]]:
        """Groups ``(n,)`` and cells that take part, float32 CSR ``(n, G)`` without stored zeros.

        ``values`` sees what is stored, before any normalisation.
        """
        for start, stop, stored in self.file.blocks():
            groups = self.groups[start:stop]
            block = as_csr(stored)
            if values is not None:
                values.see(block.data)
            if self.normalisation is not None:
                block = self.normalisation.apply(block, slice(start, stop))
            inside = groups >= 0
            if not inside.all():
                block, groups = block[inside], groups[inside]
            if len(groups):
                yield groups, self._placed(block)

    def totals(self, values: Values) -> Array:
        """Sum of each cell over all genes of the file, float64; ``values`` sees what is stored."""
        parts = []
        for _, _, stored in self.file.blocks():
            block = as_csr(stored)
            values.see(block.data)
            parts.append(np.asarray(block.sum(axis=1, dtype=np.float64)).ravel())
        return np.concatenate(parts) if parts else np.zeros(0)

    def _placed(self, block: sp.csr_matrix) -> sp.csr_matrix:
        if self._columns is None:
            return block
        columns = self._columns[block.indices]
        kept = columns >= 0
        if kept.all():
            data, indptr = block.data, block.indptr
        else:
            indptr = np.concatenate([[0], np.cumsum(kept)])[block.indptr]
            data, columns = block.data[kept], columns[kept]
        placed = sp.csr_matrix((data, columns.astype(np.int32), indptr), shape=(block.shape[0], self.n_genes))
        placed.sort_indices()
        return placed


def as_csr(block: Block) -> sp.csr_matrix:
    """Float32 CSR with sorted, unique columns and no stored zeros; float64 is rounded."""
    with np.errstate(over="ignore"):  # 1e300 becomes inf, which is refused
        if isinstance(block, np.ndarray):
            return sp.csr_matrix(block.astype(np.float32, copy=False))
        data = block.data.astype(np.float32, copy=False)
    matrix = sp.csr_matrix((data, block.indices, block.indptr), shape=block.shape)
    if not matrix.has_canonical_format:
        matrix.sum_duplicates()
    if np.count_nonzero(matrix.data) < matrix.nnz:
        matrix.eliminate_zeros()
    return matrix
