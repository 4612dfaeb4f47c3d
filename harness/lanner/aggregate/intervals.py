"""Intervals over conditions whose resampling unit is the target gene (metrics.md section 5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import beta
from scipy.stats import t as student

from lanner.records import COMBINATION, derived_seed

Array = np.ndarray[Any, Any]

DRAWS = 2000
LEVEL = 0.95
MIN_CONDITIONS = 6
"""Fewer give points without interval, no skill, and leave a metric not assessable."""
MAX_T = 20
"""Up to this many conditions Student's t, above it BCa."""
MIN_UNITS = 6
"""Fewer genes, or contexts, cannot be resampled."""


class Estimate(NamedTuple):
    """An interval ``[low, high]`` and how it was made, or None and why there is none."""

    interval: list[float] | None
    method: str


class Resampling:
    """Bootstrap and jackknife weights of conditions.

    Units are target genes: each draws a multinomial count, and a condition weighs the product of its targets'
    counts (w_A w_B for a double), so that all conditions of a gene come and go together; all contexts and
    doses of a perturbation share its weight. With 6 or more contexts, or a single unit, contexts are drawn
    too and multiply (two-way bootstrap); fewer contexts are taken as they are.
    """

    def __init__(self, perturbations: Sequence[str], contexts: Sequence[str], seed_text: str) -> None:
        self._perturbations, self._contexts = tuple(perturbations), tuple(contexts)
        self._seed_text = seed_text

    def subset(self, chosen: Array) -> Self:
        """The same for some of the conditions, bool ``(n,)``."""
        return type(self)(
            [name for name, keep in zip(self._perturbations, chosen, strict=True) if keep],
            [name for name, keep in zip(self._contexts, chosen, strict=True) if keep],
            self._seed_text,
        )

    @cached_property
    def _ways(self) -> list[Array]:
        """Bool ``(n, units)`` for each way conditions are resampled."""
        genes = [set(name.split(COMBINATION)) for name in self._perturbations]
        units = sorted(set().union(*genes))
        ways = [np.array([[unit in own for unit in units] for own in genes], dtype=bool)]
        contexts = sorted(set(self._contexts))
        by_context = np.array([[name == context for context in contexts] for name in self._contexts])
        if len(units) == 1:
            return [by_context]
        return [*ways, by_context] if len(contexts) >= MIN_UNITS else ways

    @property
    def n_units(self) -> int:
        """Units of the smallest way."""
        return min(int(way.shape[1]) for way in self._ways)

    @cached_property
    def bootstrap(self) -> Array:
        """``(DRAWS, n)`` weights that sum to 1; draws that leave no condition are absent."""
        generator = np.random.default_rng(derived_seed(self._seed_text, "bootstrap"))
        weights = np.ones((DRAWS, len(self._perturbations)))
        for way in self._ways:
            units = way.shape[1]
            counts = generator.multinomial(units, np.full(units, 1 / units), DRAWS)
            for unit in range(units):
                weights[:, way[:, unit]] *= counts[:, unit : unit + 1]
        return _normalised(weights)

    @cached_property
    def jackknife(self) -> Array:
        """Weights ``(units, n)`` with one unit left out; sums 1; absent where nothing would remain."""
        left = np.concatenate([~way.T for way in self._ways])
        return _normalised(left.astype(np.float64))


def _normalised(weights: Array) -> Array:
    totals = weights.sum(axis=1, keepdims=True)
    kept = totals[:, 0] > 0
    answer: Array = weights[kept] / totals[kept]
    return answer


def interval(
    values: Array, resampling: Resampling, statistic: Callable[[Array], Array] | None = None
) -> Estimate:
    """95 % interval of the mean of ``values`` ``(n,)``, or of a statistic of weighted means.

    Below 6 conditions none; up to 20 Student's t on ``values``; above, BCa over ``resampling``, with
    ``statistic`` mapping weights ``(K, n)`` to ``(K,)`` (default: the weighted mean of ``values``).
    """
    n = len(values)
    if n < MIN_CONDITIONS:
        return Estimate(None, f"fewer than {MIN_CONDITIONS} conditions")
    if n <= MAX_T:
        half = student.ppf(0.5 + LEVEL / 2, n - 1) * values.std(ddof=1) / np.sqrt(n)
        return Estimate([float(values.mean() - half), float(values.mean() + half)], "t")
    if resampling.n_units < MIN_UNITS:
        return Estimate(None, f"fewer than {MIN_UNITS} resampling units")
    of = statistic or (lambda weights: weights @ values)
    point = float(of(np.full((1, n), 1 / n))[0])
    return Estimate(_bca(point, of(resampling.bootstrap), of(resampling.jackknife)), "BCa")


def _bca(point: float, draws: Array, left_out: Array) -> list[float]:
    """Bias-corrected and accelerated bounds (Efron 1987) from bootstrap draws and jackknife values."""
    draws, left_out = draws[np.isfinite(draws)], left_out[np.isfinite(left_out)]
    # Draws that agree with the point up to rounding count as half below it: constant data give no bias.
    near = np.isclose(draws, point, rtol=1e-12, atol=0)
    below = np.mean(np.where(near, 0.5, draws < point))
    bias = ndtri(np.clip(below, 0.5 / len(draws), 1 - 0.5 / len(draws)))
    influence = left_out.mean() - left_out
    spread = np.sum(influence**2) ** 1.5
    acceleration = np.sum(influence**3) / (6 * spread) if spread > 0 else 0.0
    ends = bias + ndtri(np.array([0.5 - LEVEL / 2, 0.5 + LEVEL / 2]))
    quantiles = ndtr(bias + ends / (1 - acceleration * ends))
    return [float(value) for value in np.quantile(draws, quantiles)]


def clopper_pearson_lower(successes: float, n: int) -> float:
    """Exact 95 % lower bound of a share; ``successes`` may be fractional, being averaged over halvings."""
    return float(beta.ppf(0.5 - LEVEL / 2, successes, n - successes + 1)) if successes > 0 else 0.0
