"""Stored values of cells, gene by gene: what rank tests and one-dimensional distances are made of.

A value becomes a whole number, its *key*, made of the gene, the value's bits and the cell's group, so that
one sort brings together what belongs together. The cells are passed over once for as many genes as fit a
budget, block by block; memory is the budget's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lanner.errors import ConfigurationError
from lanner.pairs.views import View

if TYPE_CHECKING:
    import scipy.sparse as sp

    from lanner.pairs.side import Progress

Array = np.ndarray[Any, Any]
Work: TypeAlias = Callable[[int, int, Sequence[Array]], None]
"""Called with the first gene, the one after the last, and the unsorted keys of each view."""

BUDGET_BYTES = 512 << 20
"""Memory for keys, of all views together."""
BLOCK_VALUES = 1 << 16
"""Keys worked on at a time: so many fit a core's cache."""
WORKERS = 2
"""Coarse threads over blocks of genes. Blocks are cut by the data alone: no bit depends on this number."""
VALUE_BITS = 31
"""Positive float32 values, read as whole numbers, sort as they are and fit into 31 bits."""


@dataclass(frozen=True)
class Layout:
    """Bits of a key: gene above all, then value and group, in this order or (``group_first``) the other.

    ``n_groups`` counts perturbations and the control.
    """

    n_genes: int
    n_groups: int
    group_first: bool = False

    def __post_init__(self) -> None:
        if self.n_genes.bit_length() + self.group_bits + VALUE_BITS > 62:
            raise ConfigurationError(
                f"{self.n_genes:,} genes times {self.n_groups:,} perturbations are too many to be sorted at "
                "once; score fewer perturbations at a time, such as context by context"
            )

    @property
    def group_bits(self) -> int:
        """Bits of the group."""
        return (self.n_groups - 1).bit_length()

    def keys(self, genes: Array, values: Array, groups: Array) -> Array:
        """Int64 keys of positive float32 ``values``; genes and groups are of any integer type."""
        key = genes.astype(np.int64)
        bits = values.view(np.uint32)
        low, high = (bits, groups) if self.group_first else (groups, bits)
        shift = VALUE_BITS if self.group_first else self.group_bits
        key <<= VALUE_BITS + self.group_bits - shift
        key |= high
        key <<= shift
        key |= low
        return key

    def gene(self, keys: Array) -> Array:
        """The gene of each key."""
        return keys >> (VALUE_BITS + self.group_bits)


def for_gene_blocks(
    views: Sequence[View],
    layout: Layout,
    work: Work,
    *,
    progress: Progress | None = None,
) -> None:
    """Call ``work`` with the keys of the same genes of each view, block by block, from WORKERS threads."""
    with ThreadPoolExecutor(WORKERS) as pool:
        for low, high in _ranges(views):
            stores = [list(_tiles(view, layout, low, high)) for view in views]
            edges = _edges(stores, high - low)
            jobs = [pool.submit(_work, work, stores, low, a, b) for a, b in pairwise(edges)]
            for job, stop in zip(jobs, edges[1:], strict=True):
                job.result()
                if progress is not None:
                    progress("genes", low + stop, layout.n_genes)


_Tile: TypeAlias = tuple[Array, Array]
"""A block of cells by columns: where each gene's keys start, and the keys."""


def _work(work: Work, stores: Sequence[Sequence[_Tile]], offset: int, start: int, stop: int) -> None:
    none = [np.zeros(0, np.int64)]
    keys = [
        np.concatenate([keys[starts[start] : starts[stop]] for starts, keys in tiles] or none)
        for tiles in stores
    ]
    work(offset + start, offset + stop, keys)


def _ranges(views: Sequence[View]) -> Iterator[tuple[int, int]]:
    """Ranges of genes whose keys fit the budget; all genes where the files do."""
    n_genes = views[0].n_genes
    if 8 * sum(view.file.n_values for view in views) <= BUDGET_BYTES:
        yield 0, n_genes
        return
    stored = np.zeros(n_genes, np.int64)
    for view in views:
        for _, block in view.blocks():
            stored += np.bincount(block.indices, minlength=n_genes)
    portion = 8 * np.cumsum(stored) // BUDGET_BYTES
    yield from pairwise([0, *(np.flatnonzero(np.diff(portion)) + 1).tolist(), n_genes])


def _tiles(view: View, layout: Layout, low: int, high: int) -> Iterator[_Tile]:
    for groups, block in view.blocks():
        part = block if (low, high) == (0, view.n_genes) else block[:, low:high]
        of_value = np.repeat(groups.astype(np.uint32), np.diff(part.indptr))
        keys = layout.keys(part.indices + np.int32(low), part.data, of_value)
        turned = _csr((keys, part.indices, part.indptr), part.shape).tocsc()
        yield turned.indptr, turned.data


def _csr(parts: tuple[Array, Array, Array], shape: tuple[int, int]) -> sp.csr_matrix:
    import scipy.sparse as sp

    return sp.csr_matrix(parts, shape=shape)


def _edges(stores: Sequence[Sequence[_Tile]], n_genes: int) -> list[int]:
    """Cuts between genes: a block has about BLOCK_VALUES keys, at least one gene and at most 1024."""
    stored = np.zeros(n_genes, np.int64)
    for tiles in stores:
        for starts, _ in tiles:
            stored += np.diff(starts)
    edges, total = [0], 0
    for gene, n in enumerate(stored.tolist()):
        if gene > edges[-1] and (total + n > BLOCK_VALUES or gene - edges[-1] == 1024):
            edges.append(gene)
            total = 0
        total += n
    return [*edges, n_genes]
