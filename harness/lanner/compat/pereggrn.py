"""PEREGGRN's evaluator (Kernfeld et al., Genome Biology 2025), the directly targeted genes left in.

Definitions after ekernf01/pereggrn, commit 146e517, ``evaluator.METRICS``: of two change vectors per
perturbation. Left out: what needs labels or a fit of the train cells (``cell_type_correct``,
``distance_in_pca``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from lanner.compat import Pair, PeerMetric, PeerValues, peer_metric
from lanner.compat.rows import pearson, spearman

Array = np.ndarray[Any, Any]
TARGET = (
    "the directly targeted gene counts although the author's own task reveals it: setting it right earns "
    "most of the score of an otherwise uninformed prediction (Pearson .03 to .95 in a probe)"
)
pereggrn_metric: Callable[..., Callable[[Callable[[Pair], PeerValues]], PeerMetric]] = partial(
    peer_metric,
    peer="PEREGGRN",
    peer_version="146e517",
    reference="mean of all controls of the truth file, for prediction and truth (the peer: of train)",
    citation="doi:10.1186/s13059-025-03840-y",
)
TOPS = (20, 100, 200)


def changes(pair: Pair) -> tuple[Array, Array]:
    """Observed and predicted change from the control mean, ``(P, G)`` each."""
    control = pair.truth.control_mean()
    return pair.truth.means() - control, pair.prediction.means() - control


def top(change: Array, n: int) -> Array:
    """Genes whose middle rank by falling absolute change is at most ``n``, bool ``(P, G)``."""
    from scipy.stats import rankdata

    chosen: Array = rankdata(-np.abs(change), axis=1) <= n
    return chosen


@pereggrn_metric(id="pereggrn/pearson", family="pearson delta", better="higher", best=1.0, faults=TARGET)
def pearson_delta(pair: Pair) -> PeerValues:
    """Pearson correlation of observed and predicted change, all genes."""
    return PeerValues(values=pearson(*changes(pair)), reason="a change that is the same in all genes")


@pereggrn_metric(
    id="pereggrn/spearman",
    family="spearman delta",
    ties="middle rank",
    better="higher",
    best=1.0,
    faults="the directly targeted gene counts",
)
def spearman_delta(pair: Pair) -> PeerValues:
    """Rank correlation of observed and predicted change, all genes."""
    return PeerValues(values=spearman(*changes(pair)), reason="a change that is the same in all genes")


@pereggrn_metric(id="pereggrn/mae", family="mae", better="lower", best=0.0, faults=TARGET)
def mae(pair: Pair) -> PeerValues:
    """Mean absolute difference of observed and predicted change."""
    observed, predicted = changes(pair)
    return PeerValues(values=np.abs(observed - predicted).mean(axis=1))


@pereggrn_metric(
    id="pereggrn/mse",
    family="mse",
    estimator="sum over genes",
    better="lower",
    best=0.0,
    faults=f"a sum of squares, not their mean; {TARGET}",
)
def mse(pair: Pair) -> PeerValues:
    """Sum of squared differences of observed and predicted change, called a mean."""
    observed, predicted = changes(pair)
    return PeerValues(values=((observed - predicted) ** 2).sum(axis=1))


@pereggrn_metric(
    id="pereggrn/proportion_correct_direction",
    family="de direction",
    ties="no change agrees with no change only",
    better="higher",
    best=1.0,
    faults="all genes and no threshold: noise decides, and a prediction of no change scores 0; " + TARGET,
)
def proportion_correct_direction(pair: Pair) -> PeerValues:
    """Share of genes whose observed and predicted change have the same sign."""
    observed, predicted = changes(pair)
    return PeerValues(values=(np.sign(observed) == np.sign(predicted)).mean(axis=1))


def _define_top(n: int) -> None:
    space = f"genes of middle rank <= {n} by |observed change|"
    options: dict[str, Any] = {
        "space": space,
        "ties": f"middle rank: a tie across place {n} leaves all of it out",
    }

    def mse_top(pair: Pair) -> PeerValues:
        observed, predicted = changes(pair)
        return PeerValues(values=((observed - predicted) ** 2 * top(observed, n)).sum(axis=1))

    def pearson_top(pair: Pair) -> PeerValues:
        observed, predicted = changes(pair)
        values = [
            pearson(observed[p : p + 1, genes], predicted[p : p + 1, genes])[0] if genes.sum() > 1 else 0.0
            for p, genes in enumerate(top(observed, n))
        ]
        return PeerValues(values=np.array(values), reason="a change that is the same in all these genes")

    def overlap_top(pair: Pair) -> PeerValues:
        observed, predicted = (top(change, n) for change in changes(pair))
        return PeerValues(values=(observed & predicted).sum(axis=1) / n)

    mse_top.__doc__ = f"Sum of squared differences of change over the {n} genes that change most."
    pearson_top.__doc__ = f"Pearson correlation of change over the {n} genes that change most."
    overlap_top.__doc__ = f"Share of the {n} genes that change most that are also predicted to."
    pereggrn_metric(
        id=f"pereggrn/mse_top_{n}",
        family="mse",
        estimator="sum over genes",
        better="lower",
        best=0.0,
        faults=f"a sum of squares, not their mean; chosen by size, not significance; {TARGET}",
        **options,
    )(mse_top)
    pereggrn_metric(
        id=f"pereggrn/pearson_top_{n}",
        family="pearson delta",
        undefined="NaN; 0 where ties leave fewer than two genes",
        better="higher",
        best=1.0,
        faults=f"documented as correlation_top_n; fewer than two genes give 0; {TARGET}",
        **options,
    )(pearson_top)
    pereggrn_metric(
        id=f"pereggrn/overlap_top_{n}",
        family="de overlap",
        better="higher",
        best=1.0,
        faults=f"divides by {n} even where ties or the file leave fewer genes; no sign; {TARGET}",
        **options,
    )(overlap_top)


for _n in TOPS:
    _define_top(_n)
