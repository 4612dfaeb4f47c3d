"""The bounds of networks as a frame: negative ones, the network of the other half, the known edges."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from lanner.cards import CARDS
from lanner.network_scoring.frame import Place, Table, columns_of, joined, places, variants
from lanner.network_scoring.sealed import SealedNetworks

Array = np.ndarray[Any, Any]


def score_bounds(sealed: SealedNetworks, metrics: Sequence[str]) -> pd.DataFrame:
    """Score every bound: the columns of ``score`` and ``bound``, ``kind`` and ``bds``.

    ``bds`` is the share of parts in which a positive bound's unit does better than the same unit of every
    negative bound; one that is drawn stands at its mean, one that is undefined at chance or not at all.
    """
    with threadpool_limits(1):
        negatives, gold = sealed.negatives(), sealed.gold()
        parts: list[dict[str, Array]] = []
        for place in places(sealed, metrics):
            tables = {
                name: _mean_of([place.table([draw] * len(place.truths)) for draw in draws])
                for name, draws in negatives.items()
            }
            positives = {
                "held-out-half": place.table(place.others),
                "gold-standard": place.table([gold] * len(place.truths)) if gold is not None else None,
            }
            for variant, field in variants(place.metric):
                for name, table in tables.items():
                    columns = columns_of(place, variant, getattr(table, field), table)
                    parts.append(_as_bound(columns, name, "negative", np.nan))
                for name, positive in positives.items():
                    table = place.nothing("the dataset knows no network") if positive is None else positive
                    columns = columns_of(place, variant, getattr(table, field), table, positive is not None)
                    won = _beaten(place, field, table, tables.values())
                    parts.append(_as_bound(columns, name, "positive", won))
        return joined(parts)


def _mean_of(tables: Sequence[Table]) -> Table:
    """Several draws of one bound as one: a unit is undefined where it is in all of them."""
    if len(tables) == 1:
        return tables[0]

    def mean(field: str) -> Array:
        stacked = np.stack([getattr(table, field) for table in tables])
        known = np.isfinite(stacked)
        total = np.where(known, stacked, 0.0).sum(axis=0)
        n = known.sum(axis=0)
        means: Array = np.divide(total, n, out=np.full(n.shape, np.nan), where=n > 0)
        return means

    first = tables[0]
    return Table(
        values=mean("values"),
        own=mean("own"),
        scorable=first.scorable,
        chance=first.chance,
        reason=first.reason,
    )


def _as_bound(columns: dict[str, Array], name: str, kind: str, won: Any) -> dict[str, Array]:
    n = len(columns["value"])
    share = np.broadcast_to(np.asarray(won, dtype=np.float64), n).copy()
    share[columns["status"] != "scored"] = np.nan
    bound, kinds = np.full(n, name, dtype=object), np.full(n, kind, dtype=object)
    return {**columns, "bound": bound, "kind": kinds, "bds": share}


def _beaten(place: Place, field: str, table: Table, rivals: Iterable[Table]) -> Any:
    """Share ``(units,)`` of scorable parts in which each unit beats every negative bound's."""
    if not place.units or not table.scorable.any():
        return np.nan
    merit = CARDS[place.metric.card.id].merit
    mine = getattr(table, field)
    wins, compared = np.ones(mine.shape, dtype=bool), np.zeros(mine.shape, dtype=bool)
    for rival in rivals:
        theirs = getattr(rival, field)
        theirs = np.where(np.isnan(theirs), rival.chance, theirs)
        known = ~np.isnan(theirs)
        wins &= ~known | (merit(mine) > merit(theirs))
        compared |= known
    share = np.where(compared & np.isfinite(mine), wins.astype(np.float64), np.nan)
    return share[table.scorable].mean(axis=0)
