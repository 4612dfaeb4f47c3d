"""Zhu's curves and labels, of the paper and of the script."""

from __future__ import annotations

from functools import partial

import numpy as np
from pairs import MemoryPair
from scipy import stats
from scipy.optimize import brentq
from scipy.special import digamma, polygamma
from sklearn.metrics import precision_recall_curve

from formulas.pereggrn import both
from formulas.slow import (
    REFERENCES,
    Array,
    benjamini_hochberg,
    control,
    each,
    group,
    pearson,
    reference,
    remembered,
    score_of,
    t_of,
)


@remembered
def paper_labels(pair: MemoryPair, p: int) -> Array:
    _, probability = t_of(group(pair.truth, p), pair.truth.controls.astype(np.float64))
    return (probability < 1e-10) & (np.abs(both(pair, p)[0]) > 0.3)


def limma_labels(pair: MemoryPair, p: int) -> Array:
    """lmFit(~ condition), eBayes, BH below 1e-5 and |difference| above 0.3."""
    x, y = group(pair.truth, p), pair.truth.controls.astype(np.float64)
    df = len(x) + len(y) - 2
    residual = [((x[:, g] - x[:, g].mean()) ** 2).sum() for g in range(x.shape[1])]
    other = [((y[:, g] - y[:, g].mean()) ** 2).sum() for g in range(y.shape[1])]
    s2 = (np.array(residual) + np.array(other)) / df
    floored = np.maximum(s2, 1e-5 * (np.median(s2) or 1))
    z = np.log(floored)
    e = z - digamma(df / 2) + np.log(df / 2)
    surplus = ((e - e.mean()) ** 2).sum() / (len(e) - 1) - polygamma(1, df / 2)
    if surplus > 0:
        d0 = 2 * np.exp(brentq(lambda u: polygamma(1, np.exp(u)) - surplus, -20, 20, xtol=1e-13))
        s02 = np.exp(e.mean() + digamma(d0 / 2) - np.log(d0 / 2))
        post, total = (d0 * s02 + df * s2) / (d0 + df), min(d0 + df, df * len(s2))
    else:
        post, total = np.full(len(s2), floored.mean()), df * len(s2)
    t = (x.mean(axis=0) - y.mean(axis=0)) / np.sqrt(post * (1 / len(x) + 1 / len(y)))
    adjusted = benjamini_hochberg(2 * stats.t.cdf(-np.abs(t), total))
    return (adjusted < 1e-5) & (np.abs(both(pair, p)[0]) > 0.3)


def davis_goadrich_curve(labels: Array, scores: Array, steps: int = 4000) -> tuple[Array, Array]:
    """Recall and precision in small steps of true positives; false ones grow in proportion in each block."""
    true, called = [0.0], [0.0]
    for value in sorted(set(scores), reverse=True):
        here = scores == value
        new, false = labels[here].sum(), (~labels[here]).sum()
        parts = np.arange(1, steps + 1) / steps
        true.extend(true[-1] + new * parts)
        called.extend(called[-1] + (new + false) * parts)
    return np.array(true) / labels.sum(), np.array(true)[1:] / np.array(called)[1:]


def davis_goadrich(labels: Array, scores: Array) -> float:
    if not labels.any():
        return np.nan
    recall, precision = davis_goadrich_curve(labels, scores)
    first = precision[0]
    return float((np.diff(recall) * (np.append(first, precision[:-1]) + precision) / 2).sum())


def precision_at(labels: Array, scores: Array, recall: float) -> float:
    if not labels.any():
        return np.nan
    recalls, precision = davis_goadrich_curve(labels, scores)
    return float(precision[np.flatnonzero(recalls[1:] >= recall - 1e-12)[0]])


@remembered
def gated(pair: MemoryPair, p: int) -> Array:
    _, probability = t_of(group(pair.prediction, p), pair.truth.controls.astype(np.float64))
    return np.where(probability < 1e-10, np.abs(both(pair, p)[1]), 0.0)


@reference("zhu/auprc")
def auprc(pair: MemoryPair, p: int) -> float:
    return davis_goadrich(paper_labels(pair, p), gated(pair, p))


@reference("zhu/auprc_ungated")
def auprc_ungated(pair: MemoryPair, p: int) -> float:
    return davis_goadrich(paper_labels(pair, p), np.abs(both(pair, p)[1]))


@reference("zhu/auprc_code")
def auprc_code(pair: MemoryPair, p: int) -> float:
    labels, scores = limma_labels(pair, p), np.abs(both(pair, p)[1])
    if not labels.any():
        return np.nan
    precision, recall, _ = precision_recall_curve(labels, scores)
    return float(-np.trapezoid(precision, recall))


for _percent in (25, 50, 75):
    REFERENCES[f"zhu/precision_at_recall_{_percent}"] = partial(
        each,
        lambda pair, p, at=_percent / 100: precision_at(paper_labels(pair, p), gated(pair, p), at),
    )
for _id, _score in {
    "zhu/r2": score_of(lambda t, p: pearson(t, p) ** 2),
    "zhu/r2_logfc": score_of(lambda t, p: pearson(t, p) ** 2, control),
    "zhu/r2_deg": score_of(
        lambda t, p: pearson(t, p) ** 2, genes=lambda pair, p: np.flatnonzero(paper_labels(pair, p))
    ),
}.items():
    REFERENCES[_id] = partial(each, _score)
