"""Mann-Whitney tests of all perturbations against one set of controls, a block of genes at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtr

from lanner.pairs.gene_order import GeneBlock

Array = np.ndarray[Any, Any]

VALUE_BITS = 31
"""Positive float32 values, read as whole numbers, sort as they are and fit into 31 bits."""


def mann_whitney_block(block: GeneBlock, sizes: Array, n_control: int) -> tuple[Array, Array]:
    """U and two-sided p of each perturbation against the controls, ``(P, genes of the block)``, float64.

    One sort of (gene, value, group) ranks all groups at once: a cell's share of U is the number of controls
    below it plus half of those equal to it, whatever other cells are in its group (Mann and Whitney 1947).
    Zeros are never visited. U is exact. p is asymptotic with tie and continuity correction, as
    ``scipy.stats.mannwhitneyu(method="asymptotic")`` has it; 1 where group and controls are constant and
    equal.

    Parameters
    ----------
    block
        Non-zero values; the controls are group P.
    sizes
        Cells of each perturbation, int64 ``(P,)``.
    n_control
        Control cells, at least one.
    """
    n_groups, n_genes = len(sizes), block.stop - block.start
    group_bits = n_groups.bit_length()
    key = block.gene << VALUE_BITS
    key |= block.bits
    key <<= group_bits
    key |= block.group
    key.sort()

    value, group = key >> group_bits, key & ((1 << group_bits) - 1)
    first = _changes(value)
    starts = np.flatnonzero(first)
    lengths = np.diff(starts, append=len(key))
    is_control = group == n_groups
    # Controls before each run of equal values, and in it.
    seen = np.concatenate([[0], np.cumsum(is_control)])
    before, tied = seen[starts], seen[starts + lengths] - seen[starts]
    gene_of_run = value[starts] >> VALUE_BITS
    nonzero = np.bincount(gene_of_run, tied, n_genes)
    zeros = n_control - nonzero
    base = zeros - np.concatenate([[0], np.cumsum(nonzero)[:-1]])
    share = before + 0.5 * tied + base[gene_of_run]

    place = (value >> VALUE_BITS) * (n_groups + 1)
    place += group
    shape = (n_genes, n_groups + 1)
    found = np.bincount(place, minlength=n_genes * (n_groups + 1)).reshape(shape)[:, :n_groups]
    statistic = np.bincount(place, np.repeat(share, lengths), n_genes * (n_groups + 1))
    own_zeros = sizes - found
    U = statistic.reshape(shape)[:, :n_groups] + own_zeros * (0.5 * zeros[:, None])

    ties = _cubed(zeros[:, None] + own_zeros) + np.bincount(gene_of_run, _cubed(tied), n_genes)[:, None]
    ties += _shared_ties(key, group, first, tied, place, n_groups, shape)
    return U.T, p_values(U, ties, sizes, n_control).T


def p_values(U: Array, ties: Array, sizes: Array, n_control: int) -> Array:
    """Two-sided asymptotic p with continuity correction; ``ties`` is the sum of t^3 - t over tied values."""
    size = sizes.astype(np.float64)
    total = size + n_control
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = size * n_control / 12 * (total + 1 - ties / (total * (total - 1)))
        distance = np.abs(U - size * n_control / 2) - 0.5
        distance /= np.sqrt(np.maximum(variance, 0.0))
        p: Array = np.minimum(2 * ndtr(-distance), 1.0)
    # Where all values are equal the variance is 0, but for rounding.
    p[ties >= total**3 - total] = 1.0
    return p


def _shared_ties(
    key: Array, group: Array, first: Array, tied: Array, place: Array, n_groups: int, shape: tuple[int, int]
) -> Array:
    """What a group's own cells add to t^3 - t of the values they share with each other or with controls."""
    starts = np.flatnonzero(_changes(key))
    own = np.diff(starts, append=len(key))
    controls = tied[(np.cumsum(first) - 1)[starts]]
    chosen = np.flatnonzero(((own > 1) | (controls > 0)) & (group[starts] < n_groups))
    c, m = controls[chosen].astype(np.float64), own[chosen].astype(np.float64)
    extra = np.bincount(place[starts[chosen]], _cubed(c + m) - _cubed(c), shape[0] * shape[1])
    return extra.reshape(shape)[:, :n_groups]


def _changes(values: Array) -> Array:
    """True at the first of each run of equal values."""
    changes = np.ones(len(values), dtype=bool)
    np.not_equal(values[1:], values[:-1], out=changes[1:])
    return changes


def _cubed(t: Array) -> Array:
    t = np.asarray(t, dtype=np.float64)
    cubed: Array = t**3 - t
    return cubed
