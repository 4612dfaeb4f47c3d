"""Known edges against the ranking of all measured pairs: areas, early precision, signs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from lanner.networks import UNDEFINED, UNSCORABLE, Network, NetworkTruth, NetworkValues, network_metric
from lanner.networks.ranking import Ranking, area_under_roc, average_precision, precision_at, rank_pairs
from lanner.networks.truth import by_name

Array = np.ndarray[Any, Any]
Score = Callable[[Array, Array], float]
BEELINE = "doi:10.1038/s41592-019-0690-6"
DREAM = "doi:10.1038/nmeth.2016"
RANKED: dict[str, Any] = {
    "unit": "regulator",
    "pooling": "recomputed",
    "ties": "expected value over the orders of tied pairs; pairs without an edge are tied behind all others",
    "missing": "a pair without an edge is ranked last, tied with all such pairs",
}
GOLD: dict[str, Any] = {
    "requires_truth": "gold",
    "unmeasured": "a pair counts if its regulator and target were measured; others are unknown, not absent",
}
EFFECT: dict[str, Any] = {
    "requires_truth": "interventions",
    "unmeasured": "a pair counts if its regulator has held-out cells of its intervention",
}
EMPTY = "an empty network"
ONE_CLASS = "no measured pair is an edge, or all are"
NO_PAIR = "an empty network, or no predicted edge among the pairs that count"


def share(n: Array, t: Array) -> float:
    """Share of positives: what precision is by chance."""
    return float(t.sum() / n.sum())


def chance_precision(n: Array, t: Array) -> float:
    """Average precision of a constant score, exactly: a little above the share of positives."""
    return average_precision(np.array([n.sum()]), np.array([t.sum()]))


def early_precision(n: Array, t: Array) -> float:
    """Precision of the first k pairs, k the number of positives."""
    return precision_at(n, t, float(t.sum()))


def above_chance(n: Array, t: Array) -> float:
    """(A - c) / (1 - c) with the average precision A and that of a constant score, c."""
    chance = chance_precision(n, t)
    return (average_precision(n, t) - chance) / (1 - chance)


def early_ratio(n: Array, t: Array) -> float:
    """Early precision over the share of positives; 1 by chance."""
    return early_precision(n, t) / share(n, t)


CHANCE: dict[Score, float] = {above_chance: 0.0, area_under_roc: 0.5, early_ratio: 1.0}
"""What a constant network gets where that is the same on every truth."""


def gold_ranking(network: Network, truth: NetworkTruth) -> Ranking:
    """The ranking of measured candidate pairs against the gold edges."""
    assert truth.gold is not None
    regulators = truth.regulators[truth.gold.regulators[truth.regulators]]
    return rank_pairs(network, truth.gold.signs, regulators, truth.gold.targets)


def effect_ranking(network: Network, truth: NetworkTruth) -> Ranking:
    """The ranking of pairs with a held-out intervention against its significant effects."""
    everything = np.ones(len(truth.genes), dtype=bool)
    return rank_pairs(network, truth.significant, truth.intervened, everything)


def scored(
    network: Network, truth: NetworkTruth, ranking: Callable[..., Ranking], score: Score
) -> NetworkValues:
    """The score over all pairs, and that of each regulator's own pairs; resampling repeats regulators.

    Chance is what the score gives a constant network: all pairs are one block.
    """
    ranks = ranking(network, truth)
    n, t = ranks.blocks()
    if not 0 < t.sum() < n.sum():
        return NetworkValues.nothing(UNSCORABLE, ONE_CLASS)
    expected = CHANCE.get(score, score(n.sum(keepdims=True), t.sum(keepdims=True)))
    if not len(ranks.row):
        return NetworkValues.nothing(UNDEFINED, NO_PAIR, expected)

    def recompute(counts: Array) -> float:
        n, t = ranks.blocks(counts)
        return score(n, t) if 0 < t.sum() < n.sum() else float("nan")

    both = (ranks.n_positives > 0) & (ranks.n_positives < ranks.n_pairs)
    own = [score(*ranks.alone(u)) if both[u] else float("nan") for u in range(len(both))]
    return NetworkValues(
        units=tuple(truth.genes[g] for g in ranks.units),
        values=np.array(own, dtype=np.float64),
        weights=both.astype(np.float64),
        value=score(n, t),
        chance=expected,
        extra={"pairs": float(n.sum()), "positives": float(t.sum()), "edges": float(network.n_edges)},
        recompute=recompute,
    )


def _define(
    names: tuple[str, str, str],
    text: str,
    score: Score,
    card: dict[str, Any],
) -> None:
    """Register one score of the gold ranking, or of the ranking by effects (``effect_`` ids)."""
    id, title, family = names
    ranking = effect_ranking if card is EFFECT else gold_ranking

    def ranked(network: Network, truth: NetworkTruth) -> NetworkValues:
        return scored(network, truth, ranking, score)

    ranked.__doc__ = text
    network_metric(
        id=id,
        title=title,
        family=family,
        estimator="over all pairs that count at once; a unit's own value is that of its pairs alone",
        undefined=f"{NO_PAIR}; the truth: {ONE_CLASS}",
        better="higher",
        best=None if score is early_ratio else 1.0,
        chance=CHANCE.get(score, "truth"),
        citation=DREAM if score in (average_precision, area_under_roc) else BEELINE,
        **RANKED,
        **card,
    )(ranked)


_PRECISION = r"""{subject} in the ranking of all pairs by magnitude: average precision.

    Mean over positives of the precision at their place, expected over the orders of tied pairs. Chance is the
    average precision of a constant network, which is the prevalence but for a harmonic term.
    """
_define(
    ("gold_auprc", "AUPRC against gold edges", "edge auprc"),
    _PRECISION.format(subject="Known edges"),
    average_precision,
    GOLD,
)
_define(
    ("effect_auprc", "AUPRC against held-out effects", "edge auprc"),
    _PRECISION.format(subject="Significant effects"),
    average_precision,
    EFFECT,
)
_define(
    ("gold_auprc/normalised", "AUPRC against gold edges, above chance", "edge auprc"),
    """Average precision of known edges, less what a constant network gets, over what is left to gain.""",
    above_chance,
    GOLD,
)
_define(
    ("gold_auroc", "AUROC against gold edges", "edge auroc"),
    """Share of pairs of an edge and a non-edge that the ranking has in the right order, ties one half.""",
    area_under_roc,
    GOLD,
)
_define(
    ("effect_auroc", "AUROC against held-out effects", "edge auroc"),
    """Share of pairs of an effect and a non-effect ranked in the right order, ties one half.""",
    area_under_roc,
    EFFECT,
)
_define(
    ("gold_early_precision", "Early precision against gold edges", "early precision"),
    """Share of known edges among the first k pairs, k the number of known edges.

    BEELINE's early precision, but k places are always filled: those a method leaves open at random, in
    expectation, where BEELINE divides by the edges that are there.
    """,
    early_precision,
    GOLD,
)
_define(
    ("gold_early_precision/ratio", "Early precision ratio against gold edges", "early precision"),
    """Early precision divided by the prevalence of known edges (BEELINE's EPR).""",
    early_ratio,
    GOLD,
)


