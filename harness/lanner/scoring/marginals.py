"""Exact 1-D Wasserstein distances of many draws of cells, gene by gene, from one sort per gene."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp

Array = np.ndarray[Any, Any]
Cells: TypeAlias = "sp.csc_matrix | np.ndarray[Any, Any]"

BLOCK_VALUES = 1 << 17
"""Non-zero values handled at a time: memory is draws x this."""


def wasserstein(own: Cells, other: Cells, own_draws: Array, other_draws: Array) -> Array:
    """Integral over x of |F(x) - G(x)| by gene, ``(B, n_genes)``, F and G being those of drawn cells.

    Away from zero, F - G is a running sum of +1/m and -1/m over the sorted non-zero values of both sets, from
    the outermost inwards; zeros are never visited. One sort of a gene's values serves all draws.

    Parameters
    ----------
    own, other
        Cells ``(n, n_genes)``, CSC or dense.
    own_draws, other_draws
        Float64 ``(B, n)``, 1 where a cell is drawn; as many in both, row by row.
    """
    size = np.maximum(own_draws.sum(axis=1, keepdims=True), 1)
    weights = np.concatenate([own_draws, -other_draws], axis=1) / size
    answer = np.zeros((len(weights), own.shape[1]))
    for block in _blocks(own, other):
        genes, cells, values = _entries(own, other, block)
        if not values.size:
            continue
        sides = 2 * genes + (values < 0)
        distance = np.abs(values)
        order = np.lexsort((-distance, sides))
        sides, distance = sides[order], distance[order]
        starts = np.flatnonzero(np.diff(sides, prepend=-1))
        running = weights[:, cells[order]].cumsum(axis=1)
        before = np.concatenate([np.zeros((len(weights), 1)), running[:, starts[1:] - 1]], axis=1)
        lengths = np.diff(np.append(starts, len(sides)))
        running -= np.repeat(before, lengths, axis=1)
        inner = np.append(distance[1:], 0.0)
        inner[np.append(starts[1:], len(sides)) - 1] = 0.0  # from a side's innermost value to zero
        areas = np.add.reduceat(np.abs(running) * (distance - inner), starts, axis=1)
        for negative in (0, 1):  # a gene may have values on both sides of zero
            here = sides[starts] % 2 == negative
            answer[:, block.start + sides[starts][here] // 2] += areas[:, here]
    return answer


def _blocks(own: Cells, other: Cells) -> list[slice]:
    """Genes in portions of about BLOCK_VALUES stored values."""
    stored = _stored(own) + _stored(other)
    portion = np.cumsum(stored) // BLOCK_VALUES
    edges = [0, *(np.flatnonzero(np.diff(portion)) + 1), own.shape[1]]
    return [slice(int(low), int(high)) for low, high in pairwise(edges) if high > low]


def _stored(cells: Cells) -> Array:
    """Values of each gene that are held in memory."""
    per_gene = (
        np.full(cells.shape[1], cells.shape[0]) if isinstance(cells, np.ndarray) else np.diff(cells.indptr)
    )
    return np.asarray(per_gene)


def _entries(own: Cells, other: Cells, block: slice) -> tuple[Array, Array, Array]:
    """Non-zero values of a block: gene within it, cell (those of ``other`` after those of ``own``), value."""
    parts = []
    for cells, offset in ((own, 0), (other, own.shape[0])):
        part = sp.coo_matrix(cells[:, block])
        kept = part.data != 0
        parts.append((part.col[kept], part.row[kept].astype(np.int64) + offset, part.data[kept]))
    genes, rows, values = (np.concatenate(column) for column in zip(*parts, strict=True))
    return genes.astype(np.int64), rows, values.astype(np.float64)
