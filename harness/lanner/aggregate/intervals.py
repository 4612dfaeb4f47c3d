"""Intervals over conditions whose resampling unit is the target gene (metrics.md section 5).

What each kind covers is measured by ``benchmarks/coverage.py`` and held by ``tests/unit/test_coverage.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri
from scipy.stats import beta
from scipy.stats import t as student

from lanner.aggregate.resampling import MIN_UNITS, Resampling

Array = np.ndarray[Any, Any]
Statistic = Callable[[Array], Array]
"""Maps means ``(K, k)`` of k columns to ``(K,)``."""

LEVEL = 0.95
MIN_CONDITIONS = 6
"""Fewer give points without interval, no skill, and leave a metric not assessable."""
RELATIVE_ZERO = 1e-12
"""A standard error this small beside its mean is rounding."""


class Estimate(NamedTuple):
    """An interval ``[low, high]`` and how it was made, or None and why there is none.

    ``p`` is two-sided: the level at which the interval would end at 0.
    """

    interval: list[float] | None
    method: str
    p: float | None = None


def interval(
    values: Array,
    resampling: Resampling,
    columns: Array | None = None,
    statistic: Statistic | None = None,
) -> Estimate:
    """95 % interval of the mean of ``values`` ``(n,)``, or of a statistic of which they are the influence.

    None below 6 conditions or effective units. Up to 20 units a t-interval of ``values`` with the
    cluster-robust variance of ``resampling``, (units - 1) degrees of freedom and Hall's correction for
    skewness; above, BCa of ``statistic`` of the bootstrap means of ``columns`` ``(n, k)`` (default: the mean
    of ``values``).
    """
    reason = refusal(resampling, len(values))
    if reason:
        return Estimate(None, reason)
    if resampling.bootstraps:
        data = values[:, None] if columns is None else columns
        return _bca(data, statistic or (lambda means: means[:, 0]), values, resampling)
    pivot = _Pivot.of(values, resampling)
    ends = [pivot.mean - pivot.error * pivot.inverse(end) for end in (pivot.quantile, -pivot.quantile)]
    return Estimate(ends, "t", pivot.p)


def ratio_interval(
    top: Array, bottom: Array, resampling: Resampling, columns: Array, statistic: Statistic
) -> Estimate:
    """95 % interval of mean(``top``) / mean(``bottom``), both ``(n,)``, the denominator positive.

    Up to 20 units Fieller's (1954, doi:10.1111/j.2517-6161.1954.tb00159.x): the ratios r for which the
    interval of mean(top - r bottom) includes 0, which is bounded where the denominator's excludes 0. Above,
    BCa of ``statistic`` of the bootstrap means of ``columns``.
    """
    ratio = float(top.mean() / bottom.mean())
    if resampling.bootstraps:
        influence = ratio + (top - ratio * bottom) / bottom.mean()
        return interval(influence, resampling, columns, statistic)
    reason = refusal(resampling, len(top))
    if reason:
        return Estimate(None, reason)

    def excess(at: float, sign: int) -> float:
        pivot = _Pivot.of(top - at * bottom, resampling)
        return pivot.transformed + sign * pivot.quantile

    ends = [_root(lambda at, sign=sign: excess(at, sign), ratio, sign) for sign in (-1, 1)]  # type: ignore[misc]
    low, high = ends
    return Estimate(None if low is None or high is None else [low, high], "Fieller")


def _root(excess: Callable[[float], float], start: float, sign: int) -> float | None:
    """Where ``excess`` changes its sign on the one side of ``start``; None if nowhere within reach."""
    step = 1e-3 * max(1.0, abs(start))
    at = start
    for _ in range(40):
        further = at + sign * step
        if sign * excess(further) <= 0:
            return float(brentq(excess, *sorted((at, further)), xtol=1e-12))
        at, step = further, 2 * step
    return None


class _Pivot(NamedTuple):
    """A studentised mean, corrected for skewness (Hall 1992, doi:10.1111/j.2517-6161.1992.tb01872.x).

    ``skew`` is the skewness of the mean itself, that of the values over the root of n. Without the correction
    nominal 95 % are 88 % for 6 exponential values.
    """

    mean: float
    error: float
    skew: float
    quantile: float
    freedom: float

    @classmethod
    def of(cls, values: Array, resampling: Resampling) -> _Pivot:
        """The pivot of the mean of ``values`` ``(n,)``."""
        data = values[:, None]
        freedom = resampling.freedom
        return cls(
            mean=float(values.mean()),
            error=float(np.sqrt(resampling.variance(values))),
            skew=6 * _acceleration(resampling.left_out(data)[:, 0]),
            quantile=float(student.ppf(0.5 + LEVEL / 2, freedom)),
            freedom=freedom,
        )

    @property
    def transformed(self) -> float:
        """The studentised mean as a value of Student's t; infinite for constants other than 0."""
        if self.error <= RELATIVE_ZERO * abs(self.mean):
            return float(np.copysign(np.inf, self.mean)) if self.mean else 0.0
        t, k = self.mean / self.error, self.skew
        return t + k * t**2 / 3 + k**2 * t**3 / 27 + k / 6

    @property
    def p(self) -> float:
        """Two-sided."""
        return float(2 * student.sf(abs(self.transformed), self.freedom))

    def inverse(self, end: float) -> float:
        """The studentised mean whose transform is ``end``."""
        k = self.skew
        return end if abs(k) < 1e-9 else float(3 / k * (np.cbrt(1 + k * (end - k / 6)) - 1))


