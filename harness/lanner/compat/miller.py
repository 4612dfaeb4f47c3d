"""Miller et al. (bioRxiv 2025, CellSimBench): thirteen metrics, the mask of changed genes put right.

Definitions after shiftbioscience/Perturbation-Models-Outperform-Baselines, commit 08db3c1 (MIT).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from lanner.compat import Pair, PeerMetric, PeerValues, Side, peer_metric
from lanner.compat.explained import SKLEARN_R2, r2_score
from lanner.compat.once import once
from lanner.compat.rows import pearson
from lanner.compat.systema import ALL_PERTURBED, train_mean
from lanner.compat.t_statistics import overestimated

Array = np.ndarray[Any, Any]
MIN_CELLS = 4
FDR = 0.05
miller_metric: Callable[..., Callable[[Callable[[Pair], PeerValues]], PeerMetric]] = partial(
    peer_metric, peer="Miller et al.", peer_version="08db3c1", citation="doi:10.1101/2025.10.20.683304"
)
CONTROL = "control mean of the truth file, for prediction and truth"
HALF = "the peer's truth is the first half of each perturbation's cells: give those as the truth file"
REST = (
    "true cells against those of all other perturbations of the truth file, and of the train file where one "
    "is given (the peer: of the whole dataset), control left out; overestimated-variance t"
)
MASK = (
    "the peer's mask does not fit: expression is put in the order of a Python set of gene names, the mask "
    "stays in the order of the file, so other genes are scored in every process (0.98 or 0.03 for one "
    "prediction); mended in its 3ff329a, brought back in 7642452. Here the mask fits the genes; " + HALF
)
DEGS = f"genes with BH-adjusted p < 0.05 ({REST}); more than two, else NaN"
WEIGHTS = f"squared min-max of |t| over genes ({REST})"


@dataclass(frozen=True)
class AgainstRest:
    """``|t|`` and BH-adjusted p of each perturbation against the others, ``(P, G)``; 0 and 1 if untested."""

    size: Array
    fdr: Array


@once
def against_rest(pair: Pair) -> AgainstRest:
    """scanpy's ``rank_genes_groups(reference="rest", method="t-test_overestim_var")``, control left out."""
    from scipy.stats import false_discovery_control

    n, sums, squares = _totals(pair.truth)
    added = None
    if pair.train is not None:
        added, in_train = _totals(pair.train), np.array(pair.train_perturbations)
    size = np.zeros(sums.shape)
    fdr = np.ones(sums.shape)
    tested = n >= MIN_CELLS
    for p in np.flatnonzero(tested):
        others = tested & (np.arange(len(n)) != p)
        rest = [n[others].sum(), sums[others].sum(axis=0), squares[others].sum(axis=0)]
        if added is not None:
            kept = (added[0] >= MIN_CELLS) & ~np.isin(in_train, [pair.perturbations[p]])
            rest = [total + more[kept].sum(axis=0) for total, more in zip(rest, added, strict=True)]
        if rest[0] < 2:
            continue
        mean = rest[1] / rest[0]
        variance = np.maximum(rest[2] - rest[0] * mean**2, 0.0) / (rest[0] - 1)
        t, probability = overestimated(pair.truth.means()[p], pair.truth.variances()[p], n[p], mean, variance)
        size[p], fdr[p] = np.abs(t), false_discovery_control(probability)
    return AgainstRest(size, fdr)


def _totals(side: Side) -> tuple[Array, Array, Array]:
    """Cells ``(P,)``, sums and sums of squares ``(P, G)``."""
    n, means = side.n_cells(), side.means()
    spread = np.where((n > 1)[:, None], np.nan_to_num(side.variances()) * (n - 1)[:, None], 0.0)
    return n, means * n[:, None], spread + means**2 * n[:, None]


@once
def weights(pair: Pair) -> Array:
    """``((|t| - min) / (max - min))^2`` per perturbation, ``(P, G)``; 0 where that is undefined."""
    size = against_rest(pair).size
    low, high = size.min(axis=1, keepdims=True), size.max(axis=1, keepdims=True)
    # An infinite t makes NaN of its own weight and 0 of all others; the peer then sets NaN to 0.
    with np.errstate(invalid="ignore"):
        scaled: Array = (size - low) / np.where(high > low, high - low, np.nan)
    return np.where(np.isnan(scaled), 0.0, scaled) ** 2


def changes(pair: Pair, reference: Array) -> tuple[Array, Array]:
    """Predicted and true change from a reference ``(G,)``."""
    return pair.prediction.means() - reference, pair.truth.means() - reference


def on_changed(pair: Pair, reference: Array, score: Callable[[Array, Array], Array]) -> Array:
    """``score(predicted, true)`` over each perturbation's changed genes; NaN with two or fewer."""
    predicted, true = changes(pair, reference)
    mask = against_rest(pair).fdr < FDR
    return np.array(
        [
            score(predicted[p : p + 1, genes], true[p : p + 1, genes])[0] if genes.sum() > 2 else np.nan
            for p, genes in enumerate(mask)
        ]
    )


