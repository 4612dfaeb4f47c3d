"""geneRNIB's regression and Wasserstein metrics under their own names, faults included.

Definitions after openproblems-bio/task_grn_inference, commit 31b5252, src/metrics/regression and
src/metrics/ws_distance (MIT). What it seeds is seeded alike, so numbers agree draw by draw; its consensus
over submitted methods is not reproduced: theta comes frozen with the truth.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from lanner.networks import UNDEFINED, UNSCORABLE, Network, NetworkTruth, NetworkValues, network_metric
from lanner.networks.interventional import JUDGED
from lanner.networks.regression import ALPHA, GENERNIB
from lanner.networks.truth import by_name

Array = np.ndarray[Any, Any]
MAX_LINKS = 50_000
SEED, WS_SEED = 0xCAFE, 42
N_GROUPS, N_DRAWS, EPSILON, BLOCK = 5, 1000, 1e-10, 512
PEER: dict[str, Any] = {"peer": "geneRNIB", "peer_version": "31b5252", "citation": GENERNIB}
REGRESSION: dict[str, Any] = {
    **PEER,
    "family": "regression",
    "unit": "target",
    "pooling": "mean",
    "requires_truth": "samples",
    "estimator": f"ridge (penalty {ALPHA:g}) of robustly scaled samples, {N_GROUPS} random groups left out "
    "in turn, mean of their R2, clipped at 0 and 1",
    "ties": "noise of 1e-10, seeded",
    "missing": "filled with random regulators",
    "undefined": "an empty network; the truth: no gene with a number of regulators",
    "better": "higher",
    "best": 1.0,
    "chance": None,
    "faults": "random regulators stand in for missing ones; samples in which the gene was intervened on "
    "count; scaled on all samples; groups are random, not the design's; draws depend on the order of genes",
}
DISTANCE: dict[str, Any] = {
    **JUDGED,
    **PEER,
    "family": "wasserstein percentile",
    "estimator": f"percentile among {N_DRAWS} draws of the regulator's distances, strict",
    "ties": "the first target by name",
    "missing": "filled with random targets, seeded",
    "undefined": "an empty network; the truth: no regulator with a number of targets",
    "better": "higher",
    "best": None,
    "chance": 0.5,
    "faults": "ranked by signed weight, so strong repression comes last; random targets stand in for missing "
    "ones; the regulator's own gene is in the background; draws depend on the order of genes",
}


@network_metric(id="genernib/r_precision", title="geneRNIB r_precision", **REGRESSION)
def r_precision(network: Network, truth: NetworkTruth) -> NetworkValues:
    """R2 of each gene on its n(.25) strongest regulators, missing ones filled at random."""
    return _regression(network, truth, recall=False)


@network_metric(id="genernib/r_recall", title="geneRNIB r_recall", **REGRESSION)
def r_recall(network: Network, truth: NetworkTruth) -> NetworkValues:
    """R2 of each gene on its n(.75) strongest regulators, missing ones filled at random."""
    return _regression(network, truth, recall=True)


@network_metric(id="genernib/ws_precision", title="geneRNIB ws_precision", **DISTANCE)
def ws_precision(network: Network, truth: NetworkTruth) -> NetworkValues:
    """Percentile of the distances of each regulator's n(.25) first targets, missing ones filled at random."""
    return _percentile(network, truth, recall=False)


@network_metric(id="genernib/ws_recall", title="geneRNIB ws_recall", **DISTANCE)
def ws_recall(network: Network, truth: NetworkTruth) -> NetworkValues:
    """Percentile of the distances of each regulator's n(.75) first targets, missing ones filled at random."""
    return _percentile(network, truth, recall=True)


def _links(network: Network) -> Network:
    """The peer's ``process_links``: no self loops, the 50,000 strongest."""
    return network.without_loops().top(MAX_LINKS)


def _regression(network: Network, truth: NetworkTruth, recall: bool) -> NetworkValues:
    samples, theta = truth.samples, truth.theta
    assert samples is not None and theta is not None
    numbers = theta.regulators_recall if recall else theta.regulators_precision
    judged = np.flatnonzero(numbers > 0)
    if not judged.size:
        return NetworkValues.nothing(UNSCORABLE, "no gene with a number of regulators")
    if not network.n_edges:
        return NetworkValues.nothing(UNDEFINED, "an empty network")
    X = np.asarray(samples.X.todense() if sp.issparse(samples.X) else samples.X, dtype=np.float64)
    stream = np.random.RandomState(SEED)
    groups = stream.choice(range(1, N_GROUPS + 1), size=len(X), replace=True)
    X = X / _robust_scale(X)
    for _ in range(2 if recall else 1):  # the peer draws for precision first
        importance = np.abs(_filled(_links(network), truth.regulators, stream))
    values = np.full(len(truth.genes), np.nan)
    for gene in judged:
        of_gene = importance[:, gene].copy()
        of_gene[truth.regulators == gene] = -1
        first = np.argsort(of_gene)[-numbers[gene] :]
        chosen = truth.regulators[first[of_gene[first] > 0]]
        values[gene] = _mean_r2(X[:, chosen], X[:, gene], groups) if chosen.size else 0.0
    units = by_name(truth.genes, judged)
    return NetworkValues.averaged(tuple(truth.genes[g] for g in units), values[units])