@network_metric(
    id="gold_direction",
    title="Direction of gold edges",
    family="edge direction",
    unit="regulator",
    pooling="ratio of sums",
    estimator="over known signed edges",
    missing="one half",
    undefined=f"{EMPTY}; the truth: edges without signs",
    better="higher",
    best=1.0,
    chance=0.5,
    citation=BEELINE,
    **GOLD,
)
def gold_direction(network: Network, truth: NetworkTruth) -> NetworkValues:
    """Share of known edges whose sign the network has right; one half for one it does not have."""
    gold = truth.gold
    assert gold is not None
    if not gold.signed:
        return NetworkValues.nothing(UNSCORABLE, "the gold standard has no signs", 0.5)
    if not network.n_edges:
        return NetworkValues.nothing(UNDEFINED, EMPTY, 0.5)
    measured = by_name(truth.genes, truth.regulators[gold.regulators[truth.regulators]])
    known = sp.coo_matrix(gold.signs[measured])
    counted = gold.targets[known.col] & (measured[known.row] != known.col)
    unit, target, sign = known.row[counted], known.col[counted], known.data[counted]
    guess = np.asarray(network.weights[measured[unit], target]).ravel()
    right = 0.5 * (1 + np.sign(guess) * np.sign(sign))
    weights = np.bincount(unit, minlength=len(measured)).astype(np.float64)
    values = np.bincount(unit, right, len(measured)) / np.where(weights > 0, weights, np.nan)
    names = tuple(truth.genes[g] for g in measured)
    answered = {"answered": float((guess != 0).mean()) if len(guess) else 0.0}
    return NetworkValues.averaged(
        names, values, weights, chance=0.5, extra=answered, undefined="no measured pair is an edge"
    )
