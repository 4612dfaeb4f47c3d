"""Per-condition values of every method on a split design: what the scatter and the worst conditions show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lanner.aggregate.comparing import parts_of, pooled_by_metric
from lanner.aggregate.strata import effect_sizes, seen_singles
from lanner.cards import CARDS
from lanner.leaderboard.outcomes import by_design, to_pool
from lanner.leaderboard.table import place
from lanner.splits import pooled_as

if TYPE_CHECKING:
    import pandas as pd

    from lanner.aggregate.pooling import Pooled
    from lanner.leaderboard.outcomes import Scored

DIGITS = 6
"""Significant digits of a value in a picture; scores.parquet has them all."""


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """One metric (variant ``""``) on one dataset and split design.

    ``values`` maps a method, or ``(bound) name``, to a value per name, in the metric's unit: seeds averaged,
    and gaps at what they count as in the leaderboard. ``strata`` maps a way to cut (context, effect size,
    seen singles) to a label per name, ``-`` where it has none. ``gains`` maps a method to how much better
    (positive) it is than the best negative bound of that condition.
    """

    place: tuple[str, str, str]
    metric: str
    names: tuple[str, ...]
    strata: Mapping[str, tuple[str, ...]]
    values: Mapping[str, tuple[float | None, ...]]
    gains: Mapping[str, tuple[float, ...]]


def conditions(scored: Sequence[Scored], bounds: Mapping[str, pd.DataFrame]) -> list[Conditions]:
    """All conditions of a board's primary metrics, composites by their parts; hidden splits are left out."""
    grouped: dict[tuple[str, str, str], dict[str, list[Scored]]] = {}
    for group in by_design([item for item in scored if not item.cell.artefact.hidden]):
        cell = group[0].cell
        split = cell.artefact.split
        where = place(
            {
                "dataset": cell.artefact.dataset.entry.id,
                "split": pooled_as(split),
                "design": dict(split.design),
            }
        )
        if any(item.succeeded for item in group):
            grouped.setdefault(where, {})[cell.choice.label] = group
    return [item for where, members in grouped.items() for item in _of_place(where, members, bounds)]


def _of_place(
    where: tuple[str, str, str], members: Mapping[str, list[Scored]], bounds: Mapping[str, pd.DataFrame]
) -> list[Conditions]:
    task = next(iter(members.values()))[0].cell.artefact.definition.task
    wanted = {part for name in task.primary for part in parts_of(name)} | {"mse"} & set(task.metrics)
    runs = {method: to_pool(group, bounds) for method, group in members.items()}
    pooled = {method: pooled_by_metric(items, wanted) for method, items in runs.items()}
    effects = effect_sizes(next((found["mse"] for found in pooled.values() if "mse" in found), None))
    seen = {name: str(count) for items in runs.values() for name, count in seen_singles(items).items()}
    found = []
    for metric in sorted(wanted):
        of_method = {method: parts[metric] for method, parts in pooled.items() if metric in parts}
        if of_method:
            found.append(_of_metric(where, metric, of_method, effects, seen))
    return found


def _of_metric(
    where: tuple[str, str, str],
    metric: str,
    of_method: Mapping[str, Pooled],
    effects: Mapping[str, str],
    seen: Mapping[str, str],
) -> Conditions:
    first = next(iter(of_method.values()))
    merit = CARDS[metric].merit
    floor = np.fmax.reduce([merit(column) for column in first.negative.values()])  # NaN: no such bound
    values = {method: _numbers(pooled.values) for method, pooled in of_method.items()}
    for name, column in {**first.negative, **first.positive}.items():
        values[f"(bound) {name}"] = _numbers(column)
    ways = {
        "context": tuple(first.contexts),
        "effect size": tuple(effects.get(name, "-") for name in first.conditions),
        "seen singles": tuple(seen.get(name, "-") for name in first.conditions),
    }
    return Conditions(
        place=where,
        metric=metric,
        names=first.conditions,
        strata={by: labels for by, labels in ways.items() if len(set(labels)) > 1},
        values={name: column for name, column in values.items() if any(v is not None for v in column)},
        gains={
            method: tuple(float(v) for v in merit(pooled.values) - floor)
            for method, pooled in of_method.items()
        },
    )


def _numbers(column: Any) -> tuple[float | None, ...]:
    return tuple(float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None for value in column.tolist())
