"""Rules that say which genes a perturbation changes: tests on cells, many truth parts at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.special import ndtr, stdtr

from lanner.metrics import LABELS
from lanner.moments import group_moments

Array = np.ndarray[Any, Any]


def mann_whitney(cells: sp.csr_matrix, members: Array, controls: sp.csr_matrix) -> tuple[Array, Array]:
    """Mann-Whitney tests of many subsets of ``cells`` against the same controls, gene by gene.

    A cell's share of U, the number of controls below it plus half of those equal to it, does not depend on
    which other cells are in its group: it is looked up once, in the sorted controls, and every group's U is a
    sum. Zeros are never visited: they rank alike. Float32 values are compared bit by bit, so ties are exact.

    Parameters
    ----------
    cells
        CSR float32 ``(n, n_genes)``.
    members
        Bool ``(P, n)``, the cells of each of P groups.
    controls
        CSR float32 ``(n_controls, n_genes)``.

    Returns
    -------
    U of each group, exact, and the two-sided asymptotic p-value with tie and continuity correction
    (``scipy.stats.mannwhitneyu(method="asymptotic")``), both float64 ``(P, n_genes)``; p is NaN where a group
    or the controls are empty.
    """
    n_genes, n_controls = cells.shape[1], controls.shape[0]
    sizes = members.sum(axis=1).astype(np.float64)[:, None]
    cell_keys, cell_rows = _keys(cells)
    control_keys, _ = _keys(controls)
    starts, positives_from = _bounds(control_keys, n_genes)
    zeros = n_controls - np.diff(starts)
    zero_share = positives_from[0] - starts[:-1] + 0.5 * zeros

    genes = cell_keys >> 32
    low = np.searchsorted(control_keys, cell_keys, side="left")
    high = np.searchsorted(control_keys, cell_keys, side="right")
    share = 0.5 * (low + high) - starts[genes] + zeros[genes] * (cell_keys >= positives_from[1][genes])
    excess = sp.csr_matrix((share - zero_share[genes], (genes, cell_rows)), shape=(n_genes, len(members.T)))
    groups = members.T.astype(np.float64)
    statistic = (excess @ groups).T + sizes * zero_share

    ties = _tie_sums(cell_keys, cell_rows, high - low, groups, control_keys, zeros, sizes)
    total = sizes + n_controls
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = sizes * n_controls / 12 * (total + 1 - ties / (total * (total - 1)))
        distance = np.abs(statistic - sizes * n_controls / 2) - 0.5
        p = np.minimum(2 * ndtr(-distance / np.sqrt(np.maximum(variance, 0))), 1.0)
    return statistic, p


def _keys(matrix: sp.csr_matrix) -> tuple[Array, Array]:
    """Non-zero values as int64 ``gene << 32 | order-preserving bits``, sorted; and the row of each."""
    coo = sp.coo_matrix(matrix)
    stored = coo.data != 0
    bits = coo.data[stored].astype(np.float32).view(np.uint32).astype(np.int64)
    bits = np.where(bits >> 31 == 1, 0xFFFFFFFF - bits, bits | 0x80000000)
    keys = coo.col[stored].astype(np.int64) << 32 | bits
    order = np.argsort(keys, kind="stable")
    return keys[order], coo.row[stored][order]


def _bounds(keys: Array, n_genes: int) -> tuple[Array, tuple[Array, Array]]:
    """Where each gene's keys start ``(n_genes + 1,)``; where its positive ones do, as position and key."""
    edges = np.arange(n_genes + 1, dtype=np.int64) << 32
    positive = edges[:-1] | 0x80000000
    return np.searchsorted(keys, edges), (np.searchsorted(keys, positive), positive)


def _tie_sums(
    keys: Array,
    rows: Array,
    in_controls: Array,
    groups: Array,
    control_keys: Array,
    zeros: Array,
    sizes: Array,
) -> Array:
    """Sum over tied values of t^3 - t in group and controls together, ``(P, n_genes)``."""
    n_genes = len(zeros)
    unique, first, value = np.unique(keys, return_index=True, return_inverse=True)
    control_values, counts = np.unique(control_keys, return_counts=True)
    alone = np.bincount(control_values >> 32, _cubed(counts), n_genes).astype(np.float64)
    ties = np.repeat(alone[None, :], len(sizes), axis=0)

    # Values held by a single cell and no control cannot tie: only the rest is counted group by group.
    tied = (np.bincount(value, minlength=len(unique)) + in_controls[first]) > 1
    place = np.cumsum(tied) - 1
    chosen = tied[value]
    incidence = sp.csr_matrix(
        (np.ones(chosen.sum()), (place[value[chosen]], rows[chosen])), shape=(int(tied.sum()), len(groups))
    )
    base = in_controls[first][tied].astype(np.float64)[:, None]
    extra = _cubed(base + incidence @ groups) - _cubed(base)
    collect = sp.csr_matrix(
        (np.ones(len(base)), (unique[tied] >> 32, np.arange(len(base)))), shape=(n_genes, len(base))
    )
    ties += (collect @ extra).T
    nonzero = sp.csr_matrix((np.ones(len(keys)), (keys >> 32, rows)), shape=(n_genes, len(groups)))
    return ties + _cubed(zeros + sizes - (nonzero @ groups).T)


def _cubed(t: Array) -> Array:
    t = np.asarray(t, dtype=np.float64)
    cubed: Array = t**3 - t
    return cubed


def welch(cells: sp.csr_matrix, members: Array, controls: sp.csr_matrix) -> tuple[Array, Array]:
    """Difference of means and two-sided p of Welch's t-test of each group against the controls.

    Both ``(P, n_genes)``; p is NaN where both variances and the difference are zero, or a group has one cell.
    """
    n, mean, variance = group_moments(cells, members)
    n_c, mean_c, variance_c = group_moments(controls, np.ones((1, controls.shape[0]), dtype=bool))
    with np.errstate(divide="ignore", invalid="ignore"):
        parts, parts_c = variance / n, variance_c / n_c
        difference = mean - mean_c
        t = difference / np.sqrt(parts + parts_c)
        freedom = (parts + parts_c) ** 2 / (parts**2 / (n - 1) + parts_c**2 / (n_c - 1))
        p = 2 * stdtr(np.where(np.isnan(freedom), 1.0, freedom), -np.abs(t))
    return difference, p


def mann_whitney_labels(cells: sp.csr_matrix, members: Array, controls: sp.csr_matrix) -> Array:
    """Mann-Whitney against sealed controls, Benjamini-Hochberg below .05 in the condition, |change| > 0.1."""
    from scipy.stats import false_discovery_control  # half a second that listing cards need not spend

    _, p = mann_whitney(cells, members, controls)
    _, mean, _ = group_moments(cells, members)
    _, mean_c, _ = group_moments(controls, np.ones((1, controls.shape[0]), dtype=bool))
    with np.errstate(invalid="ignore"):
        discovered = false_discovery_control(np.nan_to_num(p, nan=1.0), axis=-1) < 0.05
        labels: Array = discovered & (np.abs(mean - mean_c) > 0.1)
    return labels


def zhu_labels(cells: sp.csr_matrix, members: Array, controls: sp.csr_matrix) -> Array:
    """Welch's t on cells, p < 1e-10, and a difference of log1p means above 0.3 (Zhu et al. 2025)."""
    difference, p = welch(cells, members, controls)
    with np.errstate(invalid="ignore"):
        labels: Array = (p < 1e-10) & (np.abs(difference) > 0.3)
    return labels


LABELS.add("mann-whitney", mann_whitney_labels)
LABELS.add("zhu", zhu_labels)
