"""CausalBench 1.1.2's statistical evaluation under its own names, faults included (Chevalley et al. 2025).

Definitions after causalscbench/evaluation/statistical_evaluation.py of the released package (Apache 2.0).
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from scipy.stats import mannwhitneyu

from lanner.networks import UNDEFINED, Network, NetworkTruth, NetworkValues, network_metric
from lanner.networks.effects import LEVEL
from lanner.networks.interventional import CAUSALBENCH
from lanner.networks.truth import by_name
from lanner.networks.unreachable import reachable

Array = np.ndarray[Any, Any]
FEW = 8
"""scipy's ``mannwhitneyu`` is exact where a group has at most this many values and none are tied."""
N_OMITTED = 500
"""``omission_estimation_size`` of the paper's runs."""
SEED = 0
"""What the release draws omitted pairs with; its repository has taken ``model_seed``, default 0, since."""
NOTHING = "NaN of an empty mean; here undefined"
PEER: dict[str, Any] = {
    "unit": "regulator",
    "pooling": "ratio of sums",
    "requires_truth": "interventions",
    "self_loops": "counted as edges",
    "unmeasured": "an error in the peer, whose genes are all intervened on; here dropped",
    "chance": "truth",
    "citation": CAUSALBENCH,
    "peer": "CausalBench",
    "peer_version": "1.1.2",
}
TESTED = "scipy.stats.mannwhitneyu as it comes (exact for at most 8 cells without ties), p < .05, unadjusted"
FAULTS = "no correction for multiple tests; a knocked-down gene counts as its own target where predicted"


@network_metric(
    id="causalbench/mean_wasserstein",
    title="CausalBench mean Wasserstein distance",
    family="mean wasserstein",
    estimator="scipy.stats.wasserstein_distance over predicted edges",
    undefined=NOTHING,
    better="higher",
    best=None,
    faults="grows as edges get fewer; never 0 for equal distributions; unscaled, so expression decides",
    **PEER,
)
def mean_wasserstein(network: Network, truth: NetworkTruth) -> NetworkValues:
    """Mean 1-Wasserstein distance over predicted edges: output_graph.wasserstein_distance.mean."""
    return _over_edges(network, truth, truth.effects.wasserstein)


@network_metric(
    id="causalbench/precision",
    title="CausalBench share of true positives",
    family="edge precision",
    estimator=TESTED,
    undefined=NOTHING,
    better="higher",
    best=1.0,
    faults=FAULTS,
    **PEER,
)
def precision(network: Network, truth: NetworkTruth) -> NetworkValues:
    """Share of predicted edges whose intervention changes the target: TP / (TP + FP) of output_graph."""
    return _over_edges(network, truth, (peer_p(truth) < LEVEL).astype(np.float64))


@network_metric(
    id="causalbench/true_positives",
    title="CausalBench true positives",
    family="edge true positives",
    estimator=f"a count; {TESTED}",
    undefined=NOTHING,
    better="higher",
    best=None,
    faults=f"{FAULTS}; grows with the number of edges",
    **{**PEER, "pooling": "sum", "chance": None},
)
def true_positives(network: Network, truth: NetworkTruth) -> NetworkValues:
    """Number of predicted edges whose intervention changes the target: output_graph.true_positives."""
    share = precision(network, truth)
    number = np.nan_to_num(share.values * share.weights)

    def total(counts: Array) -> float:
        return float(number @ counts)

    return NetworkValues(
        units=share.units,
        values=number,
        weights=share.weights,
        value=float(number.sum()),
        recompute=total,
    )


