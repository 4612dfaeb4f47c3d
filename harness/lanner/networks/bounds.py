"""Networks that anchor the metrics: without information, of correlation, and of what held-out cells show.

Functions of genes and data to a ``Network``. All draws are seeded and made over genes sorted by name, so
the order of the genes changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from lanner.errors import ConfigurationError
from lanner.networks.network import Network, lottery, name_ranks
from lanner.networks.truth import NetworkTruth, by_name
from lanner.records import derived_seed

Array = np.ndarray[Any, Any]
DRAWS = 5
"""Seeded draws of every random bound."""
BLOCK = 256
"""Regulators whose pairs with all genes are in memory at once."""
SWAPS = 20
"""Rounds of swaps in a rewiring: every edge is offered that many partners."""


def empty(genes: Sequence[str], regulators: Array) -> Network:
    """No edge: undefined on every metric, and never worth 0."""
    return Network.checked(genes, regulators, sp.csr_matrix((len(genes), len(genes)), dtype=np.float32))


def full(genes: Sequence[str], regulators: Array, max_edges: int) -> Network:
    """Every pair with weight 1; where there are more than ``max_edges``, that many drawn by ``lottery``.

    Built a block of regulators at a time; memory is that of ``max_edges`` and one block.
    """
    regulators, n = np.asarray(regulators, dtype=np.int64), len(genes)
    source, target, number = (np.zeros(0, dtype=kind) for kind in (np.int64, np.int64, np.uint64))
    for start in range(0, len(regulators), BLOCK):
        rows = np.repeat(regulators[start : start + BLOCK], n)
        columns = np.tile(np.arange(n), len(rows) // max(n, 1))
        apart = rows != columns
        source = np.concatenate([source, rows[apart]])
        target = np.concatenate([target, columns[apart]])
        number = np.concatenate([number, lottery(genes, rows[apart], columns[apart])])
        if len(source) > max_edges:
            kept = np.argpartition(number, max_edges - 1)[:max_edges]
            source, target, number = source[kept], target[kept], number[kept]
    return Network.from_edges(genes, regulators, (source, target, np.ones(len(source))))


def random(genes: Sequence[str], regulators: Array, n_edges: int, seed: str) -> Network:
    """``n_edges`` pairs without replacement, no self loops; random signs, magnitudes uniform in (0, 1]."""
    units, n = by_name(genes, np.asarray(regulators, dtype=np.int64)), len(genes)
    generator = np.random.default_rng(derived_seed(seed, "random network"))
    pairs = len(units) * (n - 1)
    drawn = generator.choice(pairs, min(n_edges, pairs), replace=False)
    sizes = (1 - generator.random(len(drawn))) * generator.choice([-1.0, 1.0], len(drawn))
    unit, other = np.divmod(drawn, max(n - 1, 1))
    ranks, of_rank = name_ranks(genes), np.argsort(name_ranks(genes))
    other = other + (other >= ranks[units[unit]])
    return Network.from_edges(genes, regulators, (units[unit], of_rank[other], sizes))


def rewired(network: Network, seed: str) -> Network:
    """A random network in which every gene keeps its number of targets and of regulators.

    Swaps of two edges' targets (Maslov and Sneppen 2002, doi:10.1126/science.1065103), many pairs of edges at
    a time; a swap that would make a self loop or an edge twice is not made. Weights stay with the regulator.
    Self loops of the network are left out.
    """
    edges, n = network.without_loops().edges, len(network.genes)
    ranks = name_ranks(network.genes)
    of_rank = np.argsort(ranks)
    source, target = ranks[edges.source], ranks[edges.target]
    generator = np.random.default_rng(derived_seed(seed, "rewired network"))
    half = len(source) // 2
    for _ in range(SWAPS):
        order = generator.permutation(len(source))
        a, b = order[:half], order[half : 2 * half]
        first, second = source[a] * n + target[b], source[b] * n + target[a]
        proposed = np.concatenate([first, second])
        found, inverse, counts = np.unique(proposed, return_inverse=True, return_counts=True)
        taken = np.isin(found, source * n + target) | (counts > 1)
        good = ~(taken[inverse[:half]] | taken[inverse[half:]])
        good &= (source[a] != target[b]) & (source[b] != target[a])
        a, b = a[good], b[good]
        target[a], target[b] = target[b], target[a]
    return Network.from_edges(
        network.genes, network.regulators, (of_rank[source], of_rank[target], edges.weight)
    )


def correlation(genes: Sequence[str], regulators: Array, cells: sp.csr_matrix, max_edges: int) -> Network:
    """The strongest Pearson correlations of regulators with other genes over train cells, with their signs.

    ``cells`` is CSR ``(n, n_genes)``. A gene without variance correlates with nothing.
    """
    regulators = np.asarray(regulators, dtype=np.int64)
    wide = sp.csc_matrix(cells, dtype=np.float64)
    mean = np.asarray(wide.mean(axis=0)).ravel()
    square = np.asarray(wide.multiply(wide).mean(axis=0)).ravel()
    sd = np.sqrt(np.maximum(square - mean**2, 0.0))
    inverse = np.divide(1.0, sd, out=np.zeros(len(sd)), where=sd > 1e-8)
    parts = []
    for start in range(0, len(regulators), BLOCK):
        block = regulators[start : start + BLOCK]
        products = np.asarray((wide[:, block].T @ wide).todense()) / wide.shape[0]
        r = (products - np.outer(mean[block], mean)) * np.outer(inverse[block], inverse)
        r[np.arange(len(block)), block] = 0.0
        parts.append(_largest(block, r, max_edges))
    source, target, weight = (np.concatenate([part[i] for part in parts]) for i in range(3))
    return Network.from_edges(genes, regulators, (source, target, weight)).top(max_edges)


def effects(truth: NetworkTruth, max_edges: int) -> Network:
    """The network that interventions show: significant effects, weighted by Wasserstein distance.

    The sign is the regulator's on the target, as in effect_direction.
    """
    signs = truth.significant.tocoo()
    rows = np.searchsorted(truth.intervened, signs.row)
    sizes = truth.effects.wasserstein[rows, signs.col]
    edges = (signs.row, signs.col, signs.data * sizes)
    return Network.from_edges(truth.genes, truth.regulators, edges).top(max_edges)


def held_out_half(truth: NetworkTruth, max_edges: int, repeat: int = 0) -> list[tuple[Network, NetworkTruth]]:
    """Positive bound: the effects of one half of the held-out cells, and the other half to judge them by.

    Both directions. The number to report is the mean of the two.
    """
    first, second = truth.halves(repeat)
    return [(effects(first, max_edges), second), (effects(second, max_edges), first)]


def gold(truth: NetworkTruth) -> Network:
    """The gold standard itself, edges of candidates to measured targets; self loops left out.

    Raises
    ------
    ConfigurationError
        The truth has no gold standard.
    """
    if truth.gold is None:
        raise ConfigurationError("this truth has no gold standard; use held_out_half as positive bound")
    edges = truth.gold.signs.tocoo()
    known = np.isin(edges.row, truth.regulators) & (edges.row != edges.col)
    return Network.from_edges(
        truth.genes, truth.regulators, (edges.row[known], edges.col[known], edges.data[known])
    )


def _largest(block: Array, values: Array, k: int) -> tuple[Array, Array, Array]:
    """Edges of the k largest magnitudes of a table, and those tied with the last."""
    size = np.abs(values)
    least = np.partition(size.ravel(), size.size - k)[size.size - k] if size.size > k else 0.0
    row, column = np.nonzero((size >= least) & (size > 0))
    return block[row], column, values[row, column]
