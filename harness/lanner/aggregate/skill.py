"""What bounds make of a score: skill, dynamic range, whether the metric can tell, leakage suspicion."""

from __future__ import annotations

from typing import Any

import numpy as np

from lanner.aggregate.intervals import (
    MIN_CONDITIONS,
    clopper_pearson_lower,
    interval,
    ratio_interval,
)
from lanner.aggregate.pooling import Pooled
from lanner.aggregate.resampling import Resampling
from lanner.cards import Scorecard

Array = np.ndarray[Any, Any]


def skill(pooled: Pooled, card: Scorecard, resampling: Resampling, *, complete: bool) -> dict[str, Any]:
    """``skill``, ``skill_interval``, ``skill_reason`` and ``drf``.

    Skill is the share of the way from the best negative bound to the positive one: a ratio of means, not
    clipped. The best negative is chosen inside each bootstrap draw; None unless the interval of the
    denominator lies above 0. ``drf`` (dynamic range fraction: Miller 2025, doi:10.1101/2025.10.20.683304) is
    the share of the way from the best negative to a perfect score that the positive bound goes, also of
    means: how much of a metric's range the data can use.
    """
    positive = pooled.anchor
    paired = np.isfinite(positive)
    negatives = [column for column in pooled.negative.values() if np.isfinite(column).all()]
    absent: dict[str, Any] = {"skill": None, "skill_interval": None, "skill_reason": None, "drf": None}
    if card.better == "neither":
        return {**absent, "skill_reason": "it describes the truth"}
    if not paired.any():
        return {**absent, "skill_reason": "no positive bound"}
    if not negatives:
        return {**absent, "skill_reason": "no negative bound"}
    columns = card.merit(np.stack([pooled.values, positive, *negatives], axis=1)[paired])
    resampling = resampling.subset(paired)
    best = int(columns[:, 2:].mean(axis=0).argmax()) + 2
    headroom = columns[:, 1] - columns[:, best]
    absent["drf"] = dynamic_range(headroom.mean(), float(columns[:, best].mean()), card)
    if not complete:
        return {**absent, "skill_reason": "no value"}

    def bottom(means: Array) -> Array:
        under: Array = means[:, 1] - means[:, 2:].max(axis=1)
        return under

    def ratio(means: Array) -> Array:
        under = bottom(means)
        over = means[:, 0] - means[:, 2:].max(axis=1)
        ratios: Array = np.divide(over, under, out=np.full(len(under), np.nan), where=under != 0)
        return ratios

    denominator = interval(headroom, resampling, columns, bottom)
    if denominator.interval is None or denominator.interval[0] <= 0:
        reason = "bound inverted" if denominator.interval else denominator.method
        return {**absent, "skill_reason": reason}
    gained = columns[:, 0] - columns[:, best]
    estimate = ratio_interval(gained, headroom, resampling, columns, ratio)
    return {
        **absent,
        "skill": float(gained.mean() / headroom.mean()),
        "skill_interval": estimate.interval,
    }


def dynamic_range(headroom: float, negative: float, card: Scorecard) -> float | None:
    """``headroom`` over what a perfect score would gain, clipped to [-1, 1] as its authors do.

    ``negative`` is the best negative's mean merit. An unbiased distance may fall below its best value of 0,
    for noise alone.
    """
    room = float(card.merit(np.float64(card.best))) - negative if np.isfinite(card.best) else np.nan
    return float(np.clip(headroom / room, -1, 1)) if room > 0 else None


def informative(pooled: Pooled) -> dict[str, Any]:
    """Whether the duplicate beats every negative bound in more than half of the conditions, at 95 %."""
    shares = pooled.bds[np.isfinite(pooled.bds)]
    n = len(shares)
    answer: dict[str, Any] = {"bds": None, "bds_lower": None, "n_bds": n}
    if n == 0:
        absent = not any(np.isfinite(column).any() for column in pooled.positive.values())
        known = len(pooled.values) > 0 and absent
        return {"informative": "no positive bound" if known else "not assessable", **answer}
    answer["bds"] = float(shares.mean())
    answer["bds_lower"] = clopper_pearson_lower(float(shares.sum()), n)
    if n < MIN_CONDITIONS:
        return {"informative": "not assessable", **answer}
    return {"informative": "informative" if answer["bds_lower"] > 0.5 else "not informative", **answer}


def above_duplicate(pooled: Pooled, card: Scorecard, *, telling: bool) -> dict[str, Any] | None:
    """On which share of conditions the method beats the duplicate, and whether that is suspicious.

    Half of the held-out cells predict the other half; who does better on most conditions has probably seen
    them (metrics.md section 5). Where a metric is not informative the duplicate loses to a mean by its own
    noise, and beating it says nothing: ``telling`` False never flags.
    """
    positive = pooled.anchor
    paired = np.isfinite(positive) & np.isfinite(pooled.values)
    if card.better == "neither" or not paired.any():
        return None
    share = float(np.mean(card.merit(pooled.values[paired]) > card.merit(positive[paired])))
    flag = telling and int(paired.sum()) >= MIN_CONDITIONS and share > 0.5
    return {"share": share, "n": int(paired.sum()), "flag": flag}
