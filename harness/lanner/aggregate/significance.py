"""Tests of paired differences, whose unit is the target gene, and corrections for many of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np

from lanner.aggregate.intervals import interval, refusal
from lanner.aggregate.resampling import DRAWS, GENE, Resampling
from lanner.records import derived_seed

Array = np.ndarray[Any, Any]
Key = TypeVar("Key")

ALPHA = 0.05
EXACT_UNITS = 16
"""Up to this many units all 2^units signs are tried."""
ROUNDING = 1e-5
"""Relative size below which two scores differ by the rounding of float32 predictions."""

SIGN_FLIP = "the differences of each {unit}, taken together, are as likely to have the opposite sign"
MEAN_ZERO = "the mean difference over {unit}s is 0"


class Plan(NamedTuple):
    """How differences on one condition set are tested: its name, its null hypothesis, its units."""

    name: str
    null: str
    unit: str
    n_units: float


def planned(resampling: Resampling, n: int, gene: str = GENE) -> Plan | str:
    """The test for n conditions, or why there is none; ``gene`` is what the card calls its unit.

    Where every condition belongs to one unit, signs are flipped by unit: exactly for up to 16 units, else in
    10,000 draws. Doubles and two-way grids share units, and no flip leaves their dependence as it is: the
    p-value is then the level at which the interval of the mean difference ends at 0.
    """
    reason = refusal(resampling, n)
    if reason:
        return reason
    unit = resampling.unit.replace(GENE, gene)
    if resampling.label is None:
        name = "bootstrap" if resampling.bootstraps else "t"
        return Plan(name, MEAN_ZERO.format(unit=unit), unit, resampling.n_units)
    units = len(np.unique(resampling.label))
    name = "exact sign-flip" if units <= EXACT_UNITS else f"sign-flip in {DRAWS} draws"
    return Plan(name, SIGN_FLIP.format(unit=unit), unit, units)


def difference(first: Array, second: Array) -> Array:
    """Paired ``first - second`` ``(n,)``; what float32 rounding can explain is 0.

    A score near 0 among larger ones, as of a correlation, is rounded as they are: the mean size counts too.
    """
    apart = first - second
    size = np.maximum(np.abs(first), np.abs(second))
    return np.where(np.abs(apart) <= ROUNDING * np.maximum(size, size.mean()), 0.0, apart)


def p_value(differences: Array, resampling: Resampling, seed_text: str) -> float | None:
    """Two-sided p of ``differences`` ``(n,)`` by the planned test; None where all are 0: nothing to test.

    The level at which an interval ends at 0 is never taken below 1 / (1 + draws): so far out in its tail an
    interval is a formula, not data.
    """
    if not differences.any():
        return None
    if resampling.label is None:
        p = interval(differences, resampling).p
        return None if p is None else max(p, 1 / (1 + DRAWS))
    totals = np.bincount(resampling.label, weights=differences)
    return sign_flip(totals[np.unique(resampling.label)], seed_text)


def sign_flip(totals: Array, seed_text: str) -> float:
    """Two-sided p of the sum of ``totals`` ``(units,)`` under independent random signs (Fisher 1935).

    Exact up to 16 units; beyond, (1 + hits) / (1 + draws), which is valid for any number of draws (Phipson
    and Smyth 2010, doi:10.2202/1544-6115.1585).
    """
    units = len(totals)
    observed = abs(totals.sum()) * (1 - 1e-12)
    if units <= EXACT_UNITS:
        # The first sign is fixed: turning all of them round changes no absolute sum.
        signs: Array = 1 - 2 * ((np.arange(2 ** (units - 1))[:, None] >> np.arange(units)) & 1)
        return float(np.mean(np.abs(signs @ totals) >= observed))
    generator = np.random.default_rng(derived_seed(seed_text, "sign-flip"))
    signs = 1.0 - 2.0 * generator.integers(0, 2, size=(DRAWS, units))
    return float((1 + np.sum(np.abs(signs @ totals) >= observed)) / (1 + DRAWS))


def holm(p: Mapping[Key, float | None]) -> dict[Key, float | None]:
    """Step-down adjusted p-values of one family (Holm 1979); a hypothesis without a test is not counted."""
    tested = sorted(((value, key) for key, value in p.items() if value is not None), key=lambda item: item[0])
    adjusted: dict[Key, float | None] = dict.fromkeys(p)
    largest = 0.0
    for rank, (value, key) in enumerate(tested):
        largest = max(largest, min(1.0, (len(tested) - rank) * value))
        adjusted[key] = largest
    return adjusted


def first_shares(merits: Array, resampling: Resampling) -> Array:
    """Share ``(k,)`` of bootstrap draws in which each column of ``merits`` ``(n, k)`` has the best mean."""
    means = resampling.draws(merits)
    best = means.max(axis=1, keepdims=True)
    first = means >= best - ROUNDING * np.maximum(np.abs(best), np.abs(merits).mean())
    shares: Array = (first / first.sum(axis=1, keepdims=True)).mean(axis=0)
    return shares
