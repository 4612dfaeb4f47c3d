"""Maximum mean discrepancy with Gaussian kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lanner.metrics import Comparison, Values, metric
from lanner.metrics.population import MIN_CELLS

if TYPE_CHECKING:
    from torch import Tensor

WIDEST, WIDTHS = 4.0, 5
"""Bandwidths 4, 2, 1, 1/2 and 1/4 times the median distance between true cells."""
SATURATED = 0.01
"""A mean kernel value nearer than this to 0 or 1 says nothing of where cells are."""
_CARD: dict[str, Any] = {
    "level": "population",
    "estimator": "U-statistic, squared MMD; mean of Gaussian kernels of 1/4, 1/2, 1, 2, 4 times the median "
    "distance "
    "between the condition's true cells, shared by all methods; equal n, drawn without replacement, averaged",
    "better": "lower",
    "best": 0.0,
    "chance": None,
    "undefined": "fewer than 20 cells in a truth half, its duplicate or the prediction; a kernel that is "
    "saturated "
    "between true cells",
    "requires": "cells",
    "requires_truth": "cells",
    "min_cells": MIN_CELLS,
    "distance": "Gaussian kernels of Euclidean distance",
    "citation": "https://jmlr.org/papers/v13/gretton12a.html",
}


@metric(
    id="mmd_rbf",
    title="MMD (PCA-50)",
    space="PCA of 50 components fitted on train cells; own targets at the PCA's mean",
    invariances=("rotation", "garbage orthogonal to the PCA"),
    **_CARD,
)
def mmd_rbf(comparison: Comparison) -> Values:
    r"""Squared maximum mean discrepancy of predicted and true cells in a train-fitted PCA.

    :math:`E k(X, X') + E k(Y, Y') - 2 E k(X, Y)` over distinct pairs (Gretton et al. 2012): 0 in expectation
    for two samples of one distribution, so that single values may be below 0.
    """
    return _mmd(comparison, "pca")


@metric(id="mmd_rbf/gene", title="MMD (genes)", space="genes", invariances=("rotation",), **_CARD)
def mmd_rbf_gene(comparison: Comparison) -> Values:
    """Squared maximum mean discrepancy of predicted and true cells over all genes."""
    return _mmd(comparison, "genes")


def _mmd(comparison: Comparison, space: str) -> Values:
    cells = comparison.population
    assert cells is not None
    truth, predicted = cells.truth, cells.predicted
    distances = truth.distances(truth, space, masked=cells.masked)
    bandwidth = median_distance(distances)
    within_truth = kernel(distances, bandwidth).fill_diagonal_(0.0)
    within = kernel(predicted.distances(predicted, space, masked=cells.masked), bandwidth).fill_diagonal_(0.0)
    between = kernel(predicted.distances(truth, space, masked=cells.masked), bandwidth)
    t, p, m = cells.truth_draws, cells.predicted_draws, cells.size.double()
    pairs = m * (m - 1)
    values = (
        ((t @ within_truth) * t).sum(dim=1) / pairs
        + ((p @ within) * p).sum(dim=1) / pairs
        - 2 * ((p @ between) * t).sum(dim=1) / m.square()
    )
    n = len(distances)
    mean = within_truth.sum() / max(n * (n - 1), 1)
    usable = (bandwidth > 0) & (mean > SATURATED) & (mean < 1 - SATURATED)
    return Values(
        values=values.masked_fill(cells.size < MIN_CELLS, float("nan")),
        scorable=(cells.truth_size >= MIN_CELLS) & usable,
        undefined=f"fewer than {MIN_CELLS} predicted cells, or staged controls to draw them from",
        unscorable=f"fewer than {MIN_CELLS} cells in a truth half, or a saturated kernel",
    )


def median_distance(distances: Tensor) -> Tensor:
    """Median distance between different cells; 0 with fewer than two."""
    n = len(distances)
    if n < 2:
        return distances.new_zeros(())
    # Each pair is there twice, so that the lower median of all of them is that of pairs.
    return distances.flatten()[1:].view(n - 1, n + 1)[:, :-1].median()


def kernel(distances: Tensor, bandwidth: Tensor) -> Tensor:
    """Mean of Gaussian kernels; each is the fourth power of the next wider one."""
    wide = (-distances.square() / (2 * (WIDEST * bandwidth).square().clamp_min(1e-300))).exp()
    total = wide.clone()
    for _ in range(WIDTHS - 1):
        wide = wide.square().square()
        total += wide
    return total / WIDTHS
