"""Systema (Nature Biotechnology 2025): agreement with the average perturbation taken out.

Formulas after the paper and a reading of mlbio-epfl/systema at fe087c9; the repository has no licence.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from lanner.compat import Pair, PeerMetric, PeerValues, peer_metric
from lanner.compat.changed_genes import LIST_TIES, non_dropout_20, strongest
from lanner.compat.rows import pearson

Array = np.ndarray[Any, Any]
systema_metric: Callable[..., Callable[[Callable[[Pair], PeerValues]], PeerMetric]] = partial(
    peer_metric, peer="Systema", peer_version="fe087c9", citation="doi:10.1038/s41587-025-02777-8"
)
CONTROL = "control mean of the truth file, for prediction and truth"
ALL_PERTURBED = "unweighted mean of the means of the train perturbations"
DE_20 = (
    "20 genes of largest |Welch t| of true cells against control, without drop-outs (true mean 0 where the "
    "control mean is not)"
)
STAND_IN = (
    "the peer reads GEARS's stored list top_non_dropout_de_20; here the list is computed anew from the truth "
    "file by the same rule"
)
ALL_TRAIN = "the peer's control is that of its train cells: give those as the truth file's control"


def train_mean(pair: Pair) -> Array:
    """Mean of the train perturbations' mean profiles, each counted once, ``(G,)``."""
    if pair.train is None:
        raise ValueError("this metric needs a train file: its reference is the mean of train perturbations")
    mean: Array = pair.train.means().mean(axis=0)
    return mean


def _correlation(pair: Pair, reference: Array) -> Array:
    return pearson(pair.truth.means() - reference, pair.prediction.means() - reference)


def _on_de_20(pair: Pair, score: Callable[[Array, Array], Array], reference: Array) -> Array:
    """A score of two ``(1, n)`` matrices, over each perturbation's own list."""
    true, predicted = pair.truth.means() - reference, pair.prediction.means() - reference
    return np.array(
        [
            score(true[p : p + 1, genes], predicted[p : p + 1, genes])[0]
            for p, genes in enumerate(non_dropout_20(pair))
        ]
    )


def _mse(true: Array, predicted: Array) -> Array:
    mean: Array = ((true - predicted) ** 2).mean(axis=1)
    return mean


CONSTANT = "a change that is the same in all genes"


@systema_metric(
    id="systema/corr_all",
    family="pearson delta",
    reference=CONTROL,
    better="higher",
    best=1.0,
    faults=f"{ALL_TRAIN}; the target gene counts; most of it is the change that all perturbations share",
)
def corr_all(pair: Pair) -> PeerValues:
    """Pearson correlation of predicted and true change from control, all genes."""
    return PeerValues(values=_correlation(pair, pair.truth.control_mean()), reason=CONSTANT)


@systema_metric(
    id="systema/corr_20de",
    family="pearson delta",
    space=DE_20,
    reference=CONTROL,
    ties=LIST_TIES,
    better="higher",
    best=1.0,
    needs=("truth cells",),
    faults=f"{STAND_IN}; {ALL_TRAIN}; the target gene counts",
)
def corr_20de(pair: Pair) -> PeerValues:
    """Pearson correlation of predicted and true change from control, on 20 changed genes."""
    return PeerValues(values=_on_de_20(pair, pearson, pair.truth.control_mean()), reason=CONSTANT)


@systema_metric(
    id="systema/corr_all_allpert",
    family="pearson delta",
    reference=ALL_PERTURBED,
    better="higher",
    best=1.0,
    needs=("train",),
    faults="the target gene counts; the mean that the peer predicts as its baseline is weighted by cells, "
    "its reference is not, so that baseline is not undefined here but noise",
)
def corr_all_allpert(pair: Pair) -> PeerValues:
    """Pearson correlation of predicted and true change from the average train perturbation."""
    return PeerValues(values=_correlation(pair, train_mean(pair)), reason=CONSTANT)


