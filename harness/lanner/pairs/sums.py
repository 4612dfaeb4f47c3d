"""Sums and sums of squares of groups of cells in one pass, without densifying a cell."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import scipy.sparse as sp

Array = np.ndarray[Any, Any]

GROUPS_AT_A_TIME = 256
"""Groups whose dense sums over one block are in memory at once."""


def group_sums(
    blocks: Iterable[tuple[Array, sp.csr_matrix]], n_groups: int, n_genes: int
) -> tuple[Array, Array]:
    """Sum and sum of squares by group and gene, float64 ``(n_groups, n_genes)`` each.

    ``blocks`` give the group of each row and the rows, CSR. Rows are added in order, on one thread.
    """
    sums, squares = np.zeros((n_groups, n_genes)), np.zeros((n_groups, n_genes))
    for groups, block in blocks:
        if np.any(groups[1:] < groups[:-1]):
            order = np.argsort(groups, kind="stable")
            groups, block = groups[order], block[order]
        starts = np.flatnonzero(np.diff(groups, prepend=-1))
        edges = np.append(starts, len(groups))
        for low in range(0, len(starts), GROUPS_AT_A_TIME):
            some = edges[low : low + GROUPS_AT_A_TIME + 1]
            present: Any = groups[some[:-1]]
            if present[-1] - present[0] == len(present) - 1:  # as in files sorted by group: no copy
                present = slice(int(present[0]), int(present[-1]) + 1)
            # Rows of one group as one row whose columns repeat: making it dense adds them up.
            indptr = block.indptr[some]
            inside = slice(indptr[0], indptr[-1])
            data = block.data[inside].astype(np.float64)
            shape = (len(some) - 1, n_genes)
            for target in (sums, squares):
                merged = sp.csr_matrix((data, block.indices[inside], indptr - indptr[0]), shape=shape)
                target[present] += merged.toarray()
                np.square(data, out=data)
    return sums, squares


def means_and_variances(sums: Array, squares: Array, n: Array) -> tuple[Array, Array]:
    """Mean and variance (N - 1) ``(n_groups, n_genes)``; both inputs are overwritten.

    A mean without cells and a variance of fewer than two are NaN. A gene whose cells are all equal has
    variance 0 exactly: what rounding leaves of a difference of equal sums is not spread.
    """
    size = n.astype(np.float64)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.divide(sums, size, out=sums)
        noise = 4 * np.finfo(np.float64).eps * np.maximum(size, 1)
        for row in range(len(size)):  # row by row: no third and fourth array of this size
            spread = squares[row] - size[row] * mean[row] ** 2
            spread[spread <= noise[row] * squares[row]] = 0.0
            squares[row] = spread / (size[row] - 1) if size[row] > 1 else np.nan
    return mean, squares
