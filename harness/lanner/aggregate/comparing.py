"""Methods against the reference and against each other, on one and the same set of conditions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from lanner.aggregate.intervals import interval
from lanner.aggregate.pooling import Pooled, Scored, pool
from lanner.aggregate.resampling import Resampling, resampling_of
from lanner.aggregate.significance import (
    ALPHA,
    Plan,
    difference,
    first_shares,
    holm,
    p_value,
    planned,
    sign_flip,
)
from lanner.cards import CARDS, ROLES

Array = np.ndarray[Any, Any]

MIN_DATASETS = 6


def parts_of(metric: str) -> tuple[str, ...]:
    """The metrics whose values a metric's comparisons rest on: the components of a composite, else itself."""
    return CARDS[metric].worst_of or (metric,)


def pooled_by_metric(runs: Sequence[Scored], metrics: Collection[str]) -> dict[str, Pooled]:
    """A method's per-condition values of ``metrics``, of those it has on every condition."""
    wanted = [
        replace(
            run,
            scores=run.scores[run.scores["metric"].isin(metrics) & (run.scores["variant"] == "")],
            bounds=run.bounds[run.bounds["metric"].isin(metrics) & (run.bounds["variant"] == "")],
        )
        for run in runs
    ]
    return {
        pooled.metric: pooled
        for pooled in pool(wanted)
        if pooled.status == "scored" and np.isfinite(pooled.values).all()
    }


def reference_of(pooled: Pooled) -> Array | None:
    """Values ``(n,)`` of the negative bound that methods are compared with, None where it has none."""
    return next((column for name, column in pooled.negative.items() if ROLES[name].reference), None)


def compare(parts: Sequence[Mapping[str, Pooled]], seed_text: str) -> dict[str, Any]:
    """What one metric says of several methods on one set of conditions.

    Parameters
    ----------
    parts
        Values by method, once for each component of the metric; every part has the same methods, and all
        methods of a part the same conditions, for the truth alone decides which are scored.
    seed_text
        The splits' hashes, which seed every draw.

    Returns
    -------
    JSON-ready: test ({name, null, unit, n_units} or None) and test_reason; against_reference ({method:
    {gain, interval, p, p_holm, better}}); between ([{methods: [a, b], gain, p, p_holm}] for every pair);
    first_share ({method: share of bootstrap draws in which it is first}, None where nothing can be drawn or
    a composite has no values of its own). ``gain`` is in units of the metric, positive where the (first)
    method is better. Each kind of comparison is a Holm family of its own. ``better`` says that the interval
    and the corrected test agree on it. A method that equals the reference on every condition has no test and
    is not counted in the family: no outcome could reject it (Tarone 1990, doi:10.2307/2531456). A composite
    is better where all of its components are: its p is their largest (intersection-union test; Berger 1982,
    doi:10.1080/00401706.1982.10487790), its gain and interval those of the component with that p.
    """
    found = [_one(methods, seed_text) for methods in parts]
    against = {name: _worst([part[1][name] for part in found]) for name in found[0][1]}
    pairs = {pair: _worst([part[2][pair] for part in found]) for pair in found[0][2]}
    of_single, of_pairs = (
        holm({key: item["p"] for key, item in against.items()}),
        holm({pair: item["p"] for pair, item in pairs.items()}),
    )
    for name, item in against.items():
        item["p_holm"] = of_single[name]
        above = item["interval"] is not None and item["interval"][0] > 0
        item["better"] = above and item["p_holm"] is not None and item["p_holm"] < ALPHA
    plan, _, _, shares = found[0]
    return {
        "test": plan._asdict() if isinstance(plan, Plan) else None,
        "test_reason": None if isinstance(plan, Plan) else plan,
        "against_reference": against,
        "between": [
            {"methods": list(pair), "gain": item["gain"], "p": item["p"], "p_holm": of_pairs[pair]}
            for pair, item in pairs.items()
        ],
        "first_share": shares if len(found) == 1 else None,
    }


_Paired = dict[str, Any]


def _one(
    methods: Mapping[str, Pooled], seed_text: str
) -> tuple[Plan | str, dict[str, _Paired], dict[tuple[str, str], _Paired], dict[str, float] | None]:
    """The test of one metric, paired differences to the reference and of all pairs, shares of firsts."""
    names = sorted(methods)
    some = methods[names[0]]
    if any(methods[name].conditions != some.conditions for name in names):
        raise ValueError(f"methods of {some.metric} were scored on different conditions")
    card = CARDS[some.metric]
    resampling = resampling_of(some.perturbations, some.contexts, seed_text)
    merits = {name: card.merit(methods[name].values) for name in names}
    plan = planned(resampling, len(some.values), card.unit)
    testable = isinstance(plan, Plan)

    def paired(first: Array, second: Array) -> _Paired:
        return _paired(difference(first, second), resampling, seed_text, testable)

    reference = reference_of(some)
    against = {}
    if reference is not None and np.isfinite(reference).all():
        against = {name: paired(merits[name], card.merit(reference)) for name in names}
    pairs = {(a, b): paired(merits[a], merits[b]) for a, b in combinations(names, 2)}
    if not testable:
        return plan, against, pairs, None
    shares = first_shares(np.stack([merits[name] for name in names], axis=1), resampling)
    return plan, against, pairs, dict(zip(names, map(float, shares), strict=True))


