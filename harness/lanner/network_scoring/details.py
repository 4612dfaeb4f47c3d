"""What stands behind the numbers of a network: its curves, its strongest edges, its regulators one by one.

Computed while a network is scored and stored beside its scores, so that pages are made of stored runs alone.
Networks are held against what ranks edges: the known ones, and significant held-out effects. As on the cards,
everything is the mean over halves of the held-out cells and expected over the orders of tied pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from lanner.network_scoring.sealed import SealedNetworks
from lanner.networks import Network, NetworkTruth
from lanner.networks.gold import chance_precision, effect_ranking, gold_ranking
from lanner.networks.ranking import Ranking, average_precision

Array = np.ndarray[Any, Any]

FORMAT = "lanner-network-details/1"
POINTS = 61
"""Places of a curve: shares of all pairs, evenly spaced on a logarithmic scale from the first pair to all."""
DIGITS = 6
KNOWN = "known edges"
EFFECTS = "held-out effects"
FLAGS = ("intervened on", "seen in training")
"""Of a regulator: whether held-out cells of its intervention can judge its edges, and any were staged."""
NUMBERS = ("edges", "positives", "found", "auprc", "chance")
"""Of a regulator's own pairs: predicted, real, both; average precision, and that of a constant."""


@dataclass(frozen=True, eq=False)
class Yardstick:
    """What a ranking of edges is held against, in every part."""

    name: str
    ranking: Callable[[Network, NetworkTruth], Ranking]
    truths: tuple[NetworkTruth, ...]


@dataclass(frozen=True, eq=False)
class Against:
    """One network on one part: expected ``hits`` ``(POINTS,)`` among the first ``taken`` pairs, and units.

    ``own`` maps a regulator to its NUMBERS.
    """

    taken: Array
    hits: Array
    pairs: float
    positives: float
    auprc: float
    own: dict[str, tuple[float, ...]]


def details(sealed: SealedNetworks, network: Network) -> dict[str, Any]:
    """Curves, strongest edges and regulators of one network, JSON-ready; undefined numbers are None."""
    with threadpool_limits(1):
        found = [(yard, _held(yard, [[network] * len(yard.truths)])) for yard in yardsticks(sealed)]
        return {
            "format": FORMAT,
            "edges": network.n_edges,
            "top": _top(sealed, network),
            "against": [_entry(yard, parts) for yard, parts in found],
            "regulators": [row for yard, parts in found for row in _regulators(sealed, yard, parts)],
        }


def bound_details(sealed: SealedNetworks) -> dict[str, Any]:
    """Curves of every bound, those of several draws at their mean; strongest edges of single networks."""
    with threadpool_limits(1):
        n, gold = len(sealed.parts), sealed.gold()
        draws = {
            name: ("negative", [[draw] * n for draw in drawn]) for name, drawn in sealed.negatives().items()
        }
        draws["held-out-half"] = ("positive", [[part.other for part in sealed.parts]])
        if gold is not None:
            draws["gold-standard"] = ("positive", [[gold] * n])
        yards = list(yardsticks(sealed))
        bounds = {
            name: {
                "kind": kind,
                "against": [_entry(yard, _held(yard, networks)) for yard in yards],
                "top": _top(sealed, networks[0][0]) if _is_ranked(networks) else None,
            }
            for name, (kind, networks) in draws.items()
        }
        return {"format": FORMAT, "bounds": bounds}


def yardsticks(sealed: SealedNetworks) -> Iterator[Yardstick]:
    """Known edges where there are any, and each context's held-out effects where they can be told."""
    if sealed.has_gold and not sealed.joint.lacks("gold"):
        yield Yardstick(KNOWN, gold_ranking, (sealed.joint,) * len(sealed.parts))
    for context in sealed.contexts:
        truths = tuple(part.truths[context] for part in sealed.parts)
        if not any(truth.lacks("interventions") for truth in truths):
            name = EFFECTS if len(sealed.contexts) == 1 else f"{EFFECTS} in {context}"
            yield Yardstick(name, effect_ranking, truths)


