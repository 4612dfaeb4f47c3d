"""What depends on the set of methods: ranks, corrected tests, how stable the first place is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import pandas as pd

from lanner.aggregate import bootstrap_seed, standings
from lanner.aggregate.comparing import across_datasets, compare, parts_of, pooled_by_metric
from lanner.cards import CARDS
from lanner.leaderboard.definition import Definition
from lanner.leaderboard.digits import rounded
from lanner.leaderboard.outcomes import Scored, to_pool
from lanner.leaderboard.verdict import BESIDE
from lanner.records import sha256_json


def comparisons(
    groups: Sequence[tuple[Sequence[Scored], Mapping[str, Any]]],
    bounds: Mapping[str, pd.DataFrame],
    definition: Definition,
) -> list[dict[str, Any]]:
    """Comparisons with the keys of the runs they cover; recomputed whenever a method comes or goes.

    ``groups`` holds the cells behind each summary, and the summary, in the summaries' order. Items of kind
    ``methods`` compare the methods of one dataset, split design and primary metric; those of kind
    ``across-datasets`` compare the skills of one primary metric over datasets. Predictions that were not
    re-run take no part: ranks and corrections are of methods anybody can run.
    """
    groups = [(cells, summary) for cells, summary in groups if "note" not in summary]
    primary = [name for name in definition.metrics if name in definition.task.primary]
    found = [
        item for _, place in groupby(groups, key=_place) for item in _methods(list(place), bounds, primary)
    ]
    return found + [_across(groups, name) for name in primary if groups]


def _place(group: tuple[Sequence[Scored], Mapping[str, Any]]) -> tuple[str, str, str]:
    summary = group[1]
    return summary["dataset"], summary["split"], sha256_json(summary["design"])


def _methods(
    place: Sequence[tuple[Sequence[Scored], Mapping[str, Any]]],
    bounds: Mapping[str, pd.DataFrame],
    primary: Sequence[str],
) -> Iterator[dict[str, Any]]:
    members = [(cells, summary) for cells, summary in place if summary["scores"] is not None]
    if not members:
        return
    runs = {summary["method"]: to_pool(cells, bounds) for cells, summary in members}
    seed_text = bootstrap_seed([run for items in runs.values() for run in items])
    wanted = {part for name in primary for part in parts_of(name)}
    pooled = {method: pooled_by_metric(items, wanted) for method, items in runs.items()}
    first = members[0][1]
    for name in primary:
        needed = parts_of(name)
        methods = [
            summary["method"]
            for cells, summary in members
            if all(part in pooled[summary["method"]] for part in needed) and _differs(cells, needed)
        ]
        if not methods:
            continue
        rows = {s["method"]: s["scores"][name] for _, s in members if s["method"] in methods}
        reason = _unranked(name, pooled)
        yield {
            "kind": "methods",
            "dataset": first["dataset"],
            "split": first["split"],
            "design": first["design"],
            "metric": name,
            "ranks": None if reason else _ranks(rows, name),
            "ranks_reason": reason,
            **compare([{method: pooled[method][part] for method in methods} for part in needed], seed_text),
            "runs": sorted(key for _, s in members if s["method"] in methods for key in s["runs"]),
        }


def _differs(cells: Sequence[Scored], metrics: Sequence[str]) -> bool:
    """Whether a row has numbers of its own: one that differs in the residual model alone has them only where
    cells are drawn, and would otherwise count twice in ranks and corrections."""
    drawn = any(CARDS[name].requires == "cells" for name in metrics)
    return drawn or cells[0].cell.choice.other_residual is None


def _unranked(name: str, pooled: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Why a metric gives no ranks here: the one it needs beside it has no value for some method."""
    beside = BESIDE.get(name)
    if beside is None or all(beside in found for found in pooled.values() if name in found):
        return None
    return f"{name} never ranks without {beside} beside it"


def _ranks(rows: Mapping[str, Mapping[str, Any]], metric: str) -> dict[str, float]:
    """1 is best; equal standings (at the digits published) share their mean rank."""
    table = pd.Series({name: -rounded(value) for name, value in standings(metric, rows).items()}, dtype=float)
    return {str(name): float(rank) for name, rank in table.rank(method="average").sort_index().items()}


def _across(groups: Sequence[tuple[Sequence[Scored], Mapping[str, Any]]], metric: str) -> dict[str, Any]:
    """Skills of one metric, where it is informative; several split designs of a dataset are averaged."""
    skills: dict[str, dict[str, list[float]]] = {}
    keys: set[str] = set()
    for _, summary in groups:
        score = (summary["scores"] or {}).get(metric)
        if score and score["skill"] is not None and score["informative"] == "informative":
            skills.setdefault(summary["method"], {}).setdefault(summary["dataset"], []).append(score["skill"])
            keys.update(summary["runs"])
    means = {
        method: {dataset: sum(values) / len(values) for dataset, values in found.items()}
        for method, found in skills.items()
    }
    return {
        "kind": "across-datasets",
        "metric": metric,
        "datasets": sorted({dataset for found in means.values() for dataset in found}),
        **across_datasets(means, metric),
        "runs": sorted(keys),
    }
