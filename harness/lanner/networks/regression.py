"""Do a gene's predicted regulators explain its expression in held-out groups? geneRNIB's question, mended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from lanner.networks import UNDEFINED, UNSCORABLE, Network, NetworkTruth, NetworkValues, network_metric
from lanner.networks.truth import Samples, by_name

Array = np.ndarray[Any, Any]
ALPHA = 1.0
"""Ridge penalty (doi:10.1080/00401706.1970.10488634): scikit-learn's default, and so geneRNIB's."""
LEAST = -1.0
"""What a gene is worth at least, so that none decides alone."""
FLAT = 1e-12
"""Spread below which a predictor is constant."""
GENERNIB = "https://github.com/openproblems-bio/task_grn_inference"
EXPLAINED: dict[str, Any] = {
    "family": "regression",
    "unit": "target",
    "pooling": "mean",
    "requires_truth": "samples",
    "estimator": f"ridge (penalty {ALPHA:g} for predictors scaled on the other groups), leave one group out; "
    f"1 - SSE / SST over all groups, SST about the other groups' mean, not below {LEAST:g}",
    "ties": "drawn by the hash of the pair's names, the same for all methods",
    "unmeasured": "edges from genes that are no candidates cannot be; all candidates are measured",
    "missing": "a gene is explained by the regulators it has, by its mean (0) without any; none filled in",
    "undefined": "an empty network; the truth: no gene varies in the samples or has a frozen number",
    "better": "higher",
    "best": 1.0,
    "chance": None,
    "citation": GENERNIB,
}


@network_metric(id="regression_precision", title="Regression on a gene's first regulators", **EXPLAINED)
def regression_precision(network: Network, truth: NetworkTruth) -> NetworkValues:
    """Variance of a gene that its few strongest predicted regulators explain in held-out groups.

    geneRNIB's r_precision with three differences: the number of regulators of each gene is frozen with the
    dataset (theta .25 over the harness's reference networks), missing regulators are not drawn at random,
    and samples in which the gene itself was intervened on are left out. The mean over genes with a number.
    """
    assert truth.theta is not None
    return _explained(network, truth, truth.theta.regulators_precision)


@network_metric(id="regression_recall", title="Regression on many regulators of a gene", **EXPLAINED)
def regression_recall(network: Network, truth: NetworkTruth) -> NetworkValues:
    """Variance of a gene that its many strongest predicted regulators explain in held-out groups.

    As regression_precision with theta .75: a network pays for regulators it does not name.
    """
    assert truth.theta is not None
    return _explained(network, truth, truth.theta.regulators_recall)


def _explained(network: Network, truth: NetworkTruth, numbers: Array) -> NetworkValues:
    samples = truth.samples
    assert samples is not None
    judged = by_name(truth.genes, np.flatnonzero(numbers > 0))
    chosen = strongest_regulators(network, numbers)
    values = explained(samples, judged, [chosen[int(g)] for g in judged])
    varying = ~np.isnan(values)
    judged, values = judged[varying], values[varying]
    if not judged.size:
        return NetworkValues.nothing(UNSCORABLE, "no gene with a frozen number of regulators varies")
    if not network.n_edges:
        return NetworkValues.nothing(UNDEFINED, "an empty network")
    used = sum(len(chosen[int(g)]) for g in judged)
    extra = {"regulators": float(used), "missing": float(numbers[judged].sum() - used)}
    return NetworkValues.averaged(tuple(truth.genes[g] for g in judged), values, extra=extra)


def strongest_regulators(network: Network, numbers: Array) -> list[Array]:
    """Of each gene the ``numbers[g]`` regulators of largest magnitude, itself left out, sorted int64."""
    edges = network.edges
    kept = edges.source != edges.target
    source, target = edges.source[kept], edges.target[kept]
    order = np.argsort(target, kind="stable")
    ends = np.cumsum(np.bincount(target, minlength=len(network.genes)))
    lists = np.split(source[order], ends[:-1])
    return [np.sort(found[:number]) for found, number in zip(lists, numbers, strict=True)]


def explained(samples: Samples, genes: Array, chosen: Sequence[Array]) -> Array:
    """1 - SSE / SST of each gene on its chosen predictors, groups left out in turn, at least LEAST ``(n,)``.

    0 without a predictor; NaN where a gene does not vary in the samples that count, whatever the network:
    those in which it was not set by hand. Genes nobody set share their sums of products, a group at a time;
    memory is samples x predictors and predictors x genes.
    """
    X: Any = sp.csc_matrix(samples.X) if sp.issparse(samples.X) else np.asarray(samples.X)
    genes = np.asarray(genes, dtype=np.int64)
    by_hand = np.isin(genes, samples.target)
    answer = np.full(len(genes), np.nan)
    shared = [of_gene for of_gene, own in zip(chosen, by_hand, strict=True) if not own]
    answer[~by_hand] = _together(X, samples.groups, genes[~by_hand], shared)
    for i, of_gene in enumerate(chosen):
        if by_hand[i]:
            kept = samples.target != genes[i]
            part, n = X[:, [*of_gene, genes[i]]][kept], len(of_gene)
            answer[i] = _together(part, samples.groups[kept], np.array([n]), [np.arange(n)])[0]
    return answer


def _together(X: Any, groups: Array, genes: Array, chosen: Sequence[Array]) -> Array:
    """The explained share of genes that are judged on the same samples, float64 ``(n,)``."""
    used = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *chosen]))
    places = [np.searchsorted(used, of_gene) for of_gene in chosen]
    A, Y = _dense(X[:, used]), _dense(X[:, genes])
    error, total = np.zeros(len(genes)), np.zeros(len(genes))
    for group in np.unique(groups):
        test = groups == group
        if test.all():
            return np.full(len(genes), np.nan)
        centre, spread = A[~test].mean(axis=0), A[~test].std(axis=0)
        spread = np.where(spread > FLAT, spread, np.inf)
        train, new = (A[~test] - centre) / spread, (A[test] - centre) / spread
        level = Y[~test].mean(axis=0)
        gram, moments = train.T @ train, train.T @ (Y[~test] - level)
        rest = Y[test] - level
        total += (rest**2).sum(axis=0)
        for i, place in enumerate(places):
            if len(place):
                penalised = gram[np.ix_(place, place)]
                penalised[np.diag_indices_from(penalised)] += ALPHA
                rest[:, i] -= new[:, place] @ np.linalg.solve(penalised, moments[place, i])
        error += (rest**2).sum(axis=0)
    share: Array = 1 - np.divide(error, total, out=np.full(len(genes), np.nan), where=total > 0)
    share[np.ptp(Y, axis=0) == 0 if len(Y) else slice(None)] = np.nan
    bounded: Array = np.maximum(share, LEAST)
    return bounded


def _dense(part: Any) -> Array:
    return np.asarray(part.todense() if sp.issparse(part) else part, dtype=np.float64)


def pseudobulk(cells: sp.csr_matrix, bulk: Array) -> Array:
    """Mean profile of the cells of each bulk, float32 ``(n_bulks, n_genes)``; ``bulk`` int64 ``(n,)``.

    What ``Samples.X`` is best made of: a few hundred rows, whatever the number of cells.
    """
    members = sp.csr_matrix((np.ones(len(bulk)), (bulk, np.arange(len(bulk)))), dtype=np.float64)
    sums = np.asarray((members @ cells.astype(np.float64)).todense())
    means: Array = (sums / np.bincount(bulk)[:, None]).astype(np.float32)
    return means
