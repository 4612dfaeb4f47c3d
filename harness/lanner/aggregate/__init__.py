"""From per-condition values to the rows of a leaderboard: means, intervals, skill, and what may be claimed.

A row depends on one method's runs and on the bounds of their splits, never on other methods (metrics.md
sections 2 and 5).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lanner.aggregate.intervals import Estimate, interval
from lanner.aggregate.pooling import Pooled, Scored, pool, unscored
from lanner.aggregate.resampling import GENE, Resampling, resampling_of
from lanner.aggregate.significance import difference
from lanner.aggregate.skill import above_duplicate, informative, skill
from lanner.aggregate.strata import effect_sizes, seen_singles, stratified
from lanner.aggregate.worst_of import standings, with_composites
from lanner.cards import CARDS, ROLES, Scorecard

__all__ = ["Scored", "aggregate", "bootstrap_seed", "standings", "unscored"]

Array = np.ndarray[Any, Any]


def bootstrap_seed(runs: Sequence[Scored]) -> str:
    """What every draw over these runs' conditions is seeded by: their splits, and nothing of the method."""
    return "\n".join(sorted({run.split for run in runs}))


def aggregate(runs: Sequence[Scored], stratify: Collection[str] = ()) -> list[dict[str, Any]]:
    """Rows, one per metric and variant, of one method on one split design.

    Parameters
    ----------
    runs
        The method's runs: all folds or strata of the design and all seeds; a failed run takes part with a
        frame of ``unscored``. Conditions of several folds are pooled; seeds and repeats of one condition are
        averaged and add no n.

    stratify
        Metric ids whose rows carry strata.

    Returns
    -------
    JSON-ready rows in the order of the frames: metric, version, card (sha256), variant, status (scored |
    unscorable | not_applicable), n (conditions), n_answered, n_undefined, n_unanswered, coverage and
    undefined_share (of n), value, answered_only, median, interval ([low, high] or None), interval_method,
    unit and n_units (what is resampled, and its effective number), sd_seeds, repeats ({n, sd, standard_error}
    or None), negative and positive ({bound: mean}), skill, skill_interval, skill_reason, drf, informative,
    bds, bds_lower, n_bds, above_duplicate ({share, n, flag} or None), difference_to_reference ({value,
    interval}), chance, primary_eligible, residual, component (the metric a composite's row is of), and, for
    ids in ``stratify``, strata ([{by, stratum, n, value, interval, skill, skill_interval}]). Missing numbers
    are None.
    """
    seed_text = bootstrap_seed(runs)
    found = pool(runs)
    mse = next((pooled for pooled in found if (pooled.metric, pooled.variant) == ("mse", "")), None)
    effects, seen = effect_sizes(mse), seen_singles(runs)
    rows = []
    for pooled in found:
        row = _row(pooled, seed_text)
        if pooled.metric in stratify and not pooled.variant:
            cuts = stratified(pooled, effects, seen) if pooled.status == "scored" else ()
            row["strata"] = [
                _stratum(pooled.subset(chosen), seed_text, by, name) for by, name, chosen in cuts
            ]
        rows.append(_plain(row))
    return with_composites(rows)


def _row(pooled: Pooled, seed_text: str) -> dict[str, Any]:
    card = CARDS[pooled.metric]
    applicable = pooled.status != "not_applicable"
    if not applicable:
        pooled = replace(pooled, values=np.full(len(pooled.values), np.nan))
    resampling = resampling_of(pooled.perturbations, pooled.contexts, seed_text)
    complete = _complete(pooled)
    verdict = informative(pooled)
    return {
        "metric": pooled.metric,
        "version": card.version,
        "card": card.sha256,
        "variant": pooled.variant,
        "status": pooled.status,
        "n": len(pooled.values),
        "n_answered": pooled.n_answered,
        "n_undefined": pooled.n_undefined,
        "n_unanswered": pooled.n_unanswered,
        "coverage": _share(len(pooled.values) - pooled.n_unanswered, len(pooled.values)),
        "undefined_share": _share(pooled.n_undefined, len(pooled.values)),
        **_estimate(pooled, card, resampling),
        "answered_only": _mean(pooled.answered_only) if applicable else None,
        "median": np.median(pooled.values) if complete else None,
        "unit": resampling.unit.replace(GENE, card.unit) if len(pooled.values) else None,
        "n_units": resampling.n_units if len(pooled.values) else None,
        "sd_seeds": pooled.sd_seeds if complete else None,
        "repeats": pooled.repeats if complete else None,
        "negative": {name: _mean(column) for name, column in pooled.negative.items()},
        "positive": {name: _mean(column) for name, column in pooled.positive.items()},
        **verdict,
        "above_duplicate": above_duplicate(
            pooled, card, telling=complete and verdict["informative"] == "informative"
        ),
        "difference_to_reference": _difference(pooled, card, resampling),
        "chance": _mean(pooled.chance),
        "primary_eligible": len(pooled.values) >= card.min_conditions,
        "residual": pooled.residual if card.requires == "cells" else None,
        "component": None,
    }


def _stratum(pooled: Pooled, seed_text: str, by: str, name: str) -> dict[str, Any]:
    resampling = resampling_of(pooled.perturbations, pooled.contexts, seed_text)
    estimate = _estimate(pooled, CARDS[pooled.metric], resampling)
    kept = ("value", "interval", "skill", "skill_interval")
    return {"by": by, "stratum": name, "n": len(pooled.values), **{key: estimate[key] for key in kept}}


def _estimate(pooled: Pooled, card: Scorecard, resampling: Resampling) -> dict[str, Any]:
    """Mean, interval and skill."""
    complete = _complete(pooled)
    estimate = interval(pooled.values, resampling) if complete else Estimate(None, "no value")
    return {
        "value": pooled.values.mean() if complete else None,
        "interval": estimate.interval,
        "interval_method": estimate.method,
        **skill(pooled, card, resampling, complete=complete),
    }


def _complete(pooled: Pooled) -> bool:
    return len(pooled.values) > 0 and bool(np.isfinite(pooled.values).all())


def _difference(pooled: Pooled, card: Scorecard, resampling: Resampling) -> dict[str, Any] | None:
    """Paired difference to the reference, in units of the metric, on all conditions.

    Of a metric whose best value lies in the middle it is the difference of the distances to it; what
    describes the truth has none.
    """
    reference = next((column for name, column in pooled.negative.items() if ROLES[name].reference), None)
    if reference is None or not _complete(pooled) or not np.isfinite(reference).all():
        return None
    if card.better == "neither":
        return None
    apart = card.sign * difference(card.merit(pooled.values), card.merit(reference))
    return {"value": apart.mean(), "interval": interval(apart, resampling).interval}


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _mean(values: Array) -> Any:
    """Mean of the finite values, or None."""
    finite = values[np.isfinite(values)]
    return finite.mean() if len(finite) else None


def _plain(value: Any) -> Any:
    """``value`` as JSON takes it: NumPy numbers as Python's, what is not finite as None."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value
