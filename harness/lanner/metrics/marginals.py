"""Gene by gene: distance of distributions, and what gives constant, shifted or inflated cells away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lanner.metrics import Comparison, Values, metric
from lanner.metrics.population import MIN_CELLS, Population

if TYPE_CHECKING:
    from torch import Tensor

_CARD: dict[str, Any] = {
    "level": "population",
    "space": "genes",
    "chance": None,
    "undefined": "fewer than 20 cells in a truth half, its duplicate or the prediction",
    "requires": "cells",
    "requires_truth": "cells",
    "min_cells": MIN_CELLS,
}
_FEW_PREDICTED = f"fewer than {MIN_CELLS} predicted cells, or staged controls to draw them from"
_FEW_TRUE = f"fewer than {MIN_CELLS} cells in a truth half"


@metric(
    id="w1_gene",
    title="Wasserstein distance (genes)",
    distance="1-D Wasserstein, order 1",
    estimator="exact, mean over unmasked genes; equal n, drawn without replacement, averaged; above 0 for "
    "two "
    "samples of one distribution, the more so the fewer cells",
    better="lower",
    best=0.0,
    invariances=("dependence between genes", "the same gene-wise shift of prediction and truth"),
    citation="doi:10.48550/arXiv.2603.11244",
    **_CARD,
)
def w1_gene(comparison: Comparison) -> Values:
    r"""Wasserstein distance between predicted and true marginal distributions, mean over genes.

    :math:`|K|^{-1} \sum_g \int |F_g(x) - G_g(x)| dx` with the empirical distributions of m cells each.
    """
    cells = _population(comparison)
    by_gene = cells.truth.wasserstein(cells.predicted, cells.truth_draws, cells.predicted_draws)
    return _values(_mean(by_gene, comparison), cells)


@metric(
    id="variance_ratio",
    title="Variance ratio",
    estimator="sum over unmasked genes of unbiased variances, predicted / true; equal n, drawn, averaged",
    better="nearest",
    best=1.0,
    invariances=("a gene-wise shift of the prediction", "dependence between genes"),
    citation="doi:10.48550/arXiv.2603.11244",
    **_CARD,
)
def variance_ratio(comparison: Comparison) -> Values:
    r"""Total variance of predicted cells as a share of that of true cells: 1 is right.

    :math:`\sum_g v_g(\hat x) / \sum_g v_g(x)`: 0 for constant cells, above 1 for inflated ones.
    """
    cells = _population(comparison)
    keep = (~comparison.masked).double()
    _, true, _ = cells.truth.summaries(cells.truth_draws)
    _, predicted, _ = cells.predicted.summaries(cells.predicted_draws)
    total = (true * keep).sum(dim=-1)
    answer = _values((predicted * keep).sum(dim=-1) / total, cells)
    return Values(
        values=answer.values.masked_fill(total <= 0, float("nan")),
        scorable=answer.scorable,
        undefined=answer.undefined,
        unscorable=answer.unscorable,
    )


@metric(
    id="zero_fraction_error",
    title="Zero-fraction error",
    distance="absolute difference of the shares of zeros",
    estimator="mean over unmasked genes; equal n, drawn without replacement, averaged; above 0 for two "
    "samples of "
    "one distribution",
    better="lower",
    best=0.0,
    invariances=("dependence between genes", "any transformation that keeps zeros"),
    citation="doi:10.1038/s41467-021-21765-5",
    **_CARD,
)
def zero_fraction_error(comparison: Comparison) -> Values:
    r"""Difference of the share of zeros in predicted and true cells, mean over genes.

    :math:`|K|^{-1} \sum_g |z_g(\hat x) - z_g(x)|`: large where cells were made by adding a shift.
    """
    cells = _population(comparison)
    _, _, true = cells.truth.summaries(cells.truth_draws)
    _, _, predicted = cells.predicted.summaries(cells.predicted_draws)
    return _values(_mean((predicted - true).abs(), comparison), cells)


def _population(comparison: Comparison) -> Population:
    assert comparison.population is not None
    return comparison.population


def _mean(by_gene: Tensor, comparison: Comparison) -> Tensor:
    keep = (~comparison.masked).double()
    return (by_gene * keep).sum(dim=-1) / keep.sum(dim=-1)


def _values(values: Tensor, cells: Population) -> Values:
    return Values(
        values=values.masked_fill(cells.size < MIN_CELLS, float("nan")),
        scorable=cells.truth_size >= MIN_CELLS,
        undefined=_FEW_PREDICTED,
        unscorable=_FEW_TRUE,
    )
