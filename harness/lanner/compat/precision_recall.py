"""Precision and recall of one ranking, ties taken together: Davis-Goadrich's curve and the trapezoid."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["davis_goadrich", "precision_at_recall", "trapezoid"]

Array = np.ndarray[Any, Any]


def davis_goadrich(labels: Array, scores: Array) -> float:
    """Area under Davis and Goadrich's curve (ICML 2006, doi:10.1145/1143844.1143874); NaN without a positive.

    Within a block of tied scores false positives grow in proportion to true ones: with a, b the true and all
    calls before the block, t more true ones and k calls for each, it adds
    ``t / k + (a - b / k) / k ln(1 + k t / b)`` of P; ``t / k`` if b = 0, nothing if t = 0.
    """
    true, called, before_true, before_called = _blocks(labels, scores)
    if true[-1] == 0:
        return float("nan")
    gained = true - before_true
    kept = gained > 0
    t, a, b = gained[kept], before_true[kept], before_called[kept]
    k = (called[kept] - b) / t
    growth = np.log1p(np.divide(k * t, b, out=np.zeros_like(t), where=b > 0))
    return float((t / k + (a - b / k) / k * growth).sum() / true[-1])


def trapezoid(labels: Array, scores: Array) -> float:
    """Area under straight lines from (recall 0, precision 1) through every distinct score, or NaN.

    ``yardstick::pr_auc``: a constant score earns (1 + prevalence) / 2. NaN without a positive.
    """
    true, called, _, _ = _blocks(labels, scores)
    if true[-1] == 0:
        return float("nan")
    recall = np.append(0.0, true / true[-1])
    precision = np.append(1.0, true / called)
    return float((np.diff(recall) * (precision[1:] + precision[:-1]) / 2).sum())


def precision_at_recall(labels: Array, scores: Array, recall: float) -> float:
    """Precision where Davis and Goadrich's curve reaches a recall in (0, 1]; NaN without a positive."""
    true, called, before_true, before_called = _blocks(labels, scores)
    if true[-1] == 0:
        return float("nan")
    wanted = recall * true[-1]
    block = int(np.searchsorted(true, wanted, side="left"))
    share = (wanted - before_true[block]) / (true[block] - before_true[block])
    n_called = before_called[block] + share * (called[block] - before_called[block])
    return float(wanted / n_called)


def _blocks(labels: Array, scores: Array) -> tuple[Array, Array, Array, Array]:
    """True and all calls after and before each distinct score, from the highest down; float64."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1)
    true = np.cumsum(labels[order].astype(bool))[ends].astype(np.float64)
    called = ends + 1.0
    return true, called, np.append(0.0, true[:-1]), np.append(0.0, called[:-1])
