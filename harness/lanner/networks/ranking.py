"""Areas and precisions of a ranking of gene pairs, each the expected value over the orders of tied pairs.

Pairs without a predicted edge are one tied block at the end, so nothing of the size genes x genes is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.special import digamma

from lanner.networks.network import Network
from lanner.networks.truth import by_name

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranking:
    """Predicted edges among the pairs that count, strongest first, and how many pairs there are.

    ``row`` int64 ``(E,)`` is the edge's regulator as a place among ``units``, ``positive`` bool ``(E,)``,
    ``block`` int64 ``(E,)`` numbers runs of equal magnitude. ``n_pairs`` and ``n_positives`` float64 ``(U,)``
    count all pairs of each regulator, predicted or not. ``units`` int64 ``(U,)`` are columns of the genes.
    """

    units: Array
    row: Array
    block: Array
    positive: Array
    n_pairs: Array
    n_positives: Array

    def blocks(self, counts: Array | None = None) -> tuple[Array, Array]:
        """Pairs and positives of each tied block, the unpredicted last, float64; unit u ``counts[u]`` times.

        Blocks without a pair are left out.
        """
        counts = np.ones(len(self.units)) if counts is None else np.asarray(counts, dtype=np.float64)
        pairs, positives = self._by_unit
        n, t = pairs @ counts, positives @ counts
        n = np.append(n, counts @ self.n_pairs - n.sum())
        t = np.append(t, counts @ self.n_positives - t.sum())
        return n[n > 0], t[n > 0]

    @cached_property
    def _by_unit(self) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        """Pairs and positives of each block (row) and unit (column): draws over units repeat only this."""
        size = int(self.block[-1]) + 1 if len(self.block) else 0
        places, shape = (self.block, self.row), (size, len(self.units))
        pairs = sp.csr_matrix((np.ones(len(self.row)), places), shape=shape)
        return pairs, sp.csr_matrix((self.positive.astype(np.float64), places), shape=shape)

    def alone(self, unit: int) -> tuple[Array, Array]:
        """Blocks of one regulator's own pairs."""
        mine = self.row == unit
        block = self.block[mine]
        first = np.concatenate([[True], block[1:] != block[:-1]])[: len(block)]
        place = np.cumsum(first) - 1
        size = int(first.sum())
        n = np.append(np.bincount(place, minlength=size), self.n_pairs[unit] - mine.sum())
        t = np.bincount(place, self.positive[mine], size)
        t = np.append(t, self.n_positives[unit] - t.sum())
        return n[n > 0].astype(np.float64), t[n > 0]


def rank_pairs(network: Network, positives: sp.csr_matrix, regulators: Array, targets: Array) -> Ranking:
    """The ranking of all pairs of ``regulators`` (int64) and ``targets`` (bool), self loops left out.

    ``positives`` is CSR ``(n_genes, n_genes)``, positive where something is stored.
    """
    units = by_name(network.genes, regulators)
    place = np.full(len(network.genes), -1, dtype=np.int64)
    place[units] = np.arange(len(units))
    edges = network.edges
    counted = (place[edges.source] >= 0) & targets[edges.target] & (edges.source != edges.target)
    source, target = edges.source[counted], edges.target[counted]
    known = sp.coo_matrix(positives)
    real = (known.data != 0) & (place[known.row] >= 0) & targets[known.col] & (known.row != known.col)
    n = len(network.genes)
    keys = known.row[real].astype(np.int64) * n + known.col[real]
    return Ranking(
        units=units,
        row=place[source],
        block=np.unique(edges.block[counted], return_inverse=True)[1],
        positive=np.isin(source * n + target, keys),
        n_pairs=(targets.sum() - targets[units]).astype(np.float64),
        n_positives=np.bincount(place[known.row[real]], minlength=len(units)).astype(np.float64),
    )


def average_precision(n: Array, t: Array) -> float:
    r"""Average precision of blocks of n pairs with t positives, expected over the orders of each block.

    The i-th pair of a block that follows :math:`N_0` pairs with :math:`T_0` positives is positive with
    probability t / n, and then precision there is :math:`(T_0 + 1 + (i-1)(t-1)/(n-1)) / (N_0 + i)` on
    average: a uniform order is a draw without replacement. Harmonic sums make a block one step. NaN without
    a positive pair.
    """
    before, hits = np.cumsum(n) - n, np.cumsum(t) - t
    a = before + 1
    h = _harmonic(a, n)
    rising = np.divide(t - 1, n - 1, out=np.zeros(len(n)), where=n > 1)
    gains = t / n * ((hits + 1) * h + rising * np.where(n > 1, n - a * h, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(gains.sum() / t.sum())


def _harmonic(a: Array, n: Array) -> Array:
    """1/a + 1/(a+1) + ... + 1/(a+n-1): digamma, asymptotic where its difference would cancel."""
    b = a + n
    series = np.log1p(n / a) - (1 / b - 1 / a) / 2 - (1 / b**2 - 1 / a**2) / 12 + (b**-4 - a**-4) / 120
    sums: Array = np.where(n == 1, 1 / a, np.where(a > 50, series, digamma(b) - digamma(a)))
    return sums


def area_under_roc(n: Array, t: Array) -> float:
    """Share of (positive, negative) pairs in the right order, ties one half; NaN where one class is empty."""
    negative = n - t
    after = negative.sum() - np.cumsum(negative)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(t @ (after + negative / 2) / (t.sum() * negative.sum()))


def precision_at(n: Array, t: Array, k: float) -> float:
    """Share of positives among the first k pairs, expected over ties (the mean of a hypergeometric draw)."""
    taken = np.clip(k - (np.cumsum(n) - n), 0.0, n)
    return float((taken / n) @ t / k) if k > 0 else float("nan")
