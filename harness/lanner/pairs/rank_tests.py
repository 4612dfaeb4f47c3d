"""Mann-Whitney tests of all perturbations against one set of controls, a block of genes at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtr

from lanner.pairs.gene_order import VALUE_BITS, Layout

Array = np.ndarray[Any, Any]


def mann_whitney_block(
    key: Array, start: int, stop: int, layout: Layout, sizes: Array, n_control: int
) -> tuple[Array, Array]:
    """U and two-sided p of each perturbation against the controls, ``(P, stop - start)``, float64.

    One sort of (gene, value, group) ranks all groups at once: a cell's share of U is the number of controls
    below it plus half of those equal to it, whatever other cells are in its group (Mann and Whitney 1947).
    Zeros are never visited. U is exact. p is asymptotic with tie and continuity correction, as
    ``scipy.stats.mannwhitneyu(method="asymptotic")`` has it; 1 where group and controls are constant and
    equal.

    Parameters
    ----------
    key
        Keys of the non-zero values of genes ``start:stop``, value before group; they get sorted in place. The
        controls are group P.
    sizes
        Cells of each perturbation, int64 ``(P,)``.
    n_control
        Control cells, at least one.
    """
    n_groups, n_genes, group_bits = len(sizes), stop - start, layout.group_bits
    shape = (n_genes, n_groups + 1)
    key.sort()
    edges = np.searchsorted(key, np.arange(start, stop + 1) << (VALUE_BITS + group_bits))
    group = key & ((1 << group_bits) - 1)
    place = np.repeat(np.arange(n_genes) * (n_groups + 1), np.diff(edges))
    place += group

    # Controls sort behind all groups of the same value, so that those seen before a cell are below it.
    is_control = group == n_groups
    below = np.cumsum(is_control, dtype=np.float64)
    before = np.concatenate([[0.0], below])[edges]
    zeros = n_control - np.diff(before)
    found = np.bincount(place, minlength=shape[0] * shape[1]).reshape(shape)[:, :n_groups]
    own_zeros = sizes - found
    U = np.bincount(place, below, shape[0] * shape[1]).reshape(shape)[:, :n_groups]
    U += found * (zeros - before[:-1])[:, None] + own_zeros * (0.5 * zeros[:, None])

    tied, controls, of_gene = _tied_with_controls(key, is_control, edges, layout)
    U += np.bincount(place[tied], 0.5 * controls, shape[0] * shape[1]).reshape(shape)[:, :n_groups]
    ties = _cubed(zeros[:, None] + own_zeros) + of_gene[:, None]
    ties += _shared_ties(key, group, place, tied, controls, n_groups, shape)
    return U.T, p_values(U, ties, sizes, n_control).T


def _tied_with_controls(
    key: Array, is_control: Array, edges: Array, layout: Layout
) -> tuple[Array, Array, Array]:
    """Places of cells that share a value with controls, with how many; and t^3 - t of controls by gene."""
    places = np.flatnonzero(is_control)
    values = key[places] >> layout.group_bits
    first = np.flatnonzero(_changes(values))
    counts = np.diff(first, append=len(places))
    ends = places[first]
    starts = np.searchsorted(key, values[first] << layout.group_bits)
    lengths = ends - starts
    offsets = np.cumsum(lengths) - lengths
    tied = np.repeat(starts - offsets, lengths) + np.arange(int(lengths.sum()))
    gene = np.searchsorted(edges, ends, side="right") - 1
    of_gene = np.bincount(gene, _cubed(counts), len(edges) - 1)
    return tied, np.repeat(counts, lengths).astype(np.float64), of_gene


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
    key: Array,
    group: Array,
    place: Array,
    tied: Array,
    controls: Array,
    n_groups: int,
    shape: tuple[int, int],
) -> Array:
    """What a group's own cells add to t^3 - t of the values they share with each other or with controls.

    The (j + 1)-th of a group's cells of one value that c controls have adds 3 (c + j) (c + j + 1).
    """
    size = shape[0] * shape[1]
    extra = np.bincount(place[tied], 3 * controls * (controls + 1), size)
    again = np.flatnonzero((key[1:] == key[:-1]) & (group[1:] < n_groups)) + 1
    if again.size:
        first = np.flatnonzero(np.diff(again, prepend=-1) != 1)
        j = np.arange(len(again)) - np.repeat(first, np.diff(first, append=len(again))) + 1.0
        c = np.zeros(len(again))
        if tied.size:
            at = np.minimum(np.searchsorted(tied, again), len(tied) - 1)
            c = np.where(tied[at] == again, controls[at], 0.0)
        extra += np.bincount(place[again], 3 * (c + j) * (c + j + 1) - 3 * c * (c + 1), size)
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