def _paired(gain: Array, resampling: Resampling, seed_text: str, testable: bool) -> _Paired:
    return {
        "gain": float(gain.mean()),
        "interval": interval(gain, resampling).interval,
        "p": p_value(gain, resampling, seed_text) if testable else None,
    }


def _worst(items: Sequence[_Paired]) -> _Paired:
    """The component that says least; where components contradict each other nothing is shown."""
    if any(item["p"] is None for item in items):
        return {**items[0], "p": None}
    if len({np.sign(item["gain"]) for item in items}) > 1:
        return {**min(items, key=lambda item: float(item["gain"])), "p": 1.0}
    return dict(max(items, key=lambda item: float(item["p"])))


def beside(parts: Sequence[tuple[Pooled, Mapping[str, Array]]], seed_text: str) -> dict[str, Any]:
    """One method beside others on the conditions of one metric, differences paired by condition.

    Parameters
    ----------
    parts
        Once for each component of the metric: the method's values, and those of the others ``(n,)`` by name,
        on the same conditions and finite.
    seed_text
        The splits' hashes, which seed every draw.

    Returns
    -------
    JSON-ready: test ({name, null, unit, n_units} or None), test_reason, and against ({name: {gain, interval,
    p, p_holm, better}}; positive gains are the method's; Holm's family are the others; of a composite the
    component that says least).
    """
    found, plans = [], []
    for mine, others in parts:
        resampling = resampling_of(mine.perturbations, mine.contexts, seed_text)
        card = CARDS[mine.metric]
        plans.append(planned(resampling, len(mine.values), card.unit))
        testable = isinstance(plans[-1], Plan)
        gains = {
            name: difference(card.merit(mine.values), card.merit(values)) for name, values in others.items()
        }
        found.append(
            {name: _paired(gain, resampling, seed_text, testable) for name, gain in sorted(gains.items())}
        )
    against = {name: _worst([part[name] for part in found]) for name in found[0]}
    corrected = holm({name: item["p"] for name, item in against.items()})
    for name, item in against.items():
        p = item["p_holm"] = corrected[name]
        above = item["interval"] is not None and item["interval"][0] > 0
        item["better"] = above and p is not None and p < ALPHA
    plan = plans[0]
    return {
        "test": plan._asdict() if isinstance(plan, Plan) else None,
        "test_reason": None if isinstance(plan, Plan) else plan,
        "against": against,
    }


def across_datasets(skills: Mapping[str, Mapping[str, float]], seed_text: str) -> dict[str, Any]:
    """What one metric's skills say over datasets; ``skills`` maps method -> dataset -> skill.

    The dataset is the unit: skills of two methods (or of one, against 0, the best negative bound) are paired
    within datasets, and signs are flipped by dataset. Below 6 datasets nothing is tested: no outcome of so
    few could be significant at 5 %.

    Returns
    -------
    JSON-ready: null; above_best_negative ({method: {mean, n, p, p_holm, reason}}); between ([{methods, gain,
    n, p, p_holm, reason}]).
    """

    def tested(values: Sequence[float]) -> dict[str, Any]:
        enough = len(values) >= MIN_DATASETS
        array = np.array(values, dtype=float)
        return {
            "n": len(values),
            "p": sign_flip(array, seed_text) if enough and array.any() else None,
            "reason": None if enough else f"{len(values)} datasets of the {MIN_DATASETS} it takes",
        }

    names = sorted(skills)
    single = {}
    for name in names:
        values = [skills[name][dataset] for dataset in sorted(skills[name])]
        single[name] = {"mean": float(np.mean(values)) if values else None, **tested(values)}
    pairs = {}
    for a, b in combinations(names, 2):
        gains = [skills[a][d] - skills[b][d] for d in sorted(set(skills[a]) & set(skills[b]))]
        pairs[a, b] = {"gain": float(np.mean(gains)) if gains else None, **tested(gains)}
    for family in (single, pairs):
        corrected = holm({key: item["p"] for key, item in family.items()})
        for key, item in family.items():
            item["p_holm"] = corrected[key]
    return {
        "null": "the difference of two skills is as likely to have the opposite sign in each dataset",
        "above_best_negative": single,
        "between": [{"methods": list(pair), **item} for pair, item in pairs.items()],
    }
