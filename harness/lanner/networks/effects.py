"""What an intervention does to every gene: exact distances and rank tests against held-out controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.special import ndtr

Array = np.ndarray[Any, Any]
LEVEL = 0.05
"""Significance of an effect, after Benjamini-Hochberg over the genes of one intervention."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Effects:
    """Effects of E interventions on G genes, float64 ``(E, G)``.

    ``wasserstein`` is the exact 1-Wasserstein distance of a gene's values in controls and intervened cells,
    in units of the data; ``p`` the two-sided asymptotic Mann-Whitney p with tie and continuity correction;
    ``shift`` in [-1, 1] is ``2 U / (n m) - 1``: above 0 where intervened cells have more. ``regulators``
    int64 ``(E,)`` are the columns intervened on.
    """

    regulators: Array
    wasserstein: Array
    p: Array
    shift: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Atoms:
    """Distinct values of every gene in one group of cells, zeros included, sorted by (gene, value).

    ``key`` uint64 orders them; ``gene`` int64, ``value`` and ``count`` float64, all ``(A,)``; ``first`` int64
    ``(G + 1,)`` is where each gene begins. ``below`` and ``mass`` ``(A + 1,)`` are running sums of counts
    and of counts times values.
    """

    key: Array
    gene: Array
    value: Array
    count: Array
    first: Array
    below: Array
    mass: Array
    n: int

    @cached_property
    def ties(self) -> Array:
        """Sum of t^3 - t over the tied values of each gene, float64 ``(G,)``."""
        return np.bincount(self.gene, _cubed(self.count), len(self.first) - 1)


def effects_of(controls: sp.csr_matrix, groups: Sequence[sp.csr_matrix], regulators: Array) -> Effects:
    """Effects of each group of intervened cells against the controls, one group in memory at a time.

    Time is that of sorting each cell's expressed genes once: zeros are one atom, never visited singly.
    """
    shape = (len(groups), controls.shape[1])
    tables = [np.zeros(shape) for _ in range(3)]
    reference = atoms(controls)
    for row, cells in enumerate(groups):
        group = atoms(cells)
        tables[0][row] = wasserstein(reference, group)
        tables[1][row], tables[2][row] = mann_whitney(reference, group)
    return Effects(regulators=regulators, wasserstein=tables[0], p=tables[1], shift=tables[2])


def atoms(cells: sp.csr_matrix) -> Atoms:
    """The distinct values of each gene and how many cells have them."""
    matrix = sp.csr_matrix(cells, dtype=np.float32, copy=True)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    n, n_genes = matrix.shape
    key = (matrix.indices.astype(np.uint64) << np.uint64(32)) | _ordered_bits(matrix.data)
    zeros = n - np.bincount(matrix.indices, minlength=n_genes)
    with_zeros = np.flatnonzero(zeros)
    zero_key = (with_zeros.astype(np.uint64) << np.uint64(32)) | _ordered_bits(np.zeros(1, np.float32))
    found, counts = np.unique(key, return_counts=True)
    key = np.concatenate([found, zero_key])
    order = np.argsort(key, kind="stable")
    count = np.concatenate([counts, zeros[with_zeros]]).astype(np.float64)[order]
    key = key[order]
    gene = (key >> np.uint64(32)).astype(np.int64)
    value = _values((key & np.uint64(0xFFFFFFFF)).astype(np.uint32)).astype(np.float64)
    return Atoms(
        key=key,
        gene=gene,
        value=value,
        count=count,
        first=np.searchsorted(gene, np.arange(n_genes + 1)),
        below=np.concatenate([[0.0], np.cumsum(count)]),
        mass=np.concatenate([[0.0], np.cumsum(count * value)]),
        n=n,
    )


def wasserstein(controls: Atoms, group: Atoms) -> Array:
    r"""Exact 1-Wasserstein distance of every gene, float64 ``(G,)``.

    :math:`\int |F_c(x) - F_g(x)| dx` (Ramdas et al. 2017, doi:10.3390/e19020047). Between two neighbouring
    values of the group :math:`F_g` is a constant q, and the integral splits where :math:`F_c` passes q; the
    integral of :math:`F_c` up to x is the mean of :math:`(x - c)_+`, read off running sums.
    """
    gene, n = group.gene, float(controls.n)
    x = group.value
    last = np.concatenate([gene[1:] != gene[:-1], [True]])[: len(gene)]
    y = np.where(last, x, np.concatenate([x[1:], [0.0]]))
    q = (group.below[1:] - group.below[group.first[gene]]) / group.n
    # Where controls first reach the share q, kept between the two values.
    wanted = controls.below[controls.first[gene]] + np.round(q * n, 9)
    at = np.searchsorted(controls.below[1:], wanted - 1e-6)
    crossing = np.clip(controls.value[np.minimum(at, len(controls.value) - 1)], x, y)
    area_x, area_z = _area_below(controls, gene, x), _area_below(controls, gene, crossing)
    area_y = np.concatenate([area_x[1:], [0.0]])
    inside = q * (crossing - x) - (area_z - area_x) + (area_y - area_z) - q * (y - crossing)
    total = np.bincount(gene, np.where(last, 0.0, inside), len(group.first) - 1)
    lowest, highest = group.first[:-1], group.first[1:] - 1
    total += area_x[lowest] + area_x[highest] - (x[highest] - _means(controls))
    return np.maximum(total, 0.0)


