"""cell-eval 0.8.2: the perturbation discrimination score (PDS) in three distances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist
from threadpoolctl import threadpool_limits

from lanner.compat import Pair, PeerValues
from lanner.compat.cell_eval_expression import OWN_CONTROL, deltas, expression_metric

Array = np.ndarray[Any, Any]
FAULTS = (
    f"{OWN_CONTROL}; the query's own target is left out of every distance, so only the true candidate loses "
    "its knock-down, and even constant predictions score above chance on few genes; worst is 1/P, not 0 as "
    "documented; doubles and drugs drop no gene"
)
TIES = "equal distances in sorted order of labels; the peer leaves it to an unstable sort that varies by CPU"

NEAR = 1e-10
"""Share of |x|^2 + |y|^2 within which two distances from inner products may change places by rounding."""


def _score(pair: Pair, distances: Callable[[Array, Array, Array], Array]) -> PeerValues:
    """``1 - rank / P``: rank, from 0, of the true delta among all true ones by distance to the predicted."""
    predicted, true = deltas(pair)
    column = {gene: g for g, gene in enumerate(pair.genes)}
    own = np.array([column.get(label, -1) for label in pair.perturbations])
    # What a query's own gene contributes is taken off afterwards: one matrix product or pass for all queries.
    query = np.where(own >= 0, predicted[np.arange(len(own)), own], 0.0)
    candidates = np.where(own >= 0, true[:, own], 0.0).T
    dropped = np.stack([np.broadcast_to(query[:, None], candidates.shape), candidates])
    with threadpool_limits(1, user_api="blas"):  # the same bits for any number of threads
        found = distances(predicted, true, dropped)
    itself = np.diag(found)[:, None]
    index = np.arange(len(own))
    before = (found < itself) | ((found == itself) & (index[None, :] < index[:, None]))
    return PeerValues(values=1.0 - before.sum(axis=1) / len(own))


def _l1(predicted: Array, true: Array, own: Array) -> Array:
    whole: Array = cdist(predicted, true, "cityblock")
    whole -= np.abs(own[0] - own[1])
    return whole


def _l2(predicted: Array, true: Array, own: Array) -> Array:
    """Squared distances from inner products; term by term those that nearly tie with the own truth's."""
    norms = (predicted**2).sum(axis=1)[:, None] + (true**2).sum(axis=1)[None, :]
    whole: Array = norms - 2.0 * (predicted @ true.T)
    whole -= (own[0] - own[1]) ** 2
    near = np.abs(whole - np.diag(whole)[:, None]) <= NEAR * norms
    for query in np.flatnonzero(near.sum(axis=1) > 1):
        rows = np.flatnonzero(near[query])
        exact = cdist(predicted[query : query + 1], true[rows], "sqeuclidean")[0]
        whole[query, rows] = exact - (own[0, query, rows] - own[1, query, rows]) ** 2
    return whole


def _cosine(predicted: Array, true: Array, own: Array) -> Array:
    dots = predicted @ true.T - own[0] * own[1]
    norms = [
        (predicted**2).sum(axis=1)[:, None] - own[0] ** 2,
        (true**2).sum(axis=1)[None, :] - own[1] ** 2,
    ]
    scale = np.sqrt(np.maximum(norms[0], 0.0) * np.maximum(norms[1], 0.0))
    cosines: Array = np.divide(dots, scale, out=np.zeros_like(dots), where=scale > 0)
    return 1.0 - cosines


def _define(name: str, distances: Callable[[Array, Array, Array], Array], note: str) -> None:
    def discrimination_score(pair: Pair) -> PeerValues:
        return _score(pair, distances)

    discrimination_score.__doc__ = f"""PDS: one minus the share of true deltas nearer to the prediction.

    Distance: {note}. ``1 - rank / P`` with rank from 0 and deltas from each file's own control mean. The gene
    named like the perturbation is left out of all distances of that query.
    """
    expression_metric(
        id=f"cell_eval/discrimination_score_{name}",
        family="pds",
        reference="each file's own control mean",
        ties=TIES,
        better="higher",
        best=1.0,
        needs=("prediction controls",),
        faults=FAULTS,
    )(discrimination_score)


_define("l1", _l1, "sum of absolute differences")
_define("l2", _l2, "Euclid")
_define("cosine", _cosine, "one minus cosine; 1 from a zero vector")