def _held(yard: Yardstick, draws: Sequence[Sequence[Network]]) -> list[Against]:
    """Every draw on every part that has both edges and non-edges; a network is asked once of one truth."""
    seen: dict[tuple[int, int], Against | None] = {}
    for networks in draws:
        for network, truth in zip(networks, yard.truths, strict=True):
            if (id(network), id(truth)) not in seen:
                seen[id(network), id(truth)] = _against(yard.ranking(network, truth), truth)
    every = (
        seen[id(network), id(truth)]
        for networks in draws
        for network, truth in zip(networks, yard.truths, strict=True)
    )
    return [found for found in every if found is not None]


def _against(ranks: Ranking, truth: NetworkTruth) -> Against | None:
    n, t = ranks.blocks()
    pairs, positives = float(n.sum()), float(t.sum())
    if not 0 < positives < pairs:
        return None
    taken = pairs ** np.linspace(0, 1, POINTS)
    # Within a block of ties hits grow evenly: the mean of a hypergeometric draw.
    hits = np.interp(taken, np.append(0.0, np.cumsum(n)), np.append(0.0, np.cumsum(t)))
    edges = np.bincount(ranks.row, minlength=len(ranks.units))
    found = np.bincount(ranks.row, ranks.positive, len(ranks.units))
    own: dict[str, tuple[float, ...]] = {}
    for u, gene in enumerate(ranks.units):
        area = chance = float("nan")
        if 0 < ranks.n_positives[u] < ranks.n_pairs[u]:
            chance = chance_precision(ranks.n_pairs[[u]], ranks.n_positives[[u]])
            area = average_precision(*ranks.alone(u)) if edges[u] else float("nan")
        own[truth.genes[gene]] = (float(edges[u]), float(ranks.n_positives[u]), float(found[u]), area, chance)
    area = average_precision(n, t) if len(ranks.row) else float("nan")
    return Against(taken, hits, pairs, positives, area, own)


def _entry(yard: Yardstick, parts: Sequence[Against]) -> dict[str, Any]:
    """A curve as it is stored; one of a network without a judged edge has no points."""
    known = [part for part in parts if np.isfinite(part.auprc)]
    entry: dict[str, Any] = {
        "truth": yard.name,
        "pairs": _mean([part.pairs for part in parts]),
        "positives": _mean([part.positives for part in parts]),
        "prevalence": _mean([part.positives / part.pairs for part in parts]),
        "auprc": _mean([part.auprc for part in known]),
        "precision": [],
        "recall": [],
    }
    if known:
        entry["precision"] = _numbers(np.mean([part.hits / part.taken for part in known], axis=0))
        entry["recall"] = _numbers(np.mean([part.hits / part.positives for part in known], axis=0))
    return entry


def _regulators(sealed: SealedNetworks, yard: Yardstick, parts: Sequence[Against]) -> Iterator[list[Any]]:
    """A row per regulator: the truth, its name, FLAGS, and NUMBERS."""
    cells = {truth.genes[g] for truth in sealed.contexts.values() for g in truth.intervened}
    for name in sorted({name for part in parts for name in part.own}):
        rows = np.array([part.own[name] for part in parts if name in part.own])
        yield [
            yard.name,
            name,
            name in cells,
            name not in sealed.unseen,
            *(_mean(column.tolist()) for column in rows.T),
        ]


def _top(sealed: SealedNetworks, network: Network) -> dict[str, Any]:
    """The edges that cards ending in ``/top`` look at, and the number of pairs they could be."""
    loopless = network.without_loops().top(sealed.n_top).edges
    genes = network.genes
    return {
        "k": sealed.n_top,
        "pairs": len(sealed.regulators) * max(len(genes) - 1, 1),
        "edges": [
            [genes[a], genes[b], 1 if weight > 0 else -1]
            for a, b, weight in zip(loopless.source, loopless.target, loopless.weight, strict=True)
        ],
    }


def _is_ranked(draws: Sequence[Sequence[Network]]) -> bool:
    """Whether a bound is one network with strongest edges: neither drawn, nor all of one weight."""
    one = len({id(network) for networks in draws for network in networks}) == 1
    return one and len(np.unique(np.abs(draws[0][0].weights.data))) > 1


def _mean(values: Sequence[float]) -> float | None:
    known = [value for value in values if np.isfinite(value)]
    return float(f"{np.mean(known):.{DIGITS}g}") if known else None


def _numbers(values: Array) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values]
