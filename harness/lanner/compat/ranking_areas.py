"""Areas under the curves of one ranking, ties taken together, as scikit-learn computes them."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["average_precision", "roc_auc"]

Array = np.ndarray[Any, Any]


def average_precision(labels: Array, scores: Array) -> float:
    """Sum of precision times the step of recall, over the distinct scores from the top; NaN for one class."""
    true, false = _steps(labels, scores)
    if true[-1] == 0 or false[-1] == 0:
        return float("nan")
    return float((np.diff(true, prepend=0.0) * true / (true + false)).sum() / true[-1])


def roc_auc(labels: Array, scores: Array) -> float:
    """Trapezoid area under true against false positive rate over the distinct scores; NaN for one class."""
    true, false = _steps(labels, scores)
    if true[-1] == 0 or false[-1] == 0:
        return float("nan")
    heights = true + np.concatenate([[0.0], true[:-1]])
    return float((np.diff(false, prepend=0.0) * heights).sum() / (2.0 * true[-1] * false[-1]))


def _steps(labels: Array, scores: Array) -> tuple[Array, Array]:
    """True and false positives at each distinct score, from the highest down; float64."""
    order = np.argsort(-scores, kind="stable")
    scores, labels = scores[order], labels[order].astype(bool)
    ends = np.append(np.flatnonzero(scores[1:] != scores[:-1]), len(scores) - 1)
    true = np.cumsum(labels)[ends].astype(np.float64)
    return true, ends + 1.0 - true