@network_metric(
    id="causalbench/false_omission_rate",
    title="CausalBench false omission rate",
    family="false omission rate",
    estimator=f"{N_OMITTED} ordered pairs without a path, Python's random.sample at seed {SEED}; {TESTED}",
    undefined="the peer does not end where fewer than 500 pairs are unconnected; here undefined",
    better="lower",
    best=0.0,
    faults="the draw depends on the order of the genes; a noisy estimate of what can be counted",
    **PEER,
)
def false_omission_rate(network: Network, truth: NetworkTruth) -> NetworkValues:
    """Share of sampled pairs without a path whose intervention changes the target: false_omission_rate."""
    return _over_omitted(network, truth, (peer_p(truth) < LEVEL).astype(np.float64))


@network_metric(
    id="causalbench/negative_mean_wasserstein",
    title="CausalBench mean Wasserstein distance of omitted pairs",
    family="mean wasserstein",
    estimator=f"{N_OMITTED} ordered pairs without a path, Python's random.sample at seed {SEED}",
    undefined="the peer does not end where fewer than 500 pairs are unconnected; here undefined",
    better="lower",
    best=0.0,
    faults="the draw depends on the order of the genes",
    **PEER,
)
def negative_mean_wasserstein(network: Network, truth: NetworkTruth) -> NetworkValues:
    """Mean 1-Wasserstein distance of the pairs of false_omission_rate: negative_mean_wasserstein."""
    return _over_omitted(network, truth, truth.effects.wasserstein)


def peer_p(truth: NetworkTruth) -> Array:
    """p of every intervention and gene as scipy gives it unasked, float64 ``(E, n_genes)``."""
    p: Array = truth.effects.p.copy()
    for row, regulator in enumerate(truth.intervened):
        cells = truth.interventions[truth.genes[regulator]]
        if min(cells.shape[0], truth.controls.shape[0]) <= FEW:
            pair = (np.asarray(part.todense(), dtype=np.float64) for part in (truth.controls, cells))
            p[row] = mannwhitneyu(*pair, axis=0).pvalue
    return p


def _over_edges(network: Network, truth: NetworkTruth, table: Array) -> NetworkValues:
    edges = network.weights.tocoo()
    source, target = edges.row.astype(np.int64), edges.col.astype(np.int64)
    known = np.isin(source, truth.intervened)
    reason = "no edge from a gene that was intervened on" if len(source) else "an empty network"
    return _mean(truth, source[known], target[known], table, reason)


def _over_omitted(network: Network, truth: NetworkTruth, table: Array) -> NetworkValues:
    apart = np.zeros((len(truth.genes), len(truth.genes)), dtype=bool)
    apart[truth.intervened] = ~reachable(network, truth.intervened)
    if apart.sum() < N_OMITTED:
        return NetworkValues.nothing(UNDEFINED, f"fewer than {N_OMITTED} pairs without a path")
    generator, drawn = random.Random(SEED), set[tuple[int, int]]()
    while len(drawn) < N_OMITTED:
        a, b = generator.sample(range(len(truth.genes)), 2)
        if apart[a, b]:
            drawn.add((a, b))
    source, target = np.array(sorted(drawn)).T
    return _mean(truth, source, target, table, "no omitted pair can be judged")


def _mean(truth: NetworkTruth, source: Array, target: Array, table: Array, undefined: str) -> NetworkValues:
    """Mean of a table ``(E, n_genes)`` over pairs, by regulator."""
    units = by_name(truth.genes, truth.intervened)
    place = np.full(len(truth.genes), -1, dtype=np.int64)
    place[units] = np.arange(len(units))
    of_pair = table[np.searchsorted(truth.intervened, source), target]
    weights = np.bincount(place[source], minlength=len(units)).astype(np.float64)
    sums = np.bincount(place[source], of_pair, len(units))
    values = np.divide(sums, weights, out=np.full(len(units), np.nan), where=weights > 0)
    names = tuple(truth.genes[g] for g in units)
    apart = np.ones(table.shape, dtype=bool)
    apart[np.arange(len(table)), truth.intervened] = False
    chance = float(table[apart].mean())
    return NetworkValues.averaged(names, values, weights, chance=chance, undefined=undefined)
