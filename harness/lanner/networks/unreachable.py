"""False omissions among pairs without any path, on a seeded sample, as CausalBench reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse.csgraph import breadth_first_order

from lanner.networks import UNDEFINED, Network, NetworkTruth, NetworkValues, network_metric
from lanner.networks.effects import LEVEL
from lanner.networks.interventional import JUDGED, NO_EDGE
from lanner.networks.judged import judge
from lanner.networks.network import name_ranks
from lanner.records import derived_seed

Array = np.ndarray[Any, Any]
N_PAIRS = 500
"""Pairs drawn, CausalBench's ``omission_estimation_size`` in its paper; all where there are fewer."""


@network_metric(
    id="false_omission/unreachable",
    title="False omission rate of pairs without a path",
    family="false omission rate",
    estimator=f"{N_PAIRS} pairs without replacement, seeded by the split; Mann-Whitney p < .05, unadjusted",
    undefined=f"{NO_EDGE}, or a path between all pairs",
    better="lower",
    best=0.0,
    chance="truth",
    **JUDGED,
)
def false_omission_unreachable(network: Network, truth: NetworkTruth) -> NetworkValues:
    """Share of significant effects among sampled pairs that no path of predicted edges connects.

    Pairs of a judged regulator A and another gene B that is not reachable from A (Chevalley et al. 2025).
    """
    return _sampled(network, truth, (truth.effects.p < LEVEL).astype(np.float64))


@network_metric(
    id="omitted_wasserstein",
    title="Mean Wasserstein distance of pairs without a path",
    family="mean wasserstein",
    estimator=f"plug-in; {N_PAIRS} pairs without replacement, seeded by the split",
    undefined=f"{NO_EDGE}, or a path between all pairs",
    better="lower",
    best=0.0,
    chance="truth",
    **JUDGED,
)
def omitted_wasserstein(network: Network, truth: NetworkTruth) -> NetworkValues:
    """Mean 1-Wasserstein distance of the pairs that false_omission/unreachable samples."""
    return _sampled(network, truth, truth.effects.wasserstein)


def _sampled(network: Network, truth: NetworkTruth, values: Array) -> NetworkValues:
    judged = judge(network, truth)
    if isinstance(judged, NetworkValues):
        return judged
    table = judged.table(values)
    chance = float(np.nanmean(table))
    if not len(judged.unit):
        return NetworkValues.nothing(UNDEFINED, NO_EDGE, chance)
    by_name = np.argsort(name_ranks(truth.genes))
    apart = np.flatnonzero(~reachable(network, judged.units)[:, by_name])
    if not apart.size:
        return NetworkValues.nothing(UNDEFINED, "a path connects every pair", chance)
    generator = np.random.default_rng(derived_seed(truth.seed, "pairs without a path"))
    drawn = generator.choice(apart, min(N_PAIRS, len(apart)), replace=False)
    unit, target = drawn // len(truth.genes), by_name[drawn % len(truth.genes)]
    weights = np.bincount(unit, minlength=len(judged.units)).astype(np.float64)
    sums = np.bincount(unit, table[unit, target], len(judged.units))
    means = np.divide(sums, weights, out=np.full(len(sums), np.nan), where=weights > 0)
    extra = {**judged.counts, "unreachable": float(len(apart)), "sampled": float(len(drawn))}
    return NetworkValues.averaged(judged.names, means, weights, chance=chance, extra=extra)


def reachable(network: Network, sources: Array) -> Array:
    """Genes that a path of edges leads to from each source, and the source itself; bool ``(S, n_genes)``."""
    graph = network.weights.astype(bool).astype(np.int8)
    found = np.zeros((len(sources), len(network.genes)), dtype=bool)
    for row, source in enumerate(sources):
        found[row, breadth_first_order(graph, source, return_predecessors=False)] = True
    return found
