"""pertpy 1.0.3: distances between predicted and true cells (``Distance``, truth first).

Left out: ``nb_ll`` (raw counts only), ``classifier_proba`` (unseeded), ``classifier_cp`` (no pair of groups),
``mahalanobis`` (inverts a covariance that has no inverse with more genes than cells),
``mean_var_distribution`` (fails on any expressed gene without variance).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist
from threadpoolctl import threadpool_limits

from lanner.compat import Pair, PeerValues
from lanner.compat.pertpy_means import distance

Array = np.ndarray[Any, Any]
EPSILON = 1e-8


def _cells(pair: Pair, p: int) -> tuple[Array, Array]:
    true, predicted = (side.cells(p).toarray().astype(np.float64) for side in (pair.truth, pair.prediction))
    return true, predicted


def _each(pair: Pair, of: Callable[[Array, Array], float]) -> PeerValues:
    with threadpool_limits(1, user_api="blas"):  # small products: threads would wait for each other
        return PeerValues(values=np.array([of(*_cells(pair, p)) for p in range(len(pair.perturbations))]))


@distance(
    id="pertpy/edistance",
    family="energy",
    estimator="V-statistic, Euclid, diagonals included",
    needs=("cells",),
    faults="grows as cells become fewer; until pertpy 0.10 the name was squared Euclid, 2 G times the mse",
)
def edistance(pair: Pair) -> PeerValues:
    """Energy distance ``2 E|x - y| - E|x - x'| - E|y - y'|`` of whole cells."""
    return PeerValues(values=pair.energy())


@distance(
    id="pertpy/mean_pairwise",
    family="mean pairwise",
    needs=("cells",),
    faults="not 0 for equal distributions, least for cells all at the centre",
)
def mean_pairwise(pair: Pair) -> PeerValues:
    """Mean Euclidean distance between a true and a predicted cell."""
    return _each(pair, lambda x, y: float(cdist(x, y).mean()))


@distance(
    id="pertpy/mmd",
    family="mmd",
    estimator="V-statistic, linear kernel",
    faults="by default linear, the squared Euclidean distance of the means: nothing but the mean counts",
)
def mmd(pair: Pair) -> PeerValues:
    """Squared MMD with the linear kernel: ``|mean x - mean y|^2``."""
    return PeerValues(values=((pair.truth.means() - pair.prediction.means()) ** 2).sum(axis=1))


def _rbf(x: Array, y: Array) -> Array:
    """``exp(-|x - y|^2)`` from inner products, as the peer takes it; 1 for a cell and itself."""
    norms = (x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1)[None, :]
    kernel = np.exp(np.minimum(2.0 * (x @ y.T) - norms, 0.0))
    if x is y:
        np.fill_diagonal(kernel, 1.0)
    return np.asarray(kernel)


def _mmd(kernel: Callable[[Array, Array], Array]) -> Callable[[Array, Array], float]:
    def of(x: Array, y: Array) -> float:
        return float(kernel(x, x).mean() + kernel(y, y).mean() - 2.0 * kernel(x, y).mean())

    return of


@distance(
    id="pertpy/mmd_rbf",
    family="mmd",
    estimator="V-statistic, RBF with gamma 1",
    needs=("cells",),
    faults="with thousands of genes gamma 1 makes distinct cells dissimilar: 1/n + 1/m, whatever they are",
)
def mmd_rbf(pair: Pair) -> PeerValues:
    """Squared MMD with ``exp(-|x - y|^2)``, cells paired with themselves included (``kernel="rbf"``)."""
    return _each(pair, _mmd(_rbf))


@distance(id="pertpy/mmd_poly", family="mmd", estimator="V-statistic, kernel (x . y)^2", needs=("cells",))
def mmd_poly(pair: Pair) -> PeerValues:
    """Squared MMD with ``(x . y)^2``: second moments about zero are compared (``kernel="poly"``)."""
    return _each(pair, _mmd(lambda x, y: np.asarray((x @ y.T) ** 2)))


@distance(
    id="pertpy/sym_kldiv",
    family="kl divergence",
    estimator="a Gaussian for each gene, variance over N, 1e-8 added to each deviation",
    needs=("cells",),
    faults="a gene constant on one side only contributes up to 1e15 and decides the mean",
)
def sym_kldiv(pair: Pair) -> PeerValues:
    """Sum of both Kullback-Leibler divergences of one Gaussian per gene, averaged over genes."""

    def deviations(side: Any) -> tuple[Array, Array]:
        n = np.asarray(side.n_cells(), np.float64)[:, None]
        biased = np.where(n > 1, np.nan_to_num(side.variances()) * (n - 1) / n, 0.0)
        return side.means(), np.sqrt(biased) + EPSILON

    (m1, s1), (m2, s2) = deviations(pair.truth), deviations(pair.prediction)
    both = (s1**2 + (m1 - m2) ** 2) / (2 * s2**2) + (s2**2 + (m1 - m2) ** 2) / (2 * s1**2) - 1.0
    return PeerValues(values=both.mean(axis=1))


@distance(
    id="pertpy/t_test",
    family="t statistic",
    estimator="Welch's t, 1e-8 added to each variance",
    needs=("cells",),
    faults="grows with the number of cells; genes constant on both sides with unequal means contribute 1e4",
)
def t_test(pair: Pair) -> PeerValues:
    """Mean over genes of the absolute Welch t statistic."""
    n = [np.asarray(side.n_cells(), np.float64)[:, None] for side in (pair.truth, pair.prediction)]
    parts = [
        (side.variances() + EPSILON) / k for side, k in zip((pair.truth, pair.prediction), n, strict=True)
    ]
    t = (pair.truth.means() - pair.prediction.means()) / np.sqrt(parts[0] + parts[1])
    return PeerValues(values=np.abs(t).mean(axis=1), reason="fewer than two cells")


@distance(id="pertpy/ks_test", family="ks statistic", estimator="two-sided, two samples", needs=("cells",))
def ks_test(pair: Pair) -> PeerValues:
    """Mean over genes of the two-sample Kolmogorov-Smirnov statistic."""

    def of(x: Array, y: Array) -> float:
        pooled = np.concatenate([x, y])
        order = np.argsort(pooled, axis=0, kind="stable")
        steps = np.where(order < len(x), 1.0 / len(x), -1.0 / len(y))
        ordered = np.take_along_axis(pooled, order, axis=0)
        apart = np.abs(np.cumsum(steps, axis=0))[:-1]
        return float(np.where(ordered[1:] != ordered[:-1], apart, 0.0).max(axis=0).mean())

    return _each(pair, of)
