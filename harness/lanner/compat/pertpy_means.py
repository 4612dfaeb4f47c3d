"""pertpy 1.0.3: distances between predicted and true mean profile (``Distance``, truth first)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from lanner.compat import Pair, PeerMetric, PeerValues, peer_metric
from lanner.compat.rows import pearson, spearman

Array = np.ndarray[Any, Any]

distance: Callable[..., Callable[[Callable[[Pair], PeerValues]], PeerMetric]] = partial(
    peer_metric,
    peer="pertpy",
    peer_version="1.0.3",
    better="lower",
    best=0.0,
    citation="Heumos et al., pertpy; `pertpy.tools.Distance` 1.0.3, X the truth, Y the prediction",
)
ABSOLUTE = "of mean expression, not of changes: predicting the control is nearly perfect"


def _means(pair: Pair) -> tuple[Array, Array]:
    return pair.truth.means(), pair.prediction.means()


@distance(id="pertpy/euclidean", family="l2")
def euclidean(pair: Pair) -> PeerValues:
    """Euclidean distance of the means; ``root_mean_squared_error`` is the same under another name."""
    true, predicted = _means(pair)
    return PeerValues(values=np.linalg.norm(true - predicted, axis=1))


@distance(
    id="pertpy/root_mean_squared_error",
    family="rmse",
    faults="no mean is taken: it is the Euclidean distance, larger by the square root of the number of genes",
)
def root_mean_squared_error(pair: Pair) -> PeerValues:
    """Euclidean distance of the means, called a root mean squared error."""
    return PeerValues(values=euclidean(pair).values)


@distance(id="pertpy/mse", family="mse")
def mse(pair: Pair) -> PeerValues:
    """Mean over genes of the squared difference of the means."""
    true, predicted = _means(pair)
    return PeerValues(values=((true - predicted) ** 2).mean(axis=1))


@distance(id="pertpy/mean_absolute_error", family="mae")
def mean_absolute_error(pair: Pair) -> PeerValues:
    """Mean over genes of the absolute difference of the means."""
    true, predicted = _means(pair)
    return PeerValues(values=np.abs(true - predicted).mean(axis=1))


@distance(id="pertpy/pearson_distance", family="pearson profile", faults=ABSOLUTE)
def pearson_distance(pair: Pair) -> PeerValues:
    """One minus the Pearson correlation of the means over genes."""
    return PeerValues(values=1.0 - pearson(*_means(pair)), reason="a constant profile")


@distance(id="pertpy/spearman_distance", family="spearman profile", ties="mid-ranks", faults=ABSOLUTE)
def spearman_distance(pair: Pair) -> PeerValues:
    """One minus the Spearman correlation of the means over genes."""
    return PeerValues(values=1.0 - spearman(*_means(pair)), reason="a constant profile")


@distance(
    id="pertpy/kendalltau_distance",
    family="kendall profile",
    ties="tau-b",
    faults=f"{ABSOLUTE}; grows with the square of the number of genes",
)
def kendalltau_distance(pair: Pair) -> PeerValues:
    """``(1 - tau_b) G (G - 1) / 4`` of the means over genes: discordant pairs, were there no ties."""
    from scipy.stats import kendalltau

    genes = len(pair.genes)
    taus = np.array([kendalltau(x, y).statistic for x, y in zip(*_means(pair), strict=True)])
    return PeerValues(values=(1.0 - taus) * genes * (genes - 1) / 4.0, reason="a constant profile")


@distance(id="pertpy/cosine_distance", family="cosine profile", faults=ABSOLUTE)
def cosine_distance(pair: Pair) -> PeerValues:
    """One minus the cosine of the means."""
    true, predicted = _means(pair)
    norms = np.linalg.norm(true, axis=1) * np.linalg.norm(predicted, axis=1)
    cosines = np.full(len(norms), np.nan)
    np.divide((true * predicted).sum(axis=1), norms, out=cosines, where=norms > 0)
    return PeerValues(values=1.0 - cosines, reason="a profile of zeros")


@distance(
    id="pertpy/r2_distance",
    family="r2 profile",
    undefined="constant truth: 0 if predicted exactly, else 1",
    faults=f"{ABSOLUTE}; called a distance, but not symmetric",
)
def r2_distance(pair: Pair) -> PeerValues:
    """``SSE / SST`` of the predicted against the true mean over genes, which is ``1 - R^2``."""
    true, predicted = _means(pair)
    error = ((true - predicted) ** 2).sum(axis=1)
    total = ((true - true.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    values = np.where(error == 0, 0.0, 1.0)
    values[total > 0] = error[total > 0] / total[total > 0]
    return PeerValues(values=values)
