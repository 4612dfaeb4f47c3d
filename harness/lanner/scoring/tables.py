"""Values by truth part, and the tidy frames made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lanner.bounds import BOUNDS, SealedTruth
from lanner.metrics import METRICS, Metric, Values

Array = np.ndarray[Any, Any]

VARIANTS = {
    "": (True, False),
    "@unmasked": (False, False),
    "@all-cells": (True, True),
    "@all-cells.unmasked": (False, True),
}
"""Variant -> (own targets masked, scored against the full truth)."""

Key = tuple[str, str, str]
"""Source, metric id, variant."""


class Table:
    """Values of one source, metric and variant: ``(B, C)`` arrays over truth parts and conditions.

    ``applicable`` ``(C,)`` is False where the source, or the dataset, lacks what the card requires.
    """

    def __init__(self, n_rows: int, n_conditions: int) -> None:
        shape = (n_rows, n_conditions)
        self.values = np.full(shape, np.nan)
        self.scorable = np.zeros(shape, dtype=bool)
        self.chance = np.full(shape, np.nan)
        self.applicable = np.zeros(n_conditions, dtype=bool)
        # By condition: a metric may drop two conditions for two reasons, and either may be scored elsewhere.
        self.undefined = np.full(n_conditions, "", dtype=object)
        self.unscorable = np.full(n_conditions, "", dtype=object)

    @property
    def kept(self) -> Array:
        """Bool ``(C,)``: conditions scorable in the majority of parts."""
        share: Array = self.scorable.mean(axis=0)
        return share > 0.5

    def mean(self, values: Array) -> Array:
        """Mean ``(C,)`` of ``(B, C)`` over scorable parts; NaN where a scorable part has none."""
        n = self.scorable.sum(axis=0)
        total = np.where(self.scorable, values, 0.0).sum(axis=0)
        means: Array = np.divide(total, n, out=np.full(len(n), np.nan), where=n > 0)
        return means


class Tables:
    """All tables of one evaluation, by (source, metric id, variant)."""

    def __init__(
        self, *, n_parts: int, n_conditions: int, sources: Iterable[str], metrics: Sequence[Metric]
    ) -> None:
        self.n_parts = n_parts
        self.items: dict[Key, Table] = {
            (source, metric.card.id, variant): Table(1 if full else n_parts, n_conditions)
            for source in sources
            for metric in metrics
            for variant, (_, full) in VARIANTS.items()
        }

    def put(
        self,
        key: Key,
        values: Values,
        *,
        conditions: Array,
        row: int | None = None,
        exists: Array | None = None,
    ) -> None:
        """Store all rows of one condition, or one row of several where the source ``exists``."""
        table = self.items[key]
        there = np.ones(len(conditions), dtype=bool) if exists is None else exists
        place: Any = (slice(None), conditions[0]) if row is None else (row, conditions)
        found = values.values.cpu().numpy()
        table.values[place] = found if row is None else np.where(there, found, np.nan)
        table.scorable[place] = values.scorable.cpu().numpy()
        chance = METRICS[key[1]].card.chance
        if values.chance is not None:
            table.chance[place] = values.chance.cpu().numpy()
        elif isinstance(chance, int | float):
            table.chance[place] = chance
        table.applicable[conditions] |= there
        table.undefined[conditions], table.unscorable[conditions] = values.undefined, values.unscorable


def scores_frame(truth: SealedTruth, tables: Tables, answered: Array) -> pd.DataFrame:
    """The tidy frame of one prediction; ``answered`` is bool ``(C,)``."""
    return _joined([_columns(truth, key, table, answered) for key, table in tables.items.items()])


def bounds_frame(truth: SealedTruth, tables: Tables) -> pd.DataFrame:
    """The tidy frame of all bounds, with ``bound``, ``kind`` and the share of parts won against negatives."""
    answered = np.ones(len(truth.requests), dtype=bool)
    parts = []
    for (source, metric, variant), table in tables.items.items():
        columns = _columns(truth, (source, metric, variant), table, answered)
        n, kind = len(answered), BOUNDS[source].kind
        columns["bound"], columns["kind"] = np.full(n, source, dtype=object), np.full(n, kind, dtype=object)
        won = kind == "positive"
        columns["bds"] = _beaten(tables, (source, metric, variant)) if won else np.full(n, np.nan)
        parts.append(columns)
    return _joined(parts)


def _joined(parts: Sequence[dict[str, Array]]) -> pd.DataFrame:
    """One frame of all parts; a frame each would take longer to make than the metrics to compute."""
    return pd.DataFrame({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def _columns(truth: SealedTruth, key: Key, table: Table, answered: Array) -> dict[str, Array]:
    _, metric, variant = key
    value = table.mean(table.values)
    status = np.full(len(value), "scored", dtype=object)
    reason = np.full(len(value), "", dtype=object)
    for name, where, why in (
        ("undefined", np.isnan(value), table.undefined),
        ("unanswered", ~answered, "the method did not answer"),
        ("unscorable", ~table.kept, table.unscorable),
        ("not_applicable", ~table.applicable, _missing(truth, metric)),
    ):
        status[where], reason[where] = name, why if isinstance(why, str) else why[where]
    conditions = [request.condition for request in truth.requests]

    def text(values: Iterable[str]) -> Array:
        return np.array(list(values), dtype=object)

    return {
        "metric": np.full(len(value), metric, dtype=object),
        "variant": np.full(len(value), variant, dtype=object),
        "condition": text(condition.id for condition in conditions),
        "request_id": text(request.request_id for request in truth.requests),
        "perturbation": text(condition.perturbation for condition in conditions),
        "context": text(condition.context_id for condition in conditions),
        "value": np.where(status == "scored", value, np.nan),
        "status": status,
        "reason": reason,
        "chance": table.mean(table.chance),
    }


def _missing(truth: SealedTruth, metric: str) -> str:
    card = METRICS[metric].card
    if truth.kind != "cells" and "cells" in (card.requires, card.requires_truth):
        return "the metric needs cells and the dataset has profiles"
    if card.requires == "cells":
        return "the metric needs cells and there are none, nor a declared residual model to draw them with"
    return "there is no second half of the cells to compare with"


def _beaten(tables: Tables, key: Key) -> Array:
    """Share ``(C,)`` of scorable parts in which a positive bound beats every negative bound.

    A negative bound that is undefined stands at chance; without a chance value it is left out. One that is
    drawn anew for each part stands at its mean: the best of many lucky draws would beat anything.
    """
    _, metric, variant = key
    table, merit = tables.items[key], METRICS[metric].card.merit
    wins = np.ones(table.values.shape, dtype=bool)
    compared = np.zeros(table.values.shape, dtype=bool)
    for other in BOUNDS:
        if BOUNDS[other].kind != "negative":
            continue
        rival = tables.items[other, metric, variant]
        values = np.where(np.isnan(rival.values), rival.chance, rival.values)
        if BOUNDS[other].drawn:
            values = np.broadcast_to(rival.mean(values), values.shape)
        known = ~np.isnan(values)
        wins &= ~known | (merit(table.values) > merit(values))
        compared |= known
    share = table.mean(np.where(compared, wins.astype(np.float64), np.nan))
    share[~table.applicable | ~table.kept] = np.nan
    return share
