"""A method beside the baselines on the same conditions: what its author looks at after each change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from scipy.stats import rankdata

from lanner.aggregate import bootstrap_seed
from lanner.aggregate.comparing import beside, parts_of, pooled_by_metric, reference_of
from lanner.aggregate.pooling import Pooled
from lanner.cards import CARDS
from lanner.leaderboard.building import Results
from lanner.leaderboard.digits import rounded
from lanner.leaderboard.outcomes import Scored, by_design, to_pool
from lanner.records import sha256_json
from lanner.runners.predictions import NOT_RERUN
from lanner.splits import pooled_as

FORMAT = "lanner-comparison/1"
WORST = 5

Array = np.ndarray[Any, Any]


def compare_with_baselines(results: Results, asked: Sequence[str]) -> dict[str, Any]:
    """Each method of ``asked`` (labels of rows) beside all others and the bounds, where it was run.

    Returns
    -------
    JSON-ready: format, task, items, one per dataset, split design and method: dataset, split, design, method,
    status, complete, reason, note (of predictions that were not re-run, or None), runs (keys), metrics
    ([{metric, better (than which, of the card), informative, n, value, skill, skill_interval, baselines
    ({name: mean value}), test, test_reason, against}]) and worst ([{condition, standing, gains}], the
    conditions where the method gains least on the task's reference, worst first: standing is the mean over
    primary metrics of the rank of its gain, from 0, the least, to 1; gains are per metric, positive is
    better).
    """
    summaries = {
        (item["dataset"], item["split"], sha256_json(item["design"]), item["method"]): item
        for item in results.document["summaries"]
    }
    groups = list(by_design(results.scored))
    items = []
    for _, place in groupby(groups, key=_place):
        members = {group[0].cell.choice.label: group for group in place}
        items += [
            _item(label, members, summaries[*_place(members[label]), label], results)
            for label in sorted(set(asked) & set(members))
        ]
    document: dict[str, Any] = rounded({"format": FORMAT, "task": results.document["task"], "items": items})
    return document


def _place(group: Sequence[Scored]) -> tuple[str, str, str]:
    split = group[0].cell.artefact.split
    return group[0].cell.artefact.dataset.entry.id, pooled_as(split), sha256_json(split.design)


def _item(
    label: str, members: Mapping[str, Sequence[Scored]], summary: Mapping[str, Any], results: Results
) -> dict[str, Any]:
    shared = ("dataset", "split", "design", "method", "status", "complete", "reason", "runs")
    method = members[label][0].cell.choice.method
    item = {key: summary[key] for key in shared} | {"note": NOT_RERUN if method.predictions else None}
    if summary["scores"] is None:
        return {**item, "metrics": [], "worst": []}
    definition = members[label][0].cell.artefact.definition
    primary = [name for name in definition.metrics if name in definition.task.primary]
    runs = {
        name: to_pool(group, results.bounds)
        for name, group in members.items()
        if any(scored.succeeded for scored in group)
    }
    wanted = {part for name in primary for part in parts_of(name)}
    pooled = {name: pooled_by_metric(items, wanted) for name, items in runs.items()}
    seed_text = bootstrap_seed([run for items in runs.values() for run in items])
    metrics = [
        _metric(name, summary["scores"][name], label, pooled, definition.task.simple, seed_text)
        for name in primary
        if all(part in pooled[label] for part in parts_of(name))
    ]
    return {**item, "metrics": metrics, "worst": list(_worst(pooled[label], primary))}


def _metric(
    name: str,
    score: Mapping[str, Any],
    label: str,
    pooled: Mapping[str, Mapping[str, Pooled]],
    bounds: Sequence[str],
    seed_text: str,
) -> dict[str, Any]:
    parts = [(pooled[label][part], _others(part, label, pooled, bounds)) for part in parts_of(name)]
    common = set.intersection(*(set(others) for _, others in parts))
    parts = [(mine, {other: others[other] for other in common}) for mine, others in parts]
    return {
        "metric": name,
        "better": CARDS[name].better,
        **{key: score[key] for key in ("informative", "n", "value", "skill", "skill_interval")},
        "baselines": {
            other: float(values.mean()) for other, values in sorted(parts[0][1].items()) if len(parts) == 1
        },
        **beside(parts, seed_text),
    }


def _others(
    part: str, label: str, pooled: Mapping[str, Mapping[str, Pooled]], bounds: Sequence[str]
) -> dict[str, Array]:
    """Values of the named bounds and of every other method, where they have one on each condition."""
    mine = pooled[label][part]
    methods = {name: found[part].values for name, found in pooled.items() if name != label and part in found}
    found = {f"{name} (bound)": mine.negative[name] for name in bounds if name in mine.negative} | methods
    return {name: values for name, values in found.items() if np.isfinite(values).all()}


def _worst(mine: Mapping[str, Pooled], primary: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Conditions by the mean rank of the gain on the task's reference over primary metrics, least first."""
    gains: dict[str, dict[str, float]] = {}
    standings: dict[str, list[float]] = {}
    for name in primary:
        found = mine.get(parts_of(name)[0])
        reference = None if found is None else reference_of(found)
        if found is None or reference is None:
            continue
        merit = CARDS[found.metric].merit
        gain = merit(found.values) - merit(reference)
        known = np.isfinite(gain)
        ranks = (rankdata(gain[known]) - 1) / max(1, known.sum() - 1)
        names = [condition for condition, keep in zip(found.conditions, known, strict=True) if keep]
        for condition, value, rank in zip(names, gain[known], ranks, strict=True):
            gains.setdefault(condition, {})[name] = float(value)
            standings.setdefault(condition, []).append(float(rank))
    order = sorted(standings, key=lambda condition: (float(np.mean(standings[condition])), condition))
    for condition in order[:WORST]:
        standing = float(np.mean(standings[condition]))
        yield {"condition": condition, "standing": standing, "gains": gains[condition]}
