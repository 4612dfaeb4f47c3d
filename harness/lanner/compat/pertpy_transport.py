"""pertpy 1.0.3: entropic optimal transport between predicted and true cells, as OTT-JAX solves it."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from lanner.compat import Pair, PeerValues
from lanner.compat.pertpy_means import distance

Array = np.ndarray[Any, Any]

SHARE_OF_DEVIATION = 0.05
THRESHOLD, EVERY, AT_MOST = 1e-3, 10, 2000


@distance(
    id="pertpy/wasserstein",
    family="w2",
    estimator="Sinkhorn on squared Euclid, epsilon 0.05 of the costs' standard deviation, stopped at 1e-3",
    needs=("cells",),
    faults="a cost of squared distances, not a distance; not 0 for equal distributions, since entropy is "
    "included; epsilon follows the prediction; 1 where it is not finite",
)
def wasserstein(pair: Pair) -> PeerValues:
    """Regularised transport cost ``<P, C> + epsilon KL(P | a b)`` of uniform cells, by log-domain Sinkhorn.

    C is squared Euclid; epsilon 0.05 standard deviations of C. Potentials are updated in turn until the
    second marginal is within 1e-3 in sum, which is looked at every 10 rounds; at most 2,000 rounds. Cuturi
    2013, as OTT-JAX does it.
    """
    values = [
        sinkhorn(cdist(*(side.cells(p).toarray() for side in (pair.truth, pair.prediction)), "sqeuclidean"))
        for p in range(len(pair.perturbations))
    ]
    return PeerValues(values=np.array(values))


def sinkhorn(cost: Array) -> float:
    """Dual value of the regularised problem with uniform weights, float64."""
    n, m = cost.shape
    epsilon = SHARE_OF_DEVIATION * float(cost.std())
    if epsilon <= 0:
        return 1.0  # the peer divides by it and replaces what is not finite
    scaled = -cost / epsilon
    f, g = np.zeros(n), np.zeros(m)
    for done in range(1, AT_MOST + 1):
        g = -np.log(m) - _log_sum(scaled + f[:, None], 0)
        f = -np.log(n) - _log_sum(scaled + g[None, :], 1)
        if done % EVERY == 0:
            marginal = np.exp(_log_sum(scaled + f[:, None], 0) + g)
            if np.abs(marginal - 1.0 / m).sum() < THRESHOLD:
                break
    mass = float(np.exp(_log_sum(scaled + g[None, :], 1) + f).sum())
    return epsilon * float(f.mean() + np.log(n) + g.mean() + np.log(m) + 1.0 - mass)


def _log_sum(values: Array, axis: int) -> Array:
    """``log sum exp``, shifted by the greatest value."""
    top = values.max(axis=axis, keepdims=True)
    return np.asarray(np.log(np.exp(values - top).sum(axis=axis)) + top.squeeze(axis))
