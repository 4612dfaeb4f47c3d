"""Two-sample t statistics from means and variances, as scanpy computes them; and limma's moderated one."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import digamma, polygamma

from lanner.compat import Side

__all__ = ["moderated", "overestimated", "welch", "welch_to_control"]

Array = np.ndarray[Any, Any]


def welch(
    mean: Array, variance: Array, n: Array, other_mean: Array, other_variance: Array, other_n: Array | int
) -> tuple[Array, Array]:
    """Welch's t and its two-sided p, float64; t is 0 and p is 1 where both groups are constant and equal.

    Arguments broadcast; variances have N - 1 denominators. Infinite t is kept, as scanpy keeps it.
    """
    from scipy.stats import ttest_ind_from_stats

    with np.errstate(all="ignore"):
        t, p = ttest_ind_from_stats(
            mean, np.sqrt(variance), n, other_mean, np.sqrt(other_variance), other_n, equal_var=False
        )
    return np.nan_to_num(t, nan=0.0, posinf=np.inf, neginf=-np.inf), np.where(np.isnan(p), 1.0, p)


def overestimated(
    mean: Array, variance: Array, n: Array, other_mean: Array, other_variance: Array
) -> tuple[Array, Array]:
    """scanpy's ``t-test_overestim_var``: Welch as if the other group had no more cells than the first."""
    return welch(mean, variance, n, other_mean, other_variance, n)


def welch_to_control(side: Side, control: Side) -> tuple[Array, Array]:
    """Welch's t and p of every perturbation of ``side`` against the control of ``control``, ``(P, G)``."""
    return welch(
        side.means(),
        side.variances(),
        side.n_cells()[:, None],
        control.control_mean()[None, :],
        control.control_variance()[None, :],
        control.n_control(),
    )


def moderated(
    mean: Array, variance: Array, n: int, other_mean: Array, other_variance: Array, other_n: int
) -> Array:
    """Two-sided p of limma's moderated t for one comparison of two groups, float64 ``(G,)``.

    Residual variances of ``~ group`` are shrunk to a common prior whose scale and degrees of freedom come
    from the first two moments of their logarithms (Smyth 2004, doi:10.2202/1544-6115.1027). Constant genes
    get p = 1; variances below 1e-5 of the median are raised to it before the prior is fitted, as in limma.
    """
    from scipy.stats import t as student

    freedom = n + other_n - 2
    pooled = ((n - 1) * variance + (other_n - 1) * other_variance) / freedom
    prior_variance, prior_freedom = _prior(pooled, freedom)
    if np.isinf(prior_freedom):
        posterior, total = np.full_like(pooled, prior_variance), np.inf
    else:
        posterior = (prior_freedom * prior_variance + freedom * pooled) / (prior_freedom + freedom)
        total = prior_freedom + freedom
    # Borrowed degrees of freedom cannot exceed those that all genes have together.
    total = min(total, freedom * len(pooled))
    with np.errstate(all="ignore"):
        t = (mean - other_mean) / np.sqrt(posterior * (1 / n + 1 / other_n))
        p = 2 * student.sf(np.abs(t), total)
    return np.where(np.isnan(p), 1.0, p)


def _prior(variances: Array, freedom: int) -> tuple[float, float]:
    """Scale and degrees of freedom of the scaled inverse chi-square that the variances were drawn from."""
    kept = variances[np.isfinite(variances) & (variances >= 0)]
    if len(kept) < 2:
        return (float(kept[0]) if len(kept) else float("nan")), np.inf
    # limma's floor, whose unit is arbitrary where more than half of the genes are constant.
    kept = np.maximum(kept, 1e-5 * (float(np.median(kept)) or 1.0))
    logs = np.log(kept) - digamma(freedom / 2) + np.log(freedom / 2)
    excess = float(logs.var(ddof=1) - polygamma(1, freedom / 2))
    if excess <= 0:
        return float(kept.mean()), np.inf
    prior_freedom = 2 * _inverse_trigamma(excess)
    scale = np.exp(logs.mean() + digamma(prior_freedom / 2) - np.log(prior_freedom / 2))
    return float(scale), prior_freedom


def _inverse_trigamma(value: float) -> float:
    """The y with trigamma(y) = value > 0, by Newton's method on 1 / trigamma, which is nearly linear."""
    if value > 1e7:
        return float(1 / np.sqrt(value))
    if value < 1e-6:
        return 1 / value
    y = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(polygamma(1, y))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, y))
        y += step
        if -step / y < 1e-10:
            break
    return y
