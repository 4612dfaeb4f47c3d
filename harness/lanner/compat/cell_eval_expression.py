"""cell-eval 0.8.2: means of perturbations, and their distance to control."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from lanner.compat import Pair, PeerMetric, PeerValues, peer_metric
from lanner.compat.rows import pearson

Array = np.ndarray[Any, Any]

OWN_CONTROL = "the prediction is taken against predicted controls, which can be chosen to please"
expression_metric: Callable[..., Callable[[Callable[[Pair], PeerValues]], PeerMetric]] = partial(
    peer_metric,
    peer="cell-eval",
    peer_version="0.8.2",
    citation="cell-eval 0.8.2 (Arc Institute)",
)


def deltas(pair: Pair) -> tuple[Array, Array]:
    """Predicted and true ``mean - mean of that file's own control``, ``(P, G)`` each."""
    predicted = pair.prediction.means() - pair.prediction.control_mean()
    return predicted, pair.truth.means() - pair.truth.control_mean()


@expression_metric(
    id="cell_eval/pearson_delta",
    family="pearson delta",
    reference="each file's own control mean",
    better="higher",
    best=1.0,
    needs=("prediction controls",),
    faults=f"{OWN_CONTROL}; the target gene counts",
)
def pearson_delta(pair: Pair) -> PeerValues:
    """Pearson correlation of predicted and true deltas from control, all genes."""
    return PeerValues(values=pearson(*deltas(pair)), reason="a delta is constant over genes")


@expression_metric(
    id="cell_eval/mse",
    family="mse",
    better="lower",
    best=0.0,
    faults="documented as an error of deltas: it is that of the means, so the control is not used",
)
def mse(pair: Pair) -> PeerValues:
    """Mean over genes of the squared difference of predicted and true mean."""
    return PeerValues(values=((pair.prediction.means() - pair.truth.means()) ** 2).mean(axis=1))


@expression_metric(
    id="cell_eval/mae",
    family="mae",
    better="lower",
    best=0.0,
    faults="documented as an error of deltas: it is that of the means, so the control is not used",
)
def mae(pair: Pair) -> PeerValues:
    """Mean over genes of the absolute difference of predicted and true mean."""
    return PeerValues(values=np.abs(pair.prediction.means() - pair.truth.means()).mean(axis=1))


@expression_metric(
    id="cell_eval/mse_delta",
    family="mse",
    reference="each file's own control mean",
    better="lower",
    best=0.0,
    needs=("prediction controls",),
    faults=OWN_CONTROL,
)
def mse_delta(pair: Pair) -> PeerValues:
    """Mean over genes of the squared difference of predicted and true delta from control."""
    predicted, true = deltas(pair)
    return PeerValues(values=((predicted - true) ** 2).mean(axis=1))


@expression_metric(
    id="cell_eval/mae_delta",
    family="mae",
    reference="each file's own control mean",
    better="lower",
    best=0.0,
    needs=("prediction controls",),
    faults=f"{OWN_CONTROL}; described as a squared error",
)
def mae_delta(pair: Pair) -> PeerValues:
    """Mean over genes of the absolute difference of predicted and true delta from control."""
    predicted, true = deltas(pair)
    return PeerValues(values=np.abs(predicted - true).mean(axis=1))


@expression_metric(
    id="cell_eval/pearson_edistance",
    family="energy",
    reference="each file's own control cells",
    estimator="V-statistic, Euclid, diagonals included",
    better="higher",
    best=1.0,
    needs=("cells", "prediction controls"),
    per="file",
    faults=f"{OWN_CONTROL}; sizes of effects only: prediction and truth are never compared with each other",
)
def pearson_edistance(pair: Pair) -> PeerValues:
    """Pearson correlation, over perturbations, of predicted and true energy distance to control."""
    predicted, true = pair.prediction.energy_to_control(), pair.truth.energy_to_control()
    return PeerValues(
        values=pearson(true[None, :], predicted[None, :]),
        reason="fewer than two perturbations, or a constant distance to control",
    )