@systema_metric(
    id="systema/corr_20de_allpert",
    family="pearson delta",
    space=DE_20,
    reference=ALL_PERTURBED,
    ties=LIST_TIES,
    better="higher",
    best=1.0,
    needs=("truth cells", "train"),
    faults=f"{STAND_IN}; the published function fails with a NameError, the notebook's formula is used; the "
    "genes are chosen by their change from control, not from the reference",
)
def corr_20de_allpert(pair: Pair) -> PeerValues:
    """Pearson correlation of change from the average train perturbation, on 20 changed genes."""
    return PeerValues(values=_on_de_20(pair, pearson, train_mean(pair)), reason=CONSTANT)


@systema_metric(id="systema/mse_all", family="mse", better="lower", best=0.0)
def mse_all(pair: Pair) -> PeerValues:
    """Mean squared difference of predicted and true mean; the same from any reference."""
    return PeerValues(values=_mse(pair.truth.means(), pair.prediction.means()))


@systema_metric(id="systema/rmse_all", family="rmse", better="lower", best=0.0)
def rmse_all(pair: Pair) -> PeerValues:
    """Root mean squared difference of predicted and true mean; the same from any reference."""
    return PeerValues(values=np.sqrt(_mse(pair.truth.means(), pair.prediction.means())))


@systema_metric(
    id="systema/mse_20de",
    family="mse",
    space=DE_20,
    ties=LIST_TIES,
    better="lower",
    best=0.0,
    needs=("truth cells",),
    faults=STAND_IN,
)
def mse_20de(pair: Pair) -> PeerValues:
    """Mean squared difference of predicted and true mean, on 20 changed genes."""
    return PeerValues(values=_on_de_20(pair, _mse, np.zeros(len(pair.genes))))


@systema_metric(
    id="systema/rmse_20de",
    family="rmse",
    space=DE_20,
    ties=LIST_TIES,
    better="lower",
    best=0.0,
    needs=("truth cells",),
    faults=STAND_IN,
)
def rmse_20de(pair: Pair) -> PeerValues:
    """Root mean squared difference of predicted and true mean, on 20 changed genes."""
    return PeerValues(values=np.sqrt(_on_de_20(pair, _mse, np.zeros(len(pair.genes)))))


@systema_metric(
    id="systema/jaccard",
    family="de overlap",
    space=f"{DE_20}; of the prediction the 20 of largest change of the mean",
    reference=CONTROL,
    ties=LIST_TIES,
    better="higher",
    best=1.0,
    needs=("truth cells",),
    faults=f"{STAND_IN}; the two lists follow different rules, by t and by difference of means, so the truth "
    "itself does not reach 1",
)
def jaccard(pair: Pair) -> PeerValues:
    """Jaccard index of 20 truly changed genes and the 20 that the prediction changes most."""
    changed = strongest(pair.genes, pair.prediction.means() - pair.truth.control_mean())[:, :20]
    found = [
        len(np.intersect1d(true, predicted)) / len(np.union1d(true, predicted))
        for true, predicted in zip(non_dropout_20(pair), changed, strict=True)
    ]
    return PeerValues(values=np.array(found))


@systema_metric(
    id="systema/centroid_accuracy",
    family="pds",
    ties="a candidate as near as the own truth counts as nearer",
    better="higher",
    best=1.0,
    faults="candidates are whatever truths are in the table, here those of the file (the peer may add train "
    "perturbations); ties count against the prediction; the target gene counts",
)
def centroid_accuracy(pair: Pair) -> PeerValues:
    """Share of other true means that are farther from the prediction than its own, Euclid."""
    distances = cdist(pair.prediction.means(), pair.truth.means())
    farther = (distances > np.diag(distances)[:, None]).sum(axis=1).astype(np.float64)
    n = len(distances) - 1
    values = farther / n if n else np.full(1, np.nan)
    return PeerValues(values=values, reason="there is no other perturbation")
