"""GGE 1.0.1 (gge-eval): correlations and errors of mean profiles, and of paired rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lanner.compat import Pair, PeerValues
from lanner.compat.gge_cells import gge_metric
from lanner.compat.rows import pearson, spearman

Array = np.ndarray[Any, Any]
Correlation = Callable[[Array, Array], Array]
NAMES: dict[str, Correlation] = {"pearson": pearson, "spearman": spearman}
CONSTANT = "a constant profile, or no gene that varies in both"


def _means(pair: Pair) -> tuple[Array, Array]:
    return pair.truth.means(), pair.prediction.means()


def _by_rows(pair: Pair, correlation: Correlation) -> PeerValues:
    values = correlation(*_means(pair))
    numbers = zip(pair.truth.n_cells(), pair.prediction.n_cells(), strict=True)
    for p, (true, predicted) in enumerate(numbers):
        if true == predicted:
            x, y = (side.cells(p).toarray().astype(np.float64).T for side in (pair.truth, pair.prediction))
            found = correlation(x, y)
            values[p] = found[np.isfinite(found)].mean() if np.isfinite(found).any() else np.nan
    return PeerValues(values=values, reason=CONSTANT)


def _define(name: str, correlation: Correlation) -> None:
    def paired(pair: Pair) -> PeerValues:
        return _by_rows(pair, correlation)

    def of_means(pair: Pair) -> PeerValues:
        return PeerValues(values=correlation(*_means(pair)), reason=CONSTANT)

    def of_effects(pair: Pair) -> PeerValues:
        control = pair.truth.control_mean()
        values = correlation(*(means - control for means in _means(pair)))
        return PeerValues(values=np.nan_to_num(values))

    title = name.capitalize()
    paired.__doc__ = f"""{title} correlation over row-paired cells, averaged over genes; or of mean profiles.

    With equally many true and predicted cells row i of one is paired with row i of the other. With unequal
    numbers: the correlation of the mean profiles over genes.
    """
    of_means.__doc__ = f"""{title} correlation of predicted and true mean profile."""
    of_effects.__doc__ = f"""{title} correlation of predicted and true mean, less the truth's control mean.

    "Perturbation effect", equation 1 of the paper. ``gge.evaluate`` leaves it NaN unless another metric asks
    for the control; called by itself it is this.
    """
    options: dict[str, Any] = {
        "better": "higher",
        "best": 1.0,
        "ties": "mid-ranks" if name != "pearson" else "none",
    }
    gge_metric(
        id=f"gge/{name}",
        family=f"{name} profile",
        needs=("cells",),
        faults="cells are not paired: the order of rows decides, the same cells in another order score "
        "about 0, and one cell more or less changes the quantity",
        **options,
    )(paired)
    gge_metric(id=f"gge/mean_{name}", family=f"{name} profile", **options)(of_means)
    gge_metric(
        id=f"gge/perturbation_effect_{name}",
        family=f"{name} delta",
        reference="the truth's control mean",
        undefined="0",
        faults="a constant effect, such as predicting the control itself, scores 0 instead of undefined",
        **options,
    )(of_effects)


for each, formula in NAMES.items():
    _define(each, formula)


@gge_metric(
    id="gge/r_squared",
    family="r2 profile",
    better="higher",
    best=1.0,
    undefined="constant truth: 1 if predicted exactly, else 0",
    faults="of the profiles, not of changes: predicting the control is nearly perfect",
)
def r_squared(pair: Pair) -> PeerValues:
    """``1 - SSE / SST`` of the predicted against the true mean profile, over genes."""
    true, predicted = _means(pair)
    error = ((true - predicted) ** 2).sum(axis=1)
    total = ((true - true.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    values = np.where(error == 0, 1.0, 0.0)
    values[total > 0] = 1.0 - error[total > 0] / total[total > 0]
    return PeerValues(values=values)


@gge_metric(id="gge/mse", family="mse", better="lower", best=0.0)
def mse(pair: Pair) -> PeerValues:
    """Mean over genes of the squared difference of predicted and true mean."""
    true, predicted = _means(pair)
    return PeerValues(values=((true - predicted) ** 2).mean(axis=1))
