"""From per-condition values to the rows of a leaderboard: means, intervals, skill, and what may be claimed.

A row depends on one method's runs and on the bounds of their splits, never on other methods (metrics.md
sections 2 and 5).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lanner.aggregate.intervals import MIN_CONDITIONS, Estimate, Resampling, clopper_pearson_lower, interval
from lanner.aggregate.pooling import Pooled, Scored, pool, unscored
from lanner.aggregate.worst_of import standings, with_composites
from lanner.bounds import BOUNDS
from lanner.metrics import METRICS, Card

__all__ = ["Scored", "aggregate", "standings", "unscored"]

Array = np.ndarray[Any, Any]


def aggregate(runs: Sequence[Scored]) -> list[dict[str, Any]]:
    """Rows, one per metric and variant, of one method on one split design.

    Parameters
    ----------
    runs
        The method's runs: all folds or strata of the design and all seeds; a failed run takes part with a
        frame of ``unscored``. Conditions of several folds are pooled; seeds and repeats of one condition are
        averaged and add no n.

    Returns
    -------
    JSON-ready rows in the order of the frames: metric, version, card (sha256), variant, status (scored |
    unscorable | not_applicable), n (conditions), n_answered, n_undefined, n_unanswered, coverage and
    undefined_share (of n), value, answered_only, median,
    interval ([low, high] or None), interval_method, sd_seeds, negative and positive ({bound: mean}), skill,
    skill_interval, skill_reason, informative, bds, bds_lower, n_bds, difference_to_train_mean ({value,
    interval}), chance, primary_eligible, residual, component (the metric a composite's row is of). Missing
    numbers are None.
    """
    seed_text = "\n".join(sorted({run.split for run in runs}))
    return with_composites([_row(pooled, seed_text) for pooled in pool(runs)])


def _row(pooled: Pooled, seed_text: str) -> dict[str, Any]:
    card = METRICS[pooled.metric].card
    applicable = pooled.status != "not_applicable"
    values = pooled.values if applicable else np.full(len(pooled.values), np.nan)
    complete = len(values) > 0 and bool(np.isfinite(values).all())
    resampling = Resampling(pooled.perturbations, pooled.contexts, seed_text)
    estimate = interval(values, resampling) if complete else Estimate(None, "no value")
    row: dict[str, Any] = {
        "metric": pooled.metric,
        "version": card.version,
        "card": card.sha256,
        "variant": pooled.variant,
        "status": pooled.status,
        "n": len(pooled.values),
        "n_answered": pooled.n_answered,
        "n_undefined": pooled.n_undefined,
        "n_unanswered": pooled.n_unanswered,
        "coverage": _share(len(values) - pooled.n_unanswered, len(values)),
        "undefined_share": _share(pooled.n_undefined, len(values)),
        "value": _number(values.mean()) if complete else None,
        "answered_only": _mean(pooled.answered_only) if applicable else None,
        "median": _number(np.median(values)) if complete else None,
        "interval": estimate.interval,
        "interval_method": estimate.method,
        "sd_seeds": _number(pooled.sd_seeds) if complete else None,
        "negative": {name: _mean(column) for name, column in pooled.negative.items()},
        "positive": {name: _mean(column) for name, column in pooled.positive.items()},
        **_skill(values, pooled, card, resampling, complete=complete),
        **_informative(pooled),
        "difference_to_train_mean": _difference(values, pooled, card, resampling, complete=complete),
        "chance": _mean(pooled.chance),
        "primary_eligible": len(pooled.values) >= card.min_conditions,
        "residual": pooled.residual if card.requires == "cells" else None,
        "component": None,
    }
    return row


def _skill(
    values: Array, pooled: Pooled, card: Card, resampling: Resampling, *, complete: bool
) -> dict[str, Any]:
    """Share of the way from the best negative to the positive bound: a ratio of means, not clipped."""
    anchor = next((name for name in pooled.positive if BOUNDS[name].anchors), None)
    positive = pooled.positive[anchor] if anchor else np.full(len(values), np.nan)
    negatives = [column for column in pooled.negative.values() if np.isfinite(column).all()]
    paired = np.isfinite(positive)
    reason = None
    if not complete:
        reason = "no value"
    elif card.better == "neither":
        reason = "it describes the truth"
    elif not paired.any():
        reason = "no positive bound"
    elif not negatives:
        reason = "no negative bound"
    elif paired.sum() < MIN_CONDITIONS:
        reason = f"fewer than {MIN_CONDITIONS} conditions"
    if reason:
        return {"skill": None, "skill_interval": None, "skill_reason": reason}

    columns = card.merit(np.stack([values, positive, *negatives], axis=1)[paired])
    resampling = resampling.subset(paired)

    def means(data: Array) -> tuple[Array, Array]:
        """Numerator and denominator of skill for rows of means; the best negative is chosen in each."""
        best = data[:, 2:].max(axis=1)
        return data[:, 0] - best, data[:, 1] - best

    best = int(columns[:, 2:].mean(axis=0).argmax()) + 2
    headroom = columns[:, 1] - columns[:, best]
    gained = columns[:, 0] - columns[:, best]
    skill = float(gained.mean() / headroom.mean()) if headroom.mean() else np.nan
    denominator = interval(headroom, resampling, lambda weights: means(weights @ columns)[1])
    if denominator.interval is None or denominator.interval[0] <= 0:
        reason = "bound inverted" if denominator.interval else denominator.method
        return {"skill": None, "skill_interval": None, "skill_reason": reason}

    def ratio(weights: Array) -> Array:
        top, bottom = means(weights @ columns)
        ratios: Array = np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom != 0)
        return ratios

    # For the t-interval the ratio is linearised: its influence values have the mean skill and its variance.
    influence = skill + (gained - skill * headroom) / headroom.mean()
    estimate = interval(influence, resampling, ratio)
    return {"skill": _number(skill), "skill_interval": estimate.interval, "skill_reason": None}


def _informative(pooled: Pooled) -> dict[str, Any]:
    """Whether the duplicate beats every negative bound in more than half of the conditions, at 95 %."""
    shares = pooled.bds[np.isfinite(pooled.bds)]
    n = len(shares)
    answer: dict[str, Any] = {"bds": None, "bds_lower": None, "n_bds": n}
    if n == 0:
        absent = not any(np.isfinite(column).any() for column in pooled.positive.values())
        known = len(pooled.values) > 0 and absent
        return {"informative": "no positive bound" if known else "not assessable", **answer}
    answer["bds"] = _number(shares.mean())
    answer["bds_lower"] = _number(clopper_pearson_lower(float(shares.sum()), n))
    if n < MIN_CONDITIONS:
        return {"informative": "not assessable", **answer}
    return {"informative": "informative" if answer["bds_lower"] > 0.5 else "not informative", **answer}


def _difference(
    values: Array, pooled: Pooled, card: Card, resampling: Resampling, *, complete: bool
) -> dict[str, Any] | None:
    """Paired difference to the train-mean bound, in units of the metric, on all conditions.

    Of a metric whose best value lies in the middle it is the difference of the distances to it; what
    describes the truth has none.
    """
    reference = pooled.negative.get("train-mean")
    if reference is None or not complete or not np.isfinite(reference).all() or card.better == "neither":
        return None
    difference = card.sign * (card.merit(values) - card.merit(reference))
    return {"value": _number(difference.mean()), "interval": interval(difference, resampling).interval}


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _mean(values: Array) -> float | None:
    """Mean of the finite values, or None."""
    finite = values[np.isfinite(values)]
    return _number(finite.mean()) if len(finite) else None


def _number(value: Any) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None
