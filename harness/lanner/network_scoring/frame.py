"""Values per unit as the tidy frame of every task: one row per metric, variant and unit.

Networks' numbers are means over units, ratios of sums over units, or numbers of all pairs. A row holds what
its unit adds to such a number: the jackknife pseudo-value (Tukey 1958; Miller 1974,
doi:10.1093/biomet/61.1.1), shifted so that the mean over units is the number itself. Means, intervals over
resampled units and skill then work as for every other task. The variant ``@own`` has the value of each unit's
own edges, whose mean counts regulators alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from lanner.network_scoring.sealed import SealedNetworks
from lanner.networks import (
    NETWORK_METRICS,
    SCORED,
    UNSCORABLE,
    Network,
    NetworkMetric,
    NetworkTruth,
    NetworkValues,
)

Array = np.ndarray[Any, Any]

OWN = "@own"
EVERYWHERE = "all"
"""Context of units that are judged once for all contexts."""


@dataclass(frozen=True, eq=False)
class Table:
    """Values of one network by one metric in one context: ``(parts, units)`` arrays, NaN where undefined.

    ``reason`` says why, ``chance`` is ``(units,)``; ``scorable`` bool ``(parts,)``. Without units nothing is.
    """

    values: Array
    own: Array
    scorable: Array
    chance: Array
    reason: str


def score(sealed: SealedNetworks, network: Network, metrics: Sequence[str]) -> pd.DataFrame:
    """Score a network: the columns of ``lanner.scoring.score``, a row per metric, variant and unit."""
    with threadpool_limits(1):
        return joined(
            columns_of(place, variant, getattr(table, field), table)
            for place in places(sealed, metrics)
            for table in [place.table([network] * len(place.truths))]
            for variant, field in variants(place.metric)
        )


@dataclass(frozen=True, eq=False)
class Place:
    """A metric in one context: the truths of its parts, the networks of the other halves, and its units."""

    metric: NetworkMetric
    context: str
    truths: tuple[NetworkTruth, ...]
    others: tuple[Network, ...]
    units: tuple[str, ...]
    unscorable: str

    def table(self, networks: Sequence[Network]) -> Table:
        """What the metric says of ``networks[p]`` in part p."""
        seen: dict[tuple[int, int], tuple[NetworkValues, Array]] = {}
        for network, truth in zip(networks, self.truths, strict=True):
            if (
                id(network),
                id(truth),
            ) not in seen:  # what is asked once of all cells has the same in all parts
                found = self.metric(network, truth)
                seen[id(network), id(truth)] = found, self._shares(found)
        both = [seen[id(network), id(truth)] for network, truth in zip(networks, self.truths, strict=True)]
        answers = [found for found, _ in both]
        chances = [np.nan if found.chance is None else found.chance for found in answers]
        scorable = np.array([found.status != UNSCORABLE for found in answers])
        known = np.array(chances, dtype=np.float64)[scorable]
        known = known[np.isfinite(known)]
        own = [_by_name(self.units, found.units, found.values, np.nan) for found in answers]
        return Table(
            values=np.array([shares for _, shares in both]).reshape(len(answers), -1),
            own=np.array(own).reshape(len(answers), -1),
            scorable=scorable,
            chance=np.full(len(self.units), known.mean() if known.size else np.nan),
            reason=next((found.reason for found in answers if found.status != SCORED), "no edge of its own"),
        )

    def nothing(self, reason: str) -> Table:
        """The table of a network that does not exist."""
        none = np.full((len(self.truths), len(self.units)), np.nan)
        here = np.ones(len(self.truths), dtype=bool)
        return Table(values=none, own=none, scorable=here, chance=none[0], reason=reason)

    def _shares(self, found: NetworkValues) -> Array:
        """What each unit adds to the number, ``(units,)``: its own value where the number is their mean."""
        if found.status != SCORED:
            return np.full(len(self.units), np.nan)
        if self.metric.card.pooling == "mean":
            return _by_name(self.units, found.units, found.values, np.nan)
        return _by_name(self.units, found.units, pseudo_values(found), found.value)


def pseudo_values(found: NetworkValues) -> Array:
    r"""What each of the answer's units adds to its number, float64 ``(U,)``; their mean is the number.

    Unit u adds :math:`U \theta - (U - 1) \theta_{-u}`, and all are shifted alike; a number that is undefined
    without u is taken to stay what it is.
    """
    n, value = len(found.units), found.value
    without = np.array([found.pooled(np.arange(n) != u) for u in range(n)]) if n > 1 else np.full(n, value)
    without = np.where(np.isfinite(without), without, value)
    added = n * value - (n - 1) * without
    shifted: Array = added - added.mean() + value
    return shifted


def places(sealed: SealedNetworks, metrics: Sequence[str]) -> Iterable[Place]:
    """Every metric in every context it is asked in."""
    for name in metrics:
        metric = NETWORK_METRICS[name]
        if metric.card.requires_truth == "interventions":
            for context in sealed.contexts:
                truths = tuple(part.truths[context] for part in sealed.parts)
                yield _placed(sealed, metric, context, truths)
        else:
            yield _placed(sealed, metric, EVERYWHERE, (sealed.joint,) * len(sealed.parts))


def _placed(
    sealed: SealedNetworks, metric: NetworkMetric, context: str, truths: tuple[NetworkTruth, ...]
) -> Place:
    """Units are the truth's to name: those that a network with edges gets values for."""
    units: set[str] = set()
    reason = ""
    for truth in truths:
        found = metric(sealed.correlation, truth)
        if found.status != UNSCORABLE and not found.units:
            found = metric(sealed.parts[0].other, truth)
        units.update(found.units)
        reason = reason or (found.reason if found.status == UNSCORABLE else "")
    others = tuple(part.other for part in sealed.parts)
    return Place(metric, context, truths, others, tuple(sorted(units)), reason or "no unit can be judged")


