"""Coefficient of determination row by row, as scikit-learn defines it for one pair of vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["SKLEARN_R2", "r2_score"]

Array = np.ndarray[Any, Any]
SKLEARN_R2 = "1 - SSE / SST of scikit-learn: where SST is 0, 1 for an exact answer and 0 for any other"


def r2_score(truth: Array, prediction: Array, weights: Array | None = None) -> Array:
    """``1 - SSE / SST`` of each row of ``(P, G)``, float64 ``(P,)``; weights ``(P, G)`` count in both sums.

    SST is taken about the (weighted) mean of ``truth``. Below two entries it is NaN.
    """
    weight = np.ones_like(truth, dtype=np.float64) if weights is None else weights
    if truth.shape[1] < 2:
        return np.full(len(truth), np.nan)
    centre = (weight * truth).sum(axis=1, keepdims=True) / weight.sum(axis=1, keepdims=True)
    # A constant row has a spread of exactly 0, whatever the rounding of its mean.
    centre = np.where((truth == truth[:, :1]).all(axis=1, keepdims=True), truth[:, :1], centre)
    error = (weight * (truth - prediction) ** 2).sum(axis=1)
    spread = (weight * (truth - centre) ** 2).sum(axis=1)
    score = 1.0 - np.divide(error, spread, out=np.ones_like(error), where=spread > 0)
    exact: Array = np.where((spread == 0) & (error == 0), 1.0, score)
    return exact