def _r2(predicted: Array, true: Array) -> Array:
    return r2_score(true, predicted)


@miller_metric(id="miller/mse", family="mse", better="lower", best=0.0, faults=HALF)
def mse(pair: Pair) -> PeerValues:
    """Mean squared difference of predicted and true mean."""
    return PeerValues(values=((pair.prediction.means() - pair.truth.means()) ** 2).mean(axis=1))


@miller_metric(
    id="miller/wmse",
    family="wmse",
    estimator=f"weights: {WEIGHTS}, sum 1",
    undefined="NaN where all weights are 0",
    better="lower",
    best=0.0,
    needs=("truth cells",),
    faults=f"{HALF}; blind to whatever is predicted for genes that do not change; one infinite t takes the "
    "weight of every gene",
)
def wmse(pair: Pair) -> PeerValues:
    """Squared difference of predicted and true mean, weighted by how clearly each gene changes."""
    weight = weights(pair)
    total, error = weight.sum(axis=1), (weight * (pair.prediction.means() - pair.truth.means()) ** 2)
    values = np.divide(error.sum(axis=1), total, out=np.full(len(total), np.nan), where=total > 0)
    return PeerValues(values=values, reason="no gene has a weight: |t| is alike for all genes")


@miller_metric(
    id="miller/nir",
    family="pds",
    ties="a candidate as near as the own truth counts as nearer",
    undefined="NaN with one perturbation",
    better="higher",
    best=1.0,
    faults="off by default, and then written as 0.0; ties count against the prediction; the target counts",
)
def nir(pair: Pair) -> PeerValues:
    """Normalised inverse rank: share of other true means farther than the own one, Euclid."""
    distances = cdist(pair.prediction.means(), pair.truth.means())
    farther = (distances > np.diag(distances)[:, None]).sum(axis=1)
    n = len(distances) - 1
    values = farther / n if n else np.full(1, np.nan)
    return PeerValues(values=values, reason="there is no other perturbation")


def _define(suffix: str, reference: Callable[[Pair], Array], words: str, needs: tuple[str, ...]) -> None:
    def correlation(pair: Pair) -> PeerValues:
        return PeerValues(
            values=pearson(*changes(pair, reference(pair))), reason="a change that is the same in all genes"
        )

    def correlation_on_degs(pair: Pair) -> PeerValues:
        return PeerValues(
            values=on_changed(pair, reference(pair), pearson),
            reason="two or fewer changed genes, or a constant change",
        )

    def explained(pair: Pair) -> PeerValues:
        return PeerValues(values=_r2(*changes(pair, reference(pair))))

    def explained_on_degs(pair: Pair) -> PeerValues:
        return PeerValues(values=on_changed(pair, reference(pair), _r2), reason="two or fewer changed genes")

    def weighted(pair: Pair) -> PeerValues:
        predicted, true = changes(pair, reference(pair))
        weight = weights(pair)
        weight = np.where(weight.sum(axis=1, keepdims=True) > 0, weight, 1.0)
        return PeerValues(values=r2_score(true, predicted, weight))

    short = {"deltactrl": "control", "deltapert": "the train mean"}[suffix]
    correlation.__doc__ = f"Pearson correlation of predicted and true change from {short}."
    explained.__doc__ = f"Explained variance of the true change from {short}, all genes."
    weighted.__doc__ = f"Explained variance of the change from {short}, weighted by |t| of each gene."
    correlation_on_degs.__doc__ = f"Pearson correlation of change from {short}, on changed genes."
    explained_on_degs.__doc__ = f"Explained variance of the change from {short}, on changed genes."
    scored = {"reference": words, "better": "higher", "best": 1.0}
    of_cells = ("truth cells", *needs)
    miller_metric(id=f"miller/pearson_{suffix}", family="pearson delta", needs=needs, faults=HALF, **scored)(
        correlation
    )
    miller_metric(
        id=f"miller/pearson_{suffix}_degs",
        family="pearson delta",
        space=DEGS,
        needs=of_cells,
        faults=MASK,
        **scored,
    )(correlation_on_degs)
    miller_metric(
        id=f"miller/r2_{suffix}", family="r2 delta", estimator=SKLEARN_R2, needs=needs, faults=HALF, **scored
    )(explained)
    miller_metric(
        id=f"miller/r2_{suffix}_degs",
        family="r2 delta",
        space=DEGS,
        estimator=SKLEARN_R2,
        needs=of_cells,
        faults=MASK,
        **scored,
    )(explained_on_degs)
    miller_metric(
        id=f"miller/weighted_r2_{suffix}",
        family="r2 delta",
        estimator=f"{SKLEARN_R2}; weights: {WEIGHTS}",
        needs=of_cells,
        faults=f"{HALF}; unweighted where all weights are 0",
        **scored,
    )(weighted)


_define("deltactrl", lambda pair: pair.truth.control_mean(), CONTROL, ())
_define("deltapert", train_mean, ALL_PERTURBED, ("train",))
