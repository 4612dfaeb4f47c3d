"""Which predicted edges held-out interventions can judge, and what they show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lanner.networks import UNDEFINED, UNSCORABLE, NetworkValues
from lanner.networks.network import Network
from lanner.networks.truth import ALL, NetworkTruth, by_name

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """Edges of regulators with held-out cells, self loops left out; units are those regulators by name.

    ``units`` int64 ``(U,)`` are columns of the genes and ``rows`` int64 ``(U,)`` their rows in the effects.
    ``unit``, ``target`` int64, ``weight`` float32 and ``block`` int64 are ``(E,)``, strongest first.
    """

    units: Array
    rows: Array
    names: tuple[str, ...]
    unit: Array
    target: Array
    weight: Array
    block: Array
    n_edges: int

    def table(self, values: Array) -> Array:
        """Rows of a table over (interventions, genes) in the order of units; the own gene is NaN."""
        rows: Array = np.array(values[self.rows], dtype=np.float64)
        rows[np.arange(len(self.units)), self.units] = np.nan
        return rows

    def per_unit(self, values: Array) -> Array:
        """Sums of a value per edge ``(E,)`` over the edges of each unit, float64 ``(U,)``."""
        sums: Array = np.bincount(self.unit, values, len(self.units)).astype(np.float64, copy=False)
        return sums

    @property
    def counts(self) -> dict[str, float]:
        """What a table shows beside the number."""
        return {"edges": float(self.n_edges), "judged": float(len(self.unit))}


def judge(network: Network, truth: NetworkTruth, scope: str = ALL) -> Judged | NetworkValues:
    """The edges that can be judged, or the answer to give where there are none."""
    rows = np.flatnonzero(truth.in_scope(scope))
    if not rows.size:
        return NetworkValues.nothing(UNSCORABLE, f"no held-out intervention that is {scope} in training")
    if not network.n_edges:
        return NetworkValues.nothing(UNDEFINED, "an empty network")
    units = by_name(truth.genes, truth.intervened[rows])
    place = np.full(len(truth.genes), -1, dtype=np.int64)
    place[units] = np.arange(len(units))
    edges = network.edges
    mine = (place[edges.source] >= 0) & (edges.source != edges.target)
    return Judged(
        units=units,
        rows=np.searchsorted(truth.intervened, units),
        names=tuple(truth.genes[g] for g in units),
        unit=place[edges.source[mine]],
        target=edges.target[mine],
        weight=edges.weight[mine],
        block=edges.block[mine],
        n_edges=network.n_edges,
    )


def no_judged_edge() -> str:
    """Why an answer is undefined though the network has edges."""
    return "no predicted edge starts from a gene with held-out cells of its intervention"


def membership(block: Array, k: float) -> Array:
    """Probability that each edge is among the first k when ties are broken at random, float64 ``(E,)``."""
    if not len(block):
        return np.zeros(0)
    place = np.unique(block, return_inverse=True)[1]
    n = np.bincount(place).astype(np.float64)
    taken = np.clip(k - (np.cumsum(n) - n), 0.0, n) / n
    chance: Array = taken[place]
    return chance
