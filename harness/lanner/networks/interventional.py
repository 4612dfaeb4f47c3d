"""Does intervening on a predicted regulator move its predicted targets, in cells no method has seen?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, update_wrapper
from typing import Any, Protocol

import numpy as np

from lanner.networks import UNDEFINED, UNSCORABLE, Network, NetworkTruth, NetworkValues, network_metric
from lanner.networks.judged import Judged, judge, membership, no_judged_edge
from lanner.networks.truth import ALL, UNSEEN

Array = np.ndarray[Any, Any]
CAUSALBENCH = "doi:10.1038/s42003-025-07764-y"
JUDGED: dict[str, Any] = {
    "unit": "regulator",
    "pooling": "ratio of sums",
    "requires_truth": "interventions",
    "unmeasured": "an edge from a gene without held-out cells of its intervention is dropped and counted",
    "citation": CAUSALBENCH,
}
NO_EDGE = "an empty network, or no predicted edge from a gene with 10 held-out cells of its intervention"
SIGNIFICANT = "Mann-Whitney, tie-corrected, Benjamini-Hochberg below .05 within each intervention"
SCOPES = {
    ALL: ("", ""),
    UNSEEN: ("/unseen", ", interventions no method saw"),
}
"""Suffix of the id and of the title: all held-out cells, or held-out interventions alone."""


class Scoped(Protocol):
    """A metric that is told which held-out interventions count."""

    __doc__: str | None

    def __call__(self, network: Network, truth: NetworkTruth, scope: str) -> NetworkValues:
        """The number over the interventions of one scope."""


def scoped(*, id: str, title: str, **fields: Any) -> Callable[[Scoped], Scoped]:
    """Register a function once for all held-out cells and once for held-out interventions alone."""

    def register(function: Scoped) -> Scoped:
        for scope, (suffix, words) in SCOPES.items():
            scored = update_wrapper(partial(function, scope=scope), function)
            card = {**JUDGED, **fields, "id": id + suffix, "title": title + words, "scope": scope}
            network_metric(**card)(scored)
        return function

    return register


@scoped(
    id="edge_wasserstein",
    title="Mean Wasserstein distance of edges",
    family="mean wasserstein",
    estimator="plug-in over judged edges; upward biased by cell numbers alike for all methods",
    undefined=NO_EDGE,
    better="higher",
    best=None,
    chance="truth",
)
def edge_wasserstein(network: Network, truth: NetworkTruth, scope: str) -> NetworkValues:
    r"""Mean over predicted edges of how far intervening on the regulator moves the target.

    :math:`E^{-1} \sum_{A \to B} W_1(x_B | control, x_B | do(A))`, exact 1-D Wasserstein distances in held-out
    cells (Chevalley et al. 2025). Grows with expression, and as edges get fewer: read it beside
    false_omission, or take the /top variant.
    """
    judged = judge(network, truth, scope)
    return _averaged(judged, truth.effects.wasserstein)


@network_metric(
    id="edge_wasserstein/standardised",
    title="Mean Wasserstein distance of edges, in standard deviations",
    family="mean wasserstein",
    estimator="plug-in over judged edges, each in train standard deviations of the target",
    undefined=NO_EDGE,
    better="higher",
    best=None,
    chance="truth",
    **JUDGED,
)
def edge_wasserstein_standardised(network: Network, truth: NetworkTruth) -> NetworkValues:
    """Mean over predicted edges of the 1-Wasserstein distance in standard deviations of the target.

    As edge_wasserstein, each distance divided by the gene's standard deviation over train controls, so that
    highly expressed genes do not decide. Genes without spread there are dropped.
    """
    if truth.train_sd is None:
        return NetworkValues.nothing(UNSCORABLE, "no standard deviations of train controls")
    judged = judge(network, truth)
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = truth.effects.wasserstein / np.where(truth.train_sd > 0, truth.train_sd, np.nan)
    return _averaged(judged, scaled)


@scoped(
    id="edge_wasserstein/top",
    title="Mean Wasserstein distance of the strongest edges",
    family="mean wasserstein",
    estimator="plug-in over the k = n_edges strongest judged edges",
    ties="expected value over the orders of tied edges",
    missing="count as random edges: the regulator's mean distance, in expectation, not drawn",
    undefined=NO_EDGE,
    better="higher",
    best=None,
    chance="truth",
)
def edge_wasserstein_top(network: Network, truth: NetworkTruth, scope: str) -> NetworkValues:
    """Mean Wasserstein distance of the k strongest judged edges, k frozen with the dataset.

    As edge_wasserstein over the first k edges of the ranking by magnitude; a tie at the k-th is averaged over
    its orders. Each edge that is missing for k counts as a random one, spread evenly over the regulators: the
    regulator's mean distance over genes. So neither few edges nor one sure edge pays. Of unseen interventions
    as large a share of k is judged as they are of all.
    """
    if not truth.n_edges:
        return NetworkValues.nothing(UNSCORABLE, "the truth fixes no number of edges")
    judged = judge(network, truth, scope)
    if isinstance(judged, NetworkValues):
        return judged
    table = judged.table(truth.effects.wasserstein)
    own = np.nanmean(table, axis=1)
    share = round(truth.n_edges * len(judged.units) / len(truth.intervened))
    k = min(max(share, 1), len(judged.units) * (len(truth.genes) - 1))
    taken = membership(judged.block, k)
    missing = (k - taken.sum()) / len(judged.units)
    weights = judged.per_unit(taken) + missing
    sums = judged.per_unit(taken * table[judged.unit, judged.target]) + missing * own
    return _pooled(judged, sums, weights, float(own.mean()), {"missing": k - taken.sum()})


@scoped(
    id="edge_precision",
    title="Precision of edges by intervention",
    family="edge precision",
    estimator=SIGNIFICANT,
    undefined=NO_EDGE,
    better="higher",
    best=1.0,
    chance="truth",
)
def edge_precision(network: Network, truth: NetworkTruth, scope: str) -> NetworkValues:
    """Share of predicted edges whose intervention significantly changes the target.

    Mann-Whitney of the target in control and intervened held-out cells, adjusted within the intervention.
    """
    return _averaged(judge(network, truth, scope), _called(truth))


@scoped(
    id="false_omission",
    title="False omission rate",
    family="false omission rate",
    estimator=f"exact over all unconnected pairs; {SIGNIFICANT}",
    undefined=f"{NO_EDGE}, or every pair connected",
    better="lower",
    best=0.0,
    chance="truth",
)
def false_omission(network: Network, truth: NetworkTruth, scope: str) -> NetworkValues:
    """Share of significant effects among pairs the network leaves unconnected.

    Over all pairs of a judged regulator and another gene without a direct edge: exact, nothing is sampled.
    """
    judged = judge(network, truth, scope)
    if isinstance(judged, NetworkValues):
        return judged
    called = judged.table(_called(truth))
    found = judged.per_unit(called[judged.unit, judged.target])
    omitted = len(truth.genes) - 1 - judged.per_unit(np.ones(len(judged.unit)))
    missed = np.nansum(called, axis=1) - found
    return _pooled(judged, missed, omitted, float(np.nanmean(called)), None, "no pair is left unconnected")


@scoped(
    id="effect_direction",
    title="Direction of effects",
    family="edge direction",
    estimator=f"over significant effects: {SIGNIFICANT}",
    missing="one half",
    undefined=NO_EDGE,
    better="higher",
    best=1.0,
    chance=0.5,
)
def effect_direction(network: Network, truth: NetworkTruth, scope: str) -> NetworkValues:
    """Share of significant effects whose sign the network has right.

    An effect has the sign of the target's shift times what the intervention does to its gene (-1 for a
    knock-down). One half for an effect without a predicted edge: leaving out does not pay.
    """
    judged = judge(network, truth, scope)
    if isinstance(judged, NetworkValues):
        return judged
    signs = truth.significant
    wanted = np.diff(signs[judged.units].indptr).astype(np.float64)
    if not wanted.sum():
        return NetworkValues.nothing(UNSCORABLE, "no held-out intervention has a significant effect", 0.5)
    true = np.asarray(signs[judged.units[judged.unit], judged.target]).ravel()
    gain = judged.per_unit(0.5 * np.sign(judged.weight) * np.sign(true))
    answered = {"answered": float(np.count_nonzero(true) / wanted.sum())}
    return _pooled(judged, 0.5 * wanted + gain, wanted, 0.5, answered)


def _called(truth: NetworkTruth) -> Array:
    """1 where an intervention significantly changes a gene, float64 ``(E, n_genes)``."""
    called: Array = (truth.significant[truth.intervened] != 0).toarray().astype(np.float64)
    return called


def _averaged(judged: Judged | NetworkValues, values: Array) -> NetworkValues:
    """Mean of a table over the judged edges; chance is its mean over all pairs with a value."""
    if isinstance(judged, NetworkValues):
        return judged
    table = judged.table(values)
    of_edge = table[judged.unit, judged.target]
    known = ~np.isnan(of_edge)
    sums = judged.per_unit(np.where(known, of_edge, 0.0))
    return _pooled(judged, sums, judged.per_unit(known), float(np.nanmean(table)))


def _pooled(
    judged: Judged,
    sums: Array,
    weights: Array,
    chance: float,
    extra: dict[str, float] | None = None,
    undefined: str = "",
) -> NetworkValues:
    if not len(judged.unit):
        return NetworkValues.nothing(UNDEFINED, no_judged_edge(), chance)
    values = np.divide(sums, weights, out=np.full(len(sums), np.nan), where=weights > 0)
    return NetworkValues.averaged(
        judged.names,
        values,
        weights,
        chance=chance,
        extra={**judged.counts, **(extra or {})},
        undefined=undefined or no_judged_edge(),
    )