def _robust_scale(X: Array) -> Array:
    """Interquartile range of each gene, 1 where there is none (scikit-learn's RobustScaler)."""
    low, high = np.percentile(X, [25, 75], axis=0)
    scale: Array = np.where(high - low < 10 * np.finfo(np.float64).eps, 1.0, high - low)
    return scale


def _filled(network: Network, regulators: Array, stream: np.random.RandomState) -> Array:
    """Weights of candidate rows with the peer's noise, float64 ``(R, n_genes)``; drawn for all rows.

    The peer makes genes x genes; here rows of other genes are drawn a block at a time and let go.
    """
    n = len(network.genes)
    place = np.full(n, -1, dtype=np.int64)
    place[regulators] = np.arange(len(regulators))
    kept = np.zeros((len(regulators), n))
    for second in (False, True):
        for start in range(0, n, BLOCK):
            rows = np.arange(start, min(start + BLOCK, n))
            block = np.asarray(network.weights[rows].todense(), dtype=np.float64)
            if second:
                block = stream.rand(*block.shape) * EPSILON
            else:
                zero = block == 0
                block += EPSILON * np.sign(block)
                block[zero] = stream.rand(int(zero.sum())) * 2 * EPSILON - EPSILON
            candidates = place[rows] >= 0
            kept[place[rows[candidates]]] += block[candidates]
    return kept


def _mean_r2(X: Array, y: Array, groups: Array) -> float:
    """Mean R2 over groups left out in turn, clipped; a constant group counts as scikit-learn has it."""
    scores = []
    for group in np.unique(groups):
        test = groups == group
        predicted = _ridge(X[~test], y[~test], X[test])
        error = ((y[test] - predicted) ** 2).sum()
        total = ((y[test] - y[test].mean()) ** 2).sum()
        if test.sum() < 2:
            scores.append(np.nan)
        elif total == 0:
            scores.append(float(error == 0))
        else:
            scores.append(1 - error / total)
    return float(np.clip(np.mean(scores), 0, 1))


def _ridge(X: Array, y: Array, X_new: Array) -> Array:
    """scikit-learn's Ridge of unit penalty with a free intercept, predicted for new rows."""
    centre, level = X.mean(axis=0), y.mean()
    A = X - centre
    gram = A.T @ A
    gram[np.diag_indices_from(gram)] += ALPHA
    predicted: Array = (X_new - centre) @ np.linalg.solve(gram, A.T @ (y - level)) + level
    return predicted


def _percentile(network: Network, truth: NetworkTruth, recall: bool) -> NetworkValues:
    theta = truth.theta
    if theta is None:
        return NetworkValues.nothing(UNSCORABLE, "no frozen number of targets", 0.5)
    units = by_name(truth.genes, truth.intervened[theta.targets_recall[truth.intervened] > 0])
    if not units.size:
        return NetworkValues.nothing(UNSCORABLE, "no regulator with a number of targets", 0.5)
    if not network.n_edges:
        return NetworkValues.nothing(UNDEFINED, "an empty network", 0.5)
    stream, links = np.random.RandomState(WS_SEED), _links(network).weights
    values, weights = np.full(len(units), np.nan), np.zeros(len(units))
    for numbers in (theta.targets_precision, theta.targets_recall)[: 2 if recall else 1]:
        for u, regulator in enumerate(units):  # the peer draws for precision first
            n_edges = int(numbers[regulator])
            background = truth.effects.wasserstein[np.searchsorted(truth.intervened, regulator)]
            distances = background[_first_targets(links, truth.genes, int(regulator), n_edges)]
            if not links.indptr[regulator + 1] - links.indptr[regulator]:
                distances = _sample(background, n_edges)
            distances = np.concatenate([distances, _sample(background, n_edges - len(distances))])
            drawn = stream.choice(background, N_DRAWS)
            shares = (distances[:, None] > drawn).mean(axis=1)
            weights[u] = len(shares)
            values[u] = shares.mean() if len(shares) else np.nan
    names = tuple(truth.genes[g] for g in units)
    return NetworkValues.averaged(names, values, weights, chance=0.5)


def _first_targets(links: sp.csr_matrix, genes: tuple[str, ...], regulator: int, n: int) -> Array:
    """The n targets of largest signed weight; equals by magnitude, then name."""
    row = links[regulator]
    names = np.array([genes[g] for g in row.indices], dtype=str)
    chosen: Array = row.indices[np.lexsort((names, -row.data))[:n]]
    return chosen


def _sample(values: Array, n: int) -> Array:
    """What ``pandas.DataFrame.sample(n, replace=True, random_state=42)`` takes."""
    drawn: Array = values[np.random.RandomState(WS_SEED).choice(len(values), n, replace=True)]
    return drawn