def mann_whitney(controls: Atoms, group: Atoms) -> tuple[Array, Array]:
    """Two-sided p and shift ``2 U / (n m) - 1`` of every gene, float64 ``(G,)`` each.

    U counts pairs in which the intervened cell has more, ties one half (Mann and Whitney 1947). p is
    asymptotic with tie and continuity correction, 1 where all values are equal.
    """
    n, m = float(controls.n), float(group.n)
    left = np.searchsorted(controls.key, group.key, side="left")
    right = np.searchsorted(controls.key, group.key, side="right")
    tied = controls.below[right] - controls.below[left]
    lower = controls.below[left] - controls.below[controls.first[group.gene]]
    n_genes = len(group.first) - 1
    U = np.bincount(group.gene, group.count * (lower + tied / 2), n_genes)
    extra = _cubed(tied + group.count) - _cubed(tied)
    ties = controls.ties + np.bincount(group.gene, extra, n_genes)
    total = n + m
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = n * m / 12 * (total + 1 - ties / (total * (total - 1)))
        z = (np.abs(U - n * m / 2) - 0.5) / np.sqrt(np.maximum(variance, 0.0))
    p = np.minimum(2 * ndtr(-z), 1.0)
    p[ties >= total**3 - total] = 1.0
    return p, 2 * U / (n * m) - 1


def adjusted(p: Array) -> Array:
    """Benjamini-Hochberg adjusted p of one family ``(T,)`` (doi:10.1111/j.2517-6161.1995.tb02031.x)."""
    order = np.argsort(p, kind="stable")
    steps = p[order] * len(p) / np.arange(1, len(p) + 1)
    answer = np.empty(len(p))
    answer[order] = np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1.0)
    return answer


def significant(effects: Effects, direction: int) -> sp.csr_matrix:
    """Effects with adjusted p < .05, CSR float32 ``(G, G)``, row = gene intervened on.

    Benjamini-Hochberg within each intervention, its own gene left out. The value is the sign an edge should
    have: the sign of the shift times ``direction``, what the intervention does to its gene.
    """
    n = effects.p.shape[1]
    matrix = sp.lil_matrix((n, n), dtype=np.float32)
    for row, regulator in enumerate(effects.regulators):
        others = np.flatnonzero(np.arange(n) != regulator)
        real = others[adjusted(effects.p[row, others]) < LEVEL]
        matrix[regulator, real] = direction * np.sign(effects.shift[row, real])
    found = matrix.tocsr()
    found.eliminate_zeros()
    return found


def _area_below(atoms: Atoms, gene: Array, x: Array) -> Array:
    """Integral of the gene's distribution function up to x: the mean of ``(x - value)_+``."""
    key = (gene.astype(np.uint64) << np.uint64(32)) | _ordered_bits(x.astype(np.float32))
    end, start = np.searchsorted(atoms.key, key, side="right"), atoms.first[gene]
    count = atoms.below[end] - atoms.below[start]
    area: Array = (x * count - (atoms.mass[end] - atoms.mass[start])) / atoms.n
    return area


def _means(atoms: Atoms) -> Array:
    means: Array = np.diff(atoms.mass[atoms.first]) / atoms.n
    return means


def _ordered_bits(values: Array) -> Array:
    """float32 as uint64 below 2**32 in the same order; -0 and 0 are one."""
    bits = (np.asarray(values, dtype=np.float32) + np.float32(0)).view(np.uint32)
    ordered = np.where(bits >> 31, ~bits, bits | np.uint32(0x80000000))
    return ordered.astype(np.uint64)


def _values(ordered: Array) -> Array:
    """The float32 values behind ``_ordered_bits``."""
    bits = np.where(ordered >> 31, ordered & np.uint32(0x7FFFFFFF), ~ordered)
    return bits.astype(np.uint32).view(np.float32)


def _cubed(t: Array) -> Array:
    cubed: Array = t**3 - t
    return cubed
