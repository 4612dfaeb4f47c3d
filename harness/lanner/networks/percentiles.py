"""Where a regulator's predicted targets stand among all genes it might move: geneRNIB's question, mended."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import rankdata

from lanner.networks import UNDEFINED, UNSCORABLE, Network, NetworkTruth, NetworkValues, network_metric
from lanner.networks.interventional import JUDGED
from lanner.networks.judged import judge, membership
from lanner.networks.regression import GENERNIB

Array = np.ndarray[Any, Any]
RANKED: dict[str, Any] = {
    **JUDGED,
    "family": "wasserstein percentile",
    "estimator": "middle rank of the distance among all other genes of the intervention, over their number",
    "ties": "expected value over the orders of tied edges; tied distances share the middle rank",
    "missing": "one half, what a random edge gets on average",
    "undefined": "an empty network; the truth: no judged regulator with a frozen number of targets",
    "better": "higher",
    "best": None,
    "chance": 0.5,
    "citation": GENERNIB,
}


@network_metric(id="edge_percentile/precision", title="Percentile of a regulator's first targets", **RANKED)
def edge_percentile_precision(network: Network, truth: NetworkTruth) -> NetworkValues:
    """Percentile of the Wasserstein distances of a regulator's few strongest targets among all genes.

    geneRNIB's ws_precision with four differences: numbers of targets are frozen with the dataset (theta .25
    over the harness's reference networks), targets are ranked by magnitude and not by signed weight, all
    genes are the background and not 1,000 draws, and a missing edge counts one half instead of a draw.
    """
    return _percentile(network, truth, few=True)


@network_metric(id="edge_percentile/recall", title="Percentile of many targets of a regulator", **RANKED)
def edge_percentile_recall(network: Network, truth: NetworkTruth) -> NetworkValues:
    """Percentile of the Wasserstein distances of a regulator's many strongest targets among all genes.

    As edge_percentile/precision with theta .75: a network pays for targets it does not name.
    """
    return _percentile(network, truth, few=False)


def _percentile(network: Network, truth: NetworkTruth, few: bool) -> NetworkValues:
    if truth.theta is None:
        return NetworkValues.nothing(UNSCORABLE, "no frozen number of targets", 0.5)
    judged = judge(network, truth)
    if isinstance(judged, NetworkValues):
        return judged
    numbers = truth.theta.targets_precision if few else truth.theta.targets_recall
    wanted = np.minimum(numbers[judged.units], len(truth.genes) - 1).astype(np.float64)
    if not wanted.sum():
        return NetworkValues.nothing(UNSCORABLE, "no judged regulator with a frozen number of targets", 0.5)
    if not len(judged.unit):
        return NetworkValues.nothing(UNDEFINED, "no predicted edge can be judged", 0.5)
    table = judged.table(truth.effects.wasserstein)
    values, present = np.full(len(wanted), np.nan), 0.0
    for u in np.flatnonzero(wanted):
        mine = judged.unit == u
        taken = membership(judged.block[mine], wanted[u])
        others = ~np.isnan(table[u])
        ranks = np.full(len(others), np.nan)
        ranks[others] = (rankdata(table[u, others]) - 0.5) / others.sum()
        missing = wanted[u] - taken.sum()
        values[u] = (taken @ ranks[judged.target[mine]] + 0.5 * missing) / wanted[u]
        present += taken.sum()
    extra = {**judged.counts, "missing": float(wanted.sum() - present)}
    return NetworkValues.averaged(judged.names, values, wanted, chance=0.5, extra=extra)
