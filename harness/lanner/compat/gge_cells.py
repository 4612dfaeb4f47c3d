"""GGE 1.0.1 (gge-eval): distances between predicted and true cells, gene by gene and jointly."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist, pdist

from lanner.compat import Pair, PeerMetric, PeerValues, peer_metric

Array = np.ndarray[Any, Any]

VALUES_AT_ONCE = 4_000_000
gge_metric: Callable[..., Callable[[Callable[[Pair], PeerValues]], PeerMetric]] = partial(
    peer_metric,
    peer="GGE",
    peer_version="1.0.1",
    citation="Rubbi et al., GGE, arXiv 2603.11244; gge-eval 1.0.1, space 'raw', mean over genes",
)
cell_metric: Callable[..., Callable[[Callable[[Pair], PeerValues]], PeerMetric]] = partial(
    gge_metric, better="lower", best=0.0, needs=("cells",)
)


def _by_gene(pair: Pair, distances: Callable[[Array, Array], Array]) -> PeerValues:
    """Mean over genes of ``distances`` of true ``(n, b)`` and predicted ``(m, b)`` cells, block by block."""
    values = np.empty(len(pair.perturbations))
    for p in range(len(values)):
        true, predicted = _dense(pair, p)
        block = max(1, VALUES_AT_ONCE // (len(true) + len(predicted)) ** 2)
        parts = [
            distances(true[:, start : start + block], predicted[:, start : start + block])
            for start in range(0, true.shape[1], block)
        ]
        values[p] = np.concatenate(parts).mean()
    return PeerValues(values=values, reason="fewer than two cells")


def _dense(pair: Pair, p: int) -> tuple[Array, Array]:
    true, predicted = (side.cells(p).toarray().astype(np.float64) for side in (pair.truth, pair.prediction))
    return true, predicted


def _between(x: Array, y: Array) -> Array:
    """``|x_i - y_j|`` of every gene, ``(n, m, b)``."""
    return np.asarray(np.abs(x[:, None, :] - y[None, :, :]))


@cell_metric(id="gge/wasserstein_1", family="w1", estimator="exact, one gene at a time")
def wasserstein_1(pair: Pair) -> PeerValues:
    """Mean over genes of the exact one-dimensional Wasserstein-1 distance."""
    return PeerValues(values=pair.wasserstein_by_gene().mean(axis=1))


@cell_metric(
    id="gge/wasserstein_2_fallback",
    family="w2",
    estimator="quantiles of the larger sample size, by linear interpolation",
    faults="used only where geomloss cannot be imported; with it the same name is half the squared distance",
)
def wasserstein_2_fallback(pair: Pair) -> PeerValues:
    """Mean over genes of the root mean squared difference of interpolated quantiles."""

    def distances(x: Array, y: Array) -> Array:
        number = max(len(x), len(y))
        x, y = (_quantiles(np.sort(cells, axis=0), number) for cells in (x, y))
        return np.asarray(np.sqrt(((x - y) ** 2).mean(axis=0)))

    return _by_gene(pair, distances)


def _quantiles(ordered: Array, number: int) -> Array:
    """Rows of ``ordered`` at ``number`` equally spaced places from the first to the last."""
    if len(ordered) == 1:
        return np.repeat(ordered, number, axis=0)
    places = np.linspace(0.0, len(ordered) - 1.0, number)
    lower = np.minimum(places.astype(int), len(ordered) - 2)
    return np.asarray(ordered[lower] + (places - lower)[:, None] * (ordered[lower + 1] - ordered[lower]))


@cell_metric(
    id="gge/energy",
    family="energy",
    estimator="V-statistic, one gene at a time",
    faults="half the energy distance, since geomloss halves it; distances below 1e-4 count as 1e-4; the peer "
    "computes in float32 from inner products",
)
def energy(pair: Pair) -> PeerValues:
    """Mean over genes of ``E|x - y| - E|x - x'| / 2 - E|y - y'| / 2``."""

    def distances(x: Array, y: Array) -> Array:
        means = [np.maximum(_between(*of), 1e-4).mean(axis=(0, 1)) for of in ((x, y), (x, x), (y, y))]
        return np.asarray(means[0] - (means[1] + means[2]) / 2.0)

    return _by_gene(pair, distances)


@cell_metric(
    id="gge/energy_fallback",
    family="energy",
    estimator="V-statistic, one gene at a time, clipped at 0",
    faults="used only where geomloss cannot be imported; twice the number of the same name with it",
)
def energy_fallback(pair: Pair) -> PeerValues:
    """Mean over genes of ``2 E|x - y| - E|x - x'| - E|y - y'|``, no gene below 0."""

    def distances(x: Array, y: Array) -> Array:
        means = [_between(*of).mean(axis=(0, 1)) for of in ((x, y), (x, x), (y, y))]
        found = 2.0 * means[0] - means[1] - means[2]
        return np.where(min(len(x), len(y)) > 1, np.maximum(found, 0.0), np.nan)

    return _by_gene(pair, distances)


@cell_metric(
    id="gge/mmd",
    family="mmd",
    estimator="U-statistic, RBF, one gene at a time, clipped at 0",
    faults="the bandwidth follows the prediction; clipping adds noise upwards; a gene without spread is 0",
)
def mmd(pair: Pair) -> PeerValues:
    """Mean over genes of the unbiased squared RBF-MMD, no gene below 0.

    ``exp(-d^2 / 2 s^2)``, s the median of the positive distances among predicted and true cells of that gene.
    """

    def distances(x: Array, y: Array) -> Array:
        if min(len(x), len(y)) < 2:
            return np.full(x.shape[1], np.nan)
        pooled = np.concatenate([x, y])
        found = np.zeros(x.shape[1])
        spread = np.flatnonzero((pooled != pooled[0]).any(axis=0))
        if len(spread):
            upper = np.triu_indices(len(pooled), 1)
            apart = np.abs(pooled[upper[0]][:, spread] - pooled[upper[1]][:, spread])
            median = np.nanmedian(np.where(apart > 0, apart, np.nan), axis=0)
            x, y = x[:, spread] / median, y[:, spread] / median
            found[spread] = np.maximum(_unbiased(x) + _unbiased(y) - 2.0 * _kernel(x, y).mean(axis=(0, 1)), 0)
        return found

    return _by_gene(pair, distances)


def _kernel(x: Array, y: Array) -> Array:
    return np.asarray(np.exp(-(_between(x, y) ** 2) / 2.0))


def _unbiased(x: Array) -> Array:
    """Mean kernel of distinct cells; that of a cell with itself is 1."""
    return np.asarray((_kernel(x, x).sum(axis=(0, 1)) - len(x)) / (len(x) * (len(x) - 1)))


@cell_metric(
    id="gge/multivariate_mmd",
    family="mmd",
    estimator="U-statistic, RBF, all genes together, clipped at 0",
    faults="the bandwidth follows the prediction; clipping adds noise upwards",
)
def multivariate_mmd(pair: Pair) -> PeerValues:
    """Unbiased squared RBF-MMD of whole cells, not below 0.

    ``exp(-d^2 / 2 s^2)``, s^2 the median of the positive squared distances among predicted and true cells.
    """
    values = np.full(len(pair.perturbations), np.nan)
    for p in range(len(values)):
        x, y = _dense(pair, p)
        if min(len(x), len(y)) > 1:
            squares = [pdist(x, "sqeuclidean"), pdist(y, "sqeuclidean"), cdist(x, y, "sqeuclidean").ravel()]
            apart = np.concatenate(squares)
            scale = np.median(apart[apart > 0]) if (apart > 0).any() else 1.0
            within_x, within_y, between = (np.exp(-square / (2.0 * scale)).mean() for square in squares)
            values[p] = max(within_x + within_y - 2.0 * between, 0.0)
    return PeerValues(values=values, reason="fewer than two cells")
