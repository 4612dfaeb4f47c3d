"""L. Li et al. (bioRxiv 2024, scPerturbBench with two b): 24 measures on mean profiles and single genes.

Formulas after a reading of TianGzlab/scPerturbBench at e202297 (no licence). Here the all-gene columns;
errors of changes are those of means, and top-20/50/100 columns need the peer's own lists.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from lanner.compat import Pair, PeerMetric, PeerValues, peer_metric
from lanner.compat.explained import SKLEARN_R2, r2_score
from lanner.compat.rows import pearson

Array = np.ndarray[Any, Any]
l_li_metric: Callable[..., Callable[[Callable[[Pair], PeerValues]], PeerMetric]] = partial(
    peer_metric, peer="L. Li et al.", peer_version="e202297", citation="doi:10.1101/2024.12.23.630036"
)
CONTROL = "control mean of the truth file, for prediction and truth"


def _cosine(true: Array, predicted: Array) -> Array:
    """0 for a zero vector, as scikit-learn has it."""
    norms = np.linalg.norm(true, axis=1) * np.linalg.norm(predicted, axis=1)
    cosines: Array = np.divide(
        np.einsum("pg,pg->p", true, predicted), norms, out=np.zeros(len(true)), where=norms > 0
    )
    return cosines


def _define(
    name: str, family: str, words: str, score: Callable[[Array, Array], Array], best: float, *, delta: bool
) -> None:
    def measure(pair: Pair) -> PeerValues:
        reference = pair.truth.control_mean() if delta else 0.0
        return PeerValues(
            values=score(pair.truth.means() - reference, pair.prediction.means() - reference),
            reason="a vector that is the same in all genes",
        )

    measure.__doc__ = f"{words} of true and predicted {'change from control' if delta else 'mean'}."
    faults = "the target gene counts"
    if score is _cosine:
        faults += "; 0 for a prediction of no change at all"
    l_li_metric(
        id=f"l_li/{name}{'_delta' if delta else ''}",
        family=family,
        reference=CONTROL if delta else "none",
        estimator=SKLEARN_R2 if score is r2_score else "plug-in",
        better="higher" if best else "lower",
        best=best,
        faults=faults,
    )(measure)


_define("mse", "mse", "Mean squared difference", lambda t, p: ((t - p) ** 2).mean(axis=1), 0.0, delta=False)
_define(
    "rmse",
    "rmse",
    "Root mean squared difference",
    lambda t, p: np.sqrt(((t - p) ** 2).mean(axis=1)),
    0.0,
    delta=False,
)
_define("mae", "mae", "Mean absolute difference", lambda t, p: np.abs(t - p).mean(axis=1), 0.0, delta=False)
_define("l2", "l2", "Euclidean distance", lambda t, p: np.linalg.norm(t - p, axis=1), 0.0, delta=False)
for _delta in (False, True):
    _kind = "delta" if _delta else "profile"
    _define("r_squared", f"r2 {_kind}", "Explained variance", r2_score, 1.0, delta=_delta)
    _define("pearson_correlation", f"pearson {_kind}", "Pearson correlation", pearson, 1.0, delta=_delta)
    _define("cosine_similarity", f"cosine {_kind}", "Cosine", _cosine, 1.0, delta=_delta)


@l_li_metric(
    id="l_li/delta_agreement_acc",
    family="de direction",
    reference=CONTROL,
    ties="no change counts as down",
    better="higher",
    best=1.0,
    faults="all genes and no threshold, so noise decides; no change is a fall: predicting no change scores "
    "the share of genes that do not rise",
)
def delta_agreement_acc(pair: Pair) -> PeerValues:
    """Share of genes that rise, or do not rise, in prediction and truth alike."""
    control = pair.truth.control_mean()
    same = (pair.prediction.means() > control) == (pair.truth.means() > control)
    return PeerValues(values=same.mean(axis=1))


@l_li_metric(id="l_li/wasserstein", family="w1", better="lower", best=0.0, needs=("cells",), faults="none")
def wasserstein(pair: Pair) -> PeerValues:
    """Exact one-dimensional Wasserstein distance of predicted and true cells, mean over genes."""
    return PeerValues(values=pair.wasserstein_by_gene().mean(axis=1))


@l_li_metric(
    id="l_li/mmd",
    family="mmd",
    estimator="V-statistic per gene, kernel exp(-(x - y)^2), diagonals included; mean over genes",
    better="lower",
    best=0.0,
    needs=("cells",),
    faults="one bandwidth for all genes and scales; biased upwards for few cells; single genes only, so "
    "genes that change together are not seen",
)
def mmd(pair: Pair) -> PeerValues:
    """Squared MMD of predicted and true cells gene by gene, Gaussian kernel of gamma 1, mean over genes."""
    values = []
    for p in range(len(pair.perturbations)):
        x, y = (side.cells(p).toarray().astype(np.float64) for side in (pair.prediction, pair.truth))
        per_gene = [_mmd(x[:, g], y[:, g]) for g in range(x.shape[1])]
        values.append(np.mean(per_gene))
    return PeerValues(values=np.array(values))


def _mmd(x: Array, y: Array) -> float:
    """``E k(x, x') + E k(y, y') - 2 E k(x, y)``; equal values, of which zeros are most, are taken once."""
    (xs, nx), (ys, ny) = (np.unique(v, return_counts=True) for v in (x, y))
    wx, wy = nx / nx.sum(), ny / ny.sum()

    def mean(a: Array, wa: Array, b: Array, wb: Array) -> float:
        return float(wa @ np.exp(-((a[:, None] - b[None, :]) ** 2)) @ wb)

    return mean(xs, wx, xs, wx) + mean(ys, wy, ys, wy) - 2 * mean(xs, wx, ys, wy)
