"""Network metrics: one file per family, one decorated function per metric, registered in NETWORK_METRICS.

A metric takes a predicted ``Network`` and the sealed ``NetworkTruth`` and returns ``NetworkValues``: one
value per unit (a regulator or a target gene), how the units pool to one number, and what is undefined and
why. Lanner's own cards rank; those with a ``peer`` reproduce a published definition, faults included, and
rank nothing. ``bounds`` holds the networks that anchor them. Nothing here reads or writes files.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lanner.networks.network import Network
from lanner.networks.truth import NetworkTruth
from lanner.records import sha256_json
from lanner.registry import Registry, import_all

__all__ = [
    "NETWORK_METRICS",
    "SCORED",
    "UNDEFINED",
    "UNSCORABLE",
    "Network",
    "NetworkCard",
    "NetworkMetric",
    "NetworkTruth",
    "NetworkValues",
    "network_metric",
]

Array = np.ndarray[Any, Any]
SCORED, UNDEFINED, UNSCORABLE = "scored", "undefined", "unscorable"
"""There is a number; the prediction leaves none (which never pays); the truth leaves none, for anyone."""


@dataclass(frozen=True, kw_only=True)
class NetworkCard:
    """Everything that has to be stated for two numbers of one name to be comparable.

    ``unit`` is what has a value of its own and is resampled: ``regulator`` or ``target``. ``pooling`` is how
    units become the one number: ``mean``, ``ratio of sums`` (weighted mean) or ``recomputed`` (from all pairs
    at once; a unit's own value is then shown, not averaged). ``requires_truth`` names what the truth must
    have: ``interventions``, ``samples`` or ``gold``. ``chance`` is what a network without information gets:
    a number, None, or ``truth`` where it depends on the data and every answer states it. ``self_loops`` and
    ``unmeasured`` say what happens to such edges, ``missing`` to edges that a method did not give. ``peer``
    is empty for Lanner's own; ``faults`` says what a peer's card reproduces though it is wrong.
    """

    id: str
    version: int
    title: str
    summary: str
    family: str
    unit: str
    pooling: str
    requires_truth: str
    estimator: str
    ties: str
    self_loops: str
    unmeasured: str
    missing: str
    undefined: str
    better: str
    best: float | None
    chance: float | str | None
    scope: str
    citation: str
    peer: str
    peer_version: str
    faults: str

    @cached_property
    def sha256(self) -> str:
        """Hash of the whole card; score rows carry it beside ``id@version``."""
        return sha256_json(asdict(self))

    @property
    def sign(self) -> int:
        """+1 where larger values are better, -1 where smaller ones are."""
        return 1 if self.better == "higher" else -1

    def merit(self, values: Any) -> Any:
        """Values turned so that larger is better; information is worth the same whatever its value."""
        return 0 * values if self.better == "neither" else self.sign * values


@dataclass(frozen=True, kw_only=True, eq=False)
class NetworkValues:
    """The answer of a metric: a number, the units behind it, and what is undefined and why.

    ``units`` names U regulators or targets, sorted; ``values`` float64 ``(U,)`` is NaN where a unit has none
    of its own, ``weights`` float64 ``(U,)`` is its share in a ratio of sums (1 where units are averaged, 0
    where it says nothing). ``status`` is SCORED, UNDEFINED (the prediction's doing) or UNSCORABLE (the
    truth's, the same for every prediction); ``value`` is NaN and ``reason`` half a sentence unless scored.
    ``chance`` is what a network without information gets on this truth, None where nobody knows. ``extra``
    holds counts a table shows beside the number.
    """

    units: tuple[str, ...]
    values: Array
    weights: Array
    value: float
    status: str = SCORED
    reason: str = ""
    chance: float | None = None
    extra: Mapping[str, float] | None = None
    recompute: Callable[[Array], float] | None = None

    def pooled(self, counts: Array | None = None) -> float:
        """The one number if unit u were there ``counts[u]`` times (a bootstrap draw), ``(U,)``; NaN for none.

        ``recompute``, where the metric gave one, makes it from all pairs; else it is the weighted mean.
        """
        if counts is None:
            return self.value
        if self.recompute is not None:
            return self.recompute(counts)
        weights = np.where(np.isnan(self.values), 0.0, self.weights * counts)
        total = weights.sum()
        return float(weights @ np.nan_to_num(self.values) / total) if total > 0 else float("nan")

    @classmethod
    def averaged(
        cls,
        units: tuple[str, ...],
        values: Array,
        weights: Array | None = None,
        chance: float | None = None,
        extra: Mapping[str, float] | None = None,
        undefined: str = "no unit has a value",
    ) -> NetworkValues:
        """Units pooled by their weights, all 1 by default; UNDEFINED where none has a value."""
        shares = np.ones(len(units)) if weights is None else np.asarray(weights, dtype=np.float64)
        draft = cls(units=units, values=values, weights=shares, value=float("nan"))
        value = draft.pooled(np.ones(len(units)))
        known = not np.isnan(value)
        return cls(
            units=units,
            values=values,
            weights=shares,
            value=value,
            status=SCORED if known else UNDEFINED,
            reason="" if known else undefined,
            chance=chance,
            extra=extra,
        )

    @classmethod
    def nothing(cls, status: str, reason: str, chance: float | None = None) -> NetworkValues:
        """No number: UNDEFINED or UNSCORABLE, with the reason."""
        none = np.zeros(0)
        return cls(
            units=(),
            values=none,
            weights=none,
            value=float("nan"),
            status=status,
            reason=reason,
            chance=chance,
        )


@dataclass(frozen=True, kw_only=True)
class NetworkMetric:
    """A scoring function and its card."""

    card: NetworkCard
    function: Callable[[Network, NetworkTruth], NetworkValues]

    @property
    def definition(self) -> str:
        """The function's docstring: formula and source."""
        return inspect.cleandoc(self.function.__doc__ or "")

    def __call__(self, network: Network, truth: NetworkTruth) -> NetworkValues:
        """The number, or why there is none.

        Raises
        ------
        ConfigurationError
            Network and truth are not of the same genes in the same order.
        """
        truth.check(network)
        reason = truth.lacks(self.card.requires_truth)
        if reason:
            return NetworkValues.nothing(UNSCORABLE, reason)
        return self.function(network, truth)


NETWORK_METRICS: Registry[NetworkMetric] = Registry("network metric")


def network_metric(
    *,
    id: str,
    title: str,
    family: str,
    unit: str,
    pooling: str,
    requires_truth: str,
    estimator: str,
    undefined: str,
    better: str,
    best: float | None,
    chance: float | str | None,
    citation: str,
    version: int = 1,
    ties: str = "none",
    self_loops: str = "dropped",
    unmeasured: str = "dropped, counted",
    missing: str = "none",
    scope: str = "all",
    peer: str = "",
    peer_version: str = "",
    faults: str = "none",
) -> Callable[[Callable[[Network, NetworkTruth], NetworkValues]], NetworkMetric]:
    """Register a function under ``id``; the first line of its docstring becomes the card's summary."""
    fields: Mapping[str, Any] = dict(locals())

    def register(function: Callable[[Network, NetworkTruth], NetworkValues]) -> NetworkMetric:
        summary = (function.__doc__ or "").partition("\n")[0]
        card = NetworkCard(summary=summary, **fields)
        return NETWORK_METRICS.add(id, NetworkMetric(card=card, function=function))

    return register


import_all(sys.modules[__name__])