def variants(metric: NetworkMetric) -> tuple[tuple[str, str], ...]:
    """Variant and the field of a table that holds it."""
    return (("", "values"),) if metric.card.pooling == "mean" else (("", "values"), (OWN, "own"))


def columns_of(
    place: Place, variant: str, values: Array, table: Table, exists: bool = True
) -> dict[str, Array]:
    """The rows of one table; a metric without units has one row that says why."""
    n = max(len(place.units), 1)
    value, chance = np.full(n, np.nan), np.full(n, np.nan)
    if not place.units or not table.scorable.any():
        status, reason = "unscorable", place.unscorable
    else:
        value, chance = values[table.scorable].mean(axis=0), table.chance
        status, reason = "scored", ""
    if not exists:
        status, reason = "not_applicable", table.reason
    statuses = np.full(n, status, dtype=object)
    reasons = np.full(n, reason, dtype=object)
    missing = (statuses == "scored") & ~np.isfinite(value)
    statuses[missing], reasons[missing] = "undefined", table.reason
    names = place.units or ("none",)
    return {
        "metric": np.full(n, place.metric.card.id, dtype=object),
        "variant": np.full(n, variant, dtype=object),
        "condition": np.array([f"{name}|{place.context}" for name in names], dtype=object),
        "request_id": np.array(names, dtype=object),
        "perturbation": np.array(names, dtype=object),
        "context": np.full(n, place.context, dtype=object),
        "value": np.where(statuses == "scored", value, np.nan),
        "status": statuses,
        "reason": reasons,
        "chance": chance,
    }


def _by_name(units: Sequence[str], names: Sequence[str], values: Array, absent: float) -> Array:
    found: Mapping[str, float] = dict(zip(names, values.tolist(), strict=True))
    return np.array([found.get(unit, absent) for unit in units], dtype=np.float64)


def joined(parts: Iterable[Mapping[str, Array]]) -> pd.DataFrame:
    """One frame of all rows."""
    kept = list(parts)
    return pd.DataFrame({name: np.concatenate([part[name] for part in kept]) for name in kept[0]})
