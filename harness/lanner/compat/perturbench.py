"""PerturBench (Wu et al., NeurIPS 2025): agreement of aggregated perturbations, and its ranks.

Definitions after the repository altoslabs/perturbench, commits d357dfa and c84038b (BSD-3).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from lanner.compat import Pair, PeerMetric, PeerValues, peer_metric
from lanner.compat.changed_genes import LIST_TIES, strongest
from lanner.compat.explained import SKLEARN_R2, r2_score
from lanner.compat.own_ranks import mid_rank_of_own
from lanner.compat.rows import pearson
from lanner.compat.t_statistics import overestimated

Array = np.ndarray[Any, Any]
Aggregate = Callable[[Pair], tuple[Array, Array]]
PSEUDOCOUNT = 0.1
TOP_K = 50
perturbench_metric: Callable[..., Callable[[Callable[[Pair], PeerValues]], PeerMetric]] = partial(
    peer_metric,
    peer="PerturBench",
    peer_version="c84038b",
    citation="doi:10.48550/arXiv.2408.10609",
)


def average(pair: Pair) -> tuple[Array, Array]:
    """Predicted and true mean profiles, ``(P, G)`` each."""
    return pair.prediction.means(), pair.truth.means()


def logfc(pair: Pair) -> tuple[Array, Array]:
    """``log2(mean + 0.1) - log2(control mean + 0.1)`` of log1p means, both against the true control."""
    predicted, true = (_log_ratio(means, pair.truth.control_mean()) for means in average(pair))
    return predicted, true


def _log_ratio(means: Array, control: Array) -> Array:
    with np.errstate(all="ignore"):
        ratio: Array = np.log2(means + PSEUDOCOUNT) - np.log2(control + PSEUDOCOUNT)
    return np.where(np.isfinite(ratio), ratio, 0.0)


def scores(pair: Pair) -> tuple[Array, Array]:
    """Overestimated-variance t of predicted and of true cells against the true control, ``(P, G)`` each."""
    control = pair.truth.control_mean()[None, :], pair.truth.control_variance()[None, :]
    predicted, true = (
        overestimated(side.means(), side.variances(), side.n_cells()[:, None], *control)[0]
        for side in (pair.prediction, pair.truth)
    )
    return np.where(np.isinf(predicted), 0.0, predicted), np.where(np.isinf(true), 0.0, true)


def _cosine(x: Array, y: Array) -> Array:
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    dots = np.einsum("pg,pg->p", x, y)
    cosines: Array = np.divide(dots, norms, out=np.full(len(x), np.nan), where=norms > 0)
    return cosines


def _rmse(x: Array, y: Array) -> Array:
    root: Array = np.sqrt(((x - y) ** 2).mean(axis=1))
    return root


AGGREGATES: dict[str, tuple[Aggregate, str, str, str]] = {
    "average": (average, "mean log1p expression", "none", "none"),
    "logfc": (
        logfc,
        "log2 ratio of mean log1p expression, pseudocount 0.1",
        "true control mean",
        "a ratio of means of logarithms, not of means of counts: it is no fold change",
    ),
}
FORMULAS: dict[str, tuple[Callable[[Array, Array], Array], str, str, float, dict[str, str]]] = {
    "rmse": (_rmse, "Root mean squared difference", "lower", 0.0, {"average": "rmse", "logfc": "rmse"}),
    "mse": (
        lambda x, y: ((x - y) ** 2).mean(axis=1),
        "Mean squared difference",
        "lower",
        0.0,
        {"average": "mse", "logfc": "mse"},
    ),
    "mae": (
        lambda x, y: np.abs(x - y).mean(axis=1),
        "Mean absolute difference",
        "lower",
        0.0,
        {"average": "mae", "logfc": "mae"},
    ),
    "cosine": (_cosine, "Cosine", "higher", 1.0, {"average": "cosine profile", "logfc": "cosine delta"}),
    "pearson": (
        pearson,
        "Pearson correlation",
        "higher",
        1.0,
        {"average": "pearson profile", "logfc": "pearson delta"},
    ),
    "r2_score": (
        r2_score,
        "Explained variance with the prediction taken for the truth",
        "higher",
        1.0,
        {"average": "r2 profile", "logfc": "r2 delta"},
    ),
}
REVERSED = "arguments reversed: the variance about the mean of the prediction is the denominator"


def _define(aggregate: str, formula: str) -> None:
    aggregated, space, reference, faults = AGGREGATES[aggregate]
    function, words, better, best, families = FORMULAS[formula]

    def score(pair: Pair) -> PeerValues:
        return PeerValues(
            values=function(*aggregated(pair)), reason="a vector is zero, or constant over genes"
        )

    score.__doc__ = f"""{words} of predicted and true {aggregate}.

    Over genes, of {space}.
    """
    reversed_r2 = formula == "r2_score"
    perturbench_metric(
        id=f"perturbench/{formula}_{aggregate}",
        family=families[aggregate],
        space=f"all genes, {space}",
        reference=reference,
        estimator=f"{SKLEARN_R2}" if reversed_r2 else "plug-in",
        better=better,
        best=best,
        faults=REVERSED if reversed_r2 else faults,
    )(score)


for _aggregate in AGGREGATES:
    for _formula in FORMULAS:
        _define(_aggregate, _formula)


def _define_rank(distance: str, aggregate: str, *, transpose: bool = False, old: bool = False) -> None:
    aggregated, space, reference, faults = AGGREGATES[aggregate]
    metric = {"rmse": "euclidean", "cosine": "cosine"}[distance]
    among = "truths, seen from the prediction" if transpose else "predictions, seen from the truth"

    def rank(pair: Pair) -> PeerValues:
        predicted, true = aggregated(pair)
        seen_from, candidates = (predicted, true) if transpose else (true, predicted)
        found = cdist(seen_from, candidates, metric)
        if distance == "cosine":
            found[~seen_from.any(axis=1)] = np.nan
            found[:, ~candidates.any(axis=1)] = np.nan
        ranks, n = mid_rank_of_own(found), len(found)
        return PeerValues(values=ranks / n if old else ranks / max(n - 1, 1))

    rank.__doc__ = f"""Rank of the own profile among all {among}; 0 is best.

    Position from 0 by {"RMSE" if distance == "rmse" else "falling cosine"} of {space}, over
    {"P: the worst rank is 1 - 1 / P" if old else "P - 1, so that 1 is worst and 0.5 is chance"}.
    """
    suffix = ("_transpose" if transpose else "") + ("@d357dfa" if old else "")
    perturbench_metric(
        id=f"perturbench/{distance}_rank_{aggregate}{suffix}",
        peer_version="d357dfa" if old else "c84038b",
        family="pds",
        space=f"all genes, {space}",
        reference=reference,
        ties="middle rank: what the peer's unseeded shuffle gives on average",
        better="lower",
        best=0.0,
        faults=(f"{faults}; " if faults != "none" else "")
        + "the peer breaks ties by an unseeded shuffle (not reproduced); the target gene counts; candidates "
        "are the perturbations of the file, so the score depends on which are in it",
    )(rank)


for _distance, _aggregate in (("rmse", "average"), ("cosine", "logfc")):
    _define_rank(_distance, _aggregate)
    _define_rank(_distance, _aggregate, transpose=True)
    _define_rank(_distance, _aggregate, old=True)


@perturbench_metric(
    id="perturbench/mmd",
    family="mmd",
    estimator="V-statistic, Euclid, diagonals included; half of 2 E|x - y| - E|x - x'| - E|y - y'|",
    better="lower",
    best=0.0,
    needs=("cells",),
    faults="called MMD but no kernel is chosen: it is half an energy distance; biased upwards for few cells. "
    "The published values are in a PCA fitted on the true test cells, here as for aggregation 'none'; the "
    "1e-4 below which geomloss takes no distance is not reproduced",
)
def mmd(pair: Pair) -> PeerValues:
    """Half the energy distance of predicted and true cells, under the name of an MMD.

    ``E|x - y| - E|x - x'| / 2 - E|y - y'| / 2`` (geomloss ``SamplesLoss("energy")``).
    """
    return PeerValues(values=pair.energy() / 2)


def _define_recall(k: int) -> None:
    def top_k_recall(pair: Pair) -> PeerValues:
        predicted, true = (strongest(pair.genes, t)[:, :k] for t in scores(pair))
        found = [len(np.intersect1d(x, y)) / k for x, y in zip(predicted, true, strict=True)]
        return PeerValues(values=np.array(found))

    top_k_recall.__doc__ = f"""Share of the {k} genes of largest true |t| that are among the predicted {k}.

    t against the true control with overestimated variance (scanpy ``t-test_overestim_var``).
    """
    perturbench_metric(
        id=f"perturbench/top_k_recall_{k}",
        family="de overlap",
        space=f"{k} genes of largest |t|",
        reference="true control cells, for the prediction too",
        ties=LIST_TIES,
        better="higher",
        best=1.0,
        needs=("cells",),
        faults=f"divides by {k} even where there are fewer genes; no sign; infinite t counts as 0, so a gene "
        "that is constant in both groups but differs is no hit"
        + ("; the paper states 20" if k == TOP_K else "; the code uses 50"),
    )(top_k_recall)


for _k in (TOP_K, 20):
    _define_recall(_k)
