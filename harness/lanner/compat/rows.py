"""Correlations of two matrices row by row, as SciPy defines them for one pair of vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["pearson", "spearman"]

Array = np.ndarray[Any, Any]


def pearson(x: Array, y: Array) -> Array:
    """Pearson correlation of each row of ``(P, G)`` with its partner, float64 ``(P,)``.

    NaN where a row is constant (every entry equal to its first) or has fewer than two entries.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.shape[1] < 2:
        return np.full(len(x), np.nan)
    constant = (x == x[:, :1]).all(axis=1) | (y == y[:, :1]).all(axis=1)
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    dots = np.einsum("pg,pg->p", x, y)
    correlations: Array = np.divide(dots, norms, out=np.full(len(x), np.nan), where=~constant & (norms > 0))
    return np.clip(correlations, -1.0, 1.0)


def spearman(x: Array, y: Array) -> Array:
    """Pearson correlation of mid-ranks, row by row, float64 ``(P,)``; infinite values have ranks too."""
    from scipy.stats import rankdata

    return pearson(rankdata(x, axis=1), rankdata(y, axis=1))
