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
        self.undefined = ""
        self.unscorable = ""

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
        table.undefined, table.unscorable = values.undefined, values.unscorable


def scores_frame(truth: SealedTruth, tables: Tables, answered: Array) -> pd.DataFrame:
    """The tidy frame of one prediction; ``answered`` is bool ``(C,)``."""
    frames = [_frame(truth, key, table, answered) for key, table in tables.items.items()]
    return pd.concat(frames, ignore_index=True)


def bounds_frame(truth: SealedTruth, tables: Tables) -> pd.DataFrame:
    """The tidy frame of all bounds, with ``bound``, ``kind`` and the share of parts won against negatives."""
    answered = np.ones(len(truth.requests), dtype=bool)
    frames = []
    for (source, metric, variant), table in tables.items.items():
        frame = _frame(truth, (source, metric, variant), table, answered)
        positive = BOUNDS[source].kind == "positive"
        frame["bound"], frame["kind"] = source, BOUNDS[source].kind
        frame["bds"] = _beaten(tables, (source, metric, variant)) if positive else np.nan
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _frame(truth: SealedTruth, key: Key, table: Table, answered: Array) -> pd.DataFrame:
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
        status[where], reason[where] = name, why
    conditions = [request.condition for request in truth.requests]
    return pd.DataFrame(
        {
            "metric": metric,
            "variant": variant,
            "condition": [condition.id for condition in conditions],
            "request_id": [request.request_id for request in truth.requests],
            "perturbation": [condition.perturbation for condition in conditions],
            "context": [condition.context_id for condition in conditions],
            "value": np.where(status == "scored", value, np.nan),
            "status": status,
            "reason": reason,
            "chance": table.mean(table.chance),
        }
    )


def _missing(truth: SealedTruth, metric: str) -> str:
    card = METRICS[metric].card
    if truth.kind != "cells" and "cells" in (card.requires, card.requires_truth):
        return "the metric needs cells and the dataset has profiles"
    if card.requires == "cells":
        return "the metric needs cells and there are none, nor a declared residual model to draw them with"
    return "there is no second half of the cells to compare with"


def _beaten(tables: Tables, key: Key) -> Array:
    """Share ``(C,)`` of scorable parts in which a positive bound beats every negative bound.

    A negative bound that is undefined stands at chance; without a chance value it is left out.
    """
    _, metric, variant = key
    table, sign = tables.items[key], METRICS[metric].card.sign
    wins = np.ones(table.values.shape, dtype=bool)
    compared = np.zeros(table.values.shape, dtype=bool)
    for other in BOUNDS:
        if BOUNDS[other].kind != "negative":
            continue
        rival = tables.items[other, metric, variant]
        values = np.where(np.isnan(rival.values), rival.chance, rival.values)
        known = ~np.isnan(values)
        wins &= ~known | (sign * table.values > sign * values)
        compared |= known
    share = table.mean(np.where(compared, wins.astype(np.float64), np.nan))
    share[~table.applicable | ~table.kept] = np.nan
    return share
