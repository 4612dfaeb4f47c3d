"""Ahlmann-Eltze, Huber and Anders (Nature Methods 2025): errors on the genes that controls express most.

Definitions after const-ae/linear_perturbation_prediction-Paper, commit 092743c (MIT).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from lanner.compat import Pair, PeerMetric, PeerValues, peer_metric
from lanner.compat.rows import pearson

Array = np.ndarray[Any, Any]
N_GENES = 1000
paper_metric: Callable[..., Callable[[Callable[[Pair], PeerValues]], PeerMetric]] = partial(
    peer_metric,
    peer="Ahlmann-Eltze et al.",
    peer_version="092743c",
    space="1,000 genes of highest mean in the truth file's control; all where there are fewer",
    ties="equal means in the order of the file",
    citation="doi:10.1038/s41592-025-02772-6",
)


def highest(pair: Pair) -> Array:
    """Columns of the 1,000 genes of highest control mean."""
    order: Array = np.argsort(-pair.truth.control_mean(), kind="stable")[:N_GENES]
    return np.sort(order)


@paper_metric(
    id="ahlmann_eltze/l2",
    family="l2",
    better="lower",
    best=0.0,
    faults="a length, not a mean: it grows with the number of genes; the target gene counts",
)
def l2(pair: Pair) -> PeerValues:
    """Euclidean distance of predicted and true mean on the 1,000 highest genes."""
    genes = highest(pair)
    return PeerValues(
        values=np.linalg.norm(pair.prediction.means()[:, genes] - pair.truth.means()[:, genes], axis=1)
    )


@paper_metric(
    id="ahlmann_eltze/pearson_delta",
    family="pearson delta",
    reference="control mean of the truth file, for prediction and truth",
    better="higher",
    best=1.0,
    faults="the column is called r2_delta, and an axis R2, but it is Pearson's r; the target gene counts",
)
def pearson_delta(pair: Pair) -> PeerValues:
    """Pearson correlation of predicted and true change from control on the 1,000 highest genes."""
    genes = highest(pair)
    control = pair.truth.control_mean()[genes]
    return PeerValues(
        values=pearson(pair.prediction.means()[:, genes] - control, pair.truth.means()[:, genes] - control),
        reason="a change that is the same in all genes",
    )


@paper_metric(
    id="ahlmann_eltze/pearson",
    family="pearson profile",
    better="higher",
    best=1.0,
    faults="the column is called r2, but it is Pearson's r",
)
def pearson_profile(pair: Pair) -> PeerValues:
    """Pearson correlation of predicted and true mean on the 1,000 highest genes."""
    genes = highest(pair)
    return PeerValues(
        values=pearson(pair.prediction.means()[:, genes], pair.truth.means()[:, genes]),
        reason="a mean that is the same in all genes",
    )
