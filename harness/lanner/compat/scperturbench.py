"""scPerturBench (Wei et al., Nature Methods 2025): its pertpy distances of predicted and true cells.

Definitions after bm2-lab/scPerturBench, commit 6e24e7a (GPL: formula alone). Left out: ``wasserstein``, an
entropic cost whose strength ott chooses by version; Common-DEGs, whose code is not released; ac_score,
which scales by the methods present.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist, pdist

from lanner.compat import Pair, PeerMetric, PeerValues, Side, peer_metric
from lanner.compat.changed_genes import LIST_TIES, by_welch
from lanner.compat.rows import pearson

Array = np.ndarray[Any, Any]
TOP = 100
EPSILON = 1e-8
scperturbench_metric: Callable[..., Callable[[Callable[[Pair], PeerValues]], PeerMetric]] = partial(
    peer_metric, peer="scPerturBench", peer_version="6e24e7a", citation="doi:10.1038/s41592-025-02980-0"
)
SUBSAMPLED = "the peer draws 2,000 cells of larger groups, here all are used"
LIST = "the peer's lists come from its own files; here computed anew"
SPACES = {"": ("all genes", ""), "_top100": (f"{TOP} genes of largest |Welch t| of true cells", f"; {LIST}")}


def _genes(pair: Pair, suffix: str) -> list[Array]:
    if suffix:
        return list(by_welch(pair)[:, :TOP])
    return [np.arange(len(pair.genes))] * len(pair.perturbations)


def _of_lists(
    pair: Pair, suffix: str, score: Callable[[Array, Array], float], predicted: Array, true: Array
) -> Array:
    return np.array(
        [score(predicted[p, genes], true[p, genes]) for p, genes in enumerate(_genes(pair, suffix))]
    )


def _deviation(side: Side) -> Array:
    """Standard deviation over cells with N denominator, ``(P, G)``; 0 for a single cell."""
    n = side.n_cells()[:, None]
    spread: Array = np.sqrt(np.where(n > 1, side.variances() * (n - 1) / n, 0.0))
    return spread


def symmetric_divergence(
    predicted_mean: Array, predicted_deviation: Array, true_mean: Array, true_deviation: Array
) -> float:
    """Mean over genes of KL(p || t) + KL(t || p) of normal distributions; 1e-8 is added to deviations.

    The logarithms cancel: ``(sp^2 + d^2) / 2 st^2 + (st^2 + d^2) / 2 sp^2 - 1``, d the difference of means.
    """
    squared = (predicted_mean - true_mean) ** 2
    p, t = (predicted_deviation + EPSILON) ** 2, (true_deviation + EPSILON) ** 2
    return float(((p + squared) / (2 * t) + (t + squared) / (2 * p) - 1.0).mean())


def _energy(x: Array, y: Array) -> float:
    """``2 E|x - y| - E|x - x'| - E|y - y'|``, diagonals included."""
    within = sum(2 * pdist(cells).sum() / len(cells) ** 2 for cells in (x, y))
    return float(2 * cdist(x, y).mean() - within)


def _dense(side: Side, p: int, genes: Array) -> Array:
    cells: Array = side.cells(p)[:, genes].toarray().astype(np.float64)
    return cells


def _define(suffix: str) -> None:
    space, listed = SPACES[suffix]
    options: dict[str, Any] = {"space": space, "ties": LIST_TIES if suffix else "none"}
    of_list = ("truth cells",) if suffix else ()
    where = f", {TOP} changed genes" if suffix else ", all genes"

    def mse(pair: Pair) -> PeerValues:
        def score(predicted: Array, true: Array) -> float:
            return float(((predicted - true) ** 2).mean())

        values = _of_lists(pair, suffix, score, pair.prediction.means(), pair.truth.means())
        return PeerValues(values=np.round(values, 4))

    def pearson_distance(pair: Pair) -> PeerValues:
        def score(predicted: Array, true: Array) -> float:
            return float(pearson(predicted[None, :], true[None, :])[0])

        control = pair.truth.control_mean()
        found = _of_lists(
            pair, suffix, score, pair.prediction.means() - control, pair.truth.means() - control
        )
        distance = np.round(1.0 - found, 4)
        return PeerValues(
            values=np.maximum(0.0, 1.0 - distance), reason="a change that is the same in all genes"
        )

    def edistance(pair: Pair) -> PeerValues:
        if not suffix:
            return PeerValues(values=np.round(pair.energy(), 4))
        values = [
            _energy(_dense(pair.prediction, p, genes), _dense(pair.truth, p, genes))
            for p, genes in enumerate(_genes(pair, suffix))
        ]
        return PeerValues(values=np.round(values, 4))

    def sym_kldiv(pair: Pair) -> PeerValues:
        arrays = [x for side in (pair.prediction, pair.truth) for x in (side.means(), _deviation(side))]
        values = [
            symmetric_divergence(*(x[p, genes] for x in arrays))
            for p, genes in enumerate(_genes(pair, suffix))
        ]
        return PeerValues(values=np.log2(np.round(values, 4) + 1.0))

    mse.__doc__ = f"Mean squared difference of predicted and true mean{where}."
    pearson_distance.__doc__ = f"""Pearson correlation of change from control, negative ones set to 0{where}.

    The released column pearson_distance is max(0, r), rounded to four decimals.
    """
    edistance.__doc__ = f"Energy distance of predicted and true cells{where}."
    sym_kldiv.__doc__ = f"""Symmetric KL divergence of normal distributions per gene, log2(x + 1){where}.

    Mean over genes of (sp^2 + d^2) / 2 st^2 + (st^2 + d^2) / 2 sp^2 - 1, where d is the difference of means
    and s a deviation with N denominator plus 1e-8.
    """
    rounded = "rounded to four decimals"
    scperturbench_metric(
        id=f"scperturbench/mse{suffix}",
        family="mse",
        better="lower",
        best=0.0,
        needs=of_list,
        faults=rounded + listed,
        **options,
    )(mse)
    scperturbench_metric(
        id=f"scperturbench/pearson_distance{suffix}",
        family="pearson delta",
        reference="control mean of the truth file, for prediction and truth",
        better="higher",
        best=1.0,
        needs=of_list,
        faults="called a distance, released as a similarity, and wrong directions are cut off at 0; "
        + rounded
        + listed,
        **options,
    )(pearson_distance)
    scperturbench_metric(
        id=f"scperturbench/edistance{suffix}",
        family="energy",
        estimator="V-statistic, Euclid, diagonals included (pertpy from 0.11)",
        better="lower",
        best=0.0,
        needs=("cells",),
        faults=f"biased upwards for few cells; another quantity with the pertpy 0.7 its environment is named "
        f"after; {SUBSAMPLED}; {rounded}{listed}",
        **options,
    )(edistance)
    scperturbench_metric(
        id=f"scperturbench/sym_kldiv{suffix}",
        family="kl divergence",
        estimator="normal distributions, deviations plus 1e-8",
        better="lower",
        best=0.0,
        needs=("cells",),
        faults="genes constant in one group and not in the other count up to 1e16 each and decide all; "
        f"{SUBSAMPLED}; {rounded} before the logarithm{listed}",
        **options,
    )(sym_kldiv)


for _suffix in SPACES:
    _define(_suffix)
