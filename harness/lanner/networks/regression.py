"""Do a gene's predicted regulators explain its expression in held-out groups? geneRNIB's question, mended."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from lanner.networks import UNDEFINED, UNSCORABLE, Network, NetworkTruth, NetworkValues, network_metric
from lanner.networks.truth import Samples, by_name

Array = np.ndarray[Any, Any]
ALPHA = 1.0
"""Ridge penalty for predictors of unit variance, scikit-learn's default and geneRNIB's."""
LEAST = -1.0
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
    columns = Columns(samples)
    varying = judged[[columns.varies(int(g)) for g in judged]] if judged.size else judged
    if not varying.size:
        return NetworkValues.nothing(UNSCORABLE, "no gene with a frozen number of regulators varies")
    if not network.n_edges:
        return NetworkValues.nothing(UNDEFINED, "an empty network")
    chosen = strongest_regulators(network, numbers)
    values = np.array([columns.explained(int(g), chosen[int(g)]) for g in varying])
    used = np.array([len(chosen[int(g)]) for g in varying], dtype=np.float64)
    wanted = numbers[varying].astype(np.float64)
    extra = {"regulators": float(used.sum()), "missing": float((wanted - used).sum())}
    return NetworkValues.averaged(tuple(truth.genes[g] for g in varying), values, extra=extra)


def strongest_regulators(network: Network, numbers: Array) -> list[Array]:
    """Of each gene the ``numbers[g]`` regulators of largest magnitude, itself left out, sorted int64."""
    edges = network.edges
    kept = edges.source != edges.target
    source, target = edges.source[kept], edges.target[kept]
    order = np.argsort(target, kind="stable")
    ends = np.cumsum(np.bincount(target, minlength=len(network.genes)))
    lists = np.split(source[order], ends[:-1])
    return [np.sort(found[:number]) for found, number in zip(lists, numbers, strict=True)]


class Columns:
    """Samples by gene: predictors of any gene, without the samples in which it was set by hand."""

    def __init__(self, samples: Samples) -> None:
        self.groups = samples.groups
        self.target = samples.target
        self.X = sp.csc_matrix(samples.X) if sp.issparse(samples.X) else np.asarray(samples.X)

    def varies(self, gene: int) -> bool:
        """Whether the gene takes two values in the samples that count, and two groups have some."""
        kept = self.target != gene
        y = self._take([gene])[kept, 0]
        return len(np.unique(self.groups[kept])) > 1 and bool(y.size) and bool(np.ptp(y) > 0)

    def explained(self, gene: int, regulators: Array) -> float:
        """1 - SSE / SST of the gene over the groups left out in turn, at least LEAST; 0 for no regulator."""
        if not len(regulators):
            return 0.0
        kept = self.target != gene
        X, y, groups = self._take(regulators)[kept], self._take([gene])[kept, 0], self.groups[kept]
        error = total = 0.0
        for group in np.unique(groups):
            test = groups == group
            predicted = ridge(X[~test], y[~test], X[test], ALPHA)
            error += float(((y[test] - predicted) ** 2).sum())
            total += float(((y[test] - y[~test].mean()) ** 2).sum())
        return max(1 - error / total, LEAST) if total > 0 else float("nan")

    def _take(self, genes: Array | list[int]) -> Array:
        part: Any = self.X[:, genes]
        return np.asarray(part.todense() if sp.issparse(part) else part, dtype=np.float64)


def ridge(X: Array, y: Array, X_new: Array, alpha: float, scaled: bool = True) -> Array:
    """Predictions of a ridge regression with a free intercept, float64 ``(n_new,)``.

    ``scaled`` brings predictors to unit variance over ``X`` first (a constant one to 0). Minimises
    ``|y - Xw - b|^2 + alpha |w|^2`` (Hoerl and Kennard 1970, doi:10.1080/00401706.1970.10488634).
    """
    centre = X.mean(axis=0)
    spread = X.std(axis=0) if scaled else np.ones(X.shape[1])
    spread = np.where(spread > 1e-12, spread, np.inf)
    A, level = (X - centre) / spread, y.mean()
    gram = A.T @ A
    gram[np.diag_indices_from(gram)] += alpha
    weights = np.linalg.solve(gram, A.T @ (y - level))
    predicted: Array = (X_new - centre) / spread @ weights + level
    return predicted


def pseudobulk(cells: sp.csr_matrix, bulk: Array) -> Array:
    """Mean profile of the cells of each bulk, float32 ``(n_bulks, n_genes)``; ``bulk`` int64 ``(n,)``.

    What ``Samples.X`` is best made of: a few hundred rows, whatever the number of cells.
    """
    members = sp.csr_matrix((np.ones(len(bulk)), (bulk, np.arange(len(bulk)))), dtype=np.float64)
    sums = np.asarray((members @ cells.astype(np.float64)).todense())
    means: Array = (sums / np.bincount(bulk)[:, None]).astype(np.float32)
    return means