def refusal(resampling: Resampling, n: int) -> str | None:
    """Why n conditions give no interval, or None."""
    if n < MIN_CONDITIONS:
        return f"fewer than {MIN_CONDITIONS} conditions"
    return f"fewer than {MIN_UNITS} resampling units" if resampling.n_units < MIN_UNITS else None


def _bca(columns: Array, statistic: Statistic, influence: Array, resampling: Resampling) -> Estimate:
    """Bias-corrected and accelerated interval (Efron 1987, doi:10.1080/01621459.1987.10478410), made honest.

    Two corrections, without which it is too narrow for few units and too wide for products of weights, which
    count the noise of a double three times (Owen 2007): deviations of the draws are scaled so that those of
    ``influence`` have its cluster-robust standard error, and normal quantiles are replaced by Student's
    (expanded percentiles; Hesterberg 2015, doi:10.1080/00031305.2015.1089789).
    """
    data = np.concatenate([columns, influence[:, None]], axis=1)
    draws, left_out = resampling.draws(data), resampling.left_out(data)
    freedom, error = resampling.freedom, float(np.sqrt(resampling.variance(influence)))
    point = float(statistic(columns.mean(axis=0)[None])[0])
    spread = float(draws[:, -1].std())
    scale = error / spread if spread > 0 else 1.0
    values = statistic(draws[:, :-1])
    values = point + scale * (values[np.isfinite(values)] - point)
    acceleration = _acceleration(statistic(left_out[:, :-1]))
    # Draws that agree with the point up to rounding count as half below it: constant data give no bias.
    bias = _normal_level(values, point)
    ends = bias + student.ppf([0.5 - LEVEL / 2, 0.5 + LEVEL / 2], freedom)
    quantiles = ndtr(bias + ends / (1 - acceleration * ends))
    low, high = (float(value) for value in np.quantile(values, quantiles))
    # The level at which an end is 0: the same transformation, backwards.
    from_bias = _normal_level(values, 0.0) - bias
    z = from_bias / (1 + acceleration * from_bias) - bias
    return Estimate([low, high], "BCa", float(2 * student.sf(abs(z), freedom)))


def _normal_level(draws: Array, at: float) -> float:
    """Normal quantile of the share of draws below ``at``, kept off 0 and 1 by half a draw."""
    near = np.isclose(draws, at, rtol=RELATIVE_ZERO, atol=0)
    share = np.mean(np.where(near, 0.5, draws < at))
    return float(ndtri(np.clip(share, 0.5 / len(draws), 1 - 0.5 / len(draws))))


def _acceleration(left_out: Array) -> float:
    left_out = left_out[np.isfinite(left_out)]
    influence = left_out.mean() - left_out
    spread = float(np.sum(influence**2) ** 1.5)
    return float(np.sum(influence**3)) / (6 * spread) if spread > 0 else 0.0


def clopper_pearson_lower(successes: float, n: int) -> float:
    """Exact 95 % lower bound of a share; ``successes`` may be fractional, being averaged over halvings."""
    return float(beta.ppf(0.5 - LEVEL / 2, successes, n - successes + 1)) if successes > 0 else 0.0
