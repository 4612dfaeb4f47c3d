"""Open Problems, perturbation prediction (NeurIPS 2023 competition): row-wise error and correlation.

Formulas after openproblems-bio/task_perturbation_prediction, ``mean_rowwise_error`` and
``mean_rowwise_correlation``. The peer's number is the mean over rows of the values given here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lanner.compat import Pair, PeerValues, peer_metric
from lanner.compat.rows import pearson, spearman

Array = np.ndarray[Any, Any]
SPACE = (
    "all genes, the rows of the file: the peer's are sign(logFC) * -log10 p of limma, clipped at 4, one row "
    "per compound and cell type; give files of those, one row per perturbation, to meet its numbers"
)
ZERO = "a prediction of NaN becomes 0"


def rows(pair: Pair) -> tuple[Array, Array]:
    """True and predicted rows (means, where there are several), predicted NaN as 0, ``(P, G)`` each."""
    predicted = pair.prediction.means()
    return pair.truth.means(), np.where(np.isnan(predicted), 0.0, predicted)


def _cosine(true: Array, predicted: Array) -> Array:
    norms = np.linalg.norm(true, axis=1) * np.linalg.norm(predicted, axis=1)
    dots = np.einsum("pg,pg->p", true, predicted)
    cosines: Array = np.divide(dots, norms, out=np.full(len(true), np.nan), where=norms > 0)
    return cosines


def _define(name: str, family: str, words: str, score: Callable[[Array, Array], Array], best: float) -> None:
    similarity = best == 1.0

    def rowwise(pair: Pair) -> PeerValues:
        values = score(*rows(pair))
        return PeerValues(values=np.where(np.isfinite(values), values, 0.0) if similarity else values)

    rowwise.__doc__ = f"{words} of true and predicted row, over genes."
    peer_metric(
        id=f"openproblems/{name}",
        peer="Open Problems",
        peer_version="task_perturbation_prediction 1",
        family=family,
        space=SPACE,
        ties="middle rank" if name.endswith("spearman") else "none",
        undefined="0" if similarity else "none",
        better="higher" if similarity else "lower",
        best=best,
        faults=f"{ZERO}{', and so does an undefined correlation' if similarity else ''}; rows are matched by "
        "position, not by name (here by name); rounded to ten decimals (not here)",
        citation="https://openproblems.bio/results/perturbation_prediction",
    )(rowwise)


_define(
    "mean_rowwise_rmse",
    "rmse",
    "Root mean squared difference (MRRMSE)",
    lambda true, predicted: np.sqrt(((true - predicted) ** 2).mean(axis=1)),
    0.0,
)
_define(
    "mean_rowwise_mae",
    "mae",
    "Mean absolute difference",
    lambda true, predicted: np.abs(true - predicted).mean(axis=1),
    0.0,
)
_define("mean_rowwise_pearson", "pearson profile", "Pearson correlation", pearson, 1.0)
_define("mean_rowwise_spearman", "spearman profile", "Rank correlation", spearman, 1.0)
_define("mean_rowwise_cosine", "cosine profile", "Cosine", _cosine, 1.0)
