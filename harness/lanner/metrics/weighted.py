"""Errors weighted towards the genes that tell a perturbation from the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lanner.metrics import Comparison, Values, metric
from lanner.metrics.correlation import TRAIN_MEAN

if TYPE_CHECKING:
    from torch import Tensor

MIN_CELLS = 20
_CARD: dict[str, Any] = {
    "level": "centroid",
    "space": "genes",
    "chance": None,
    "weights": "|t| (overestimated variance) of the half not scored against the train perturbed cells of the "
    "context without that perturbation; min-max over unmasked genes, squared, sum 1; against the full "
    "truth, of "
    "its own cells",
    "undefined": "fewer than 5 other train perturbations in the context, or 20 cells in a truth half",
    "requires_truth": "cells",
    "min_cells": MIN_CELLS,
    "citation": "doi:10.48550/arXiv.2506.22641",
}
_FEW = f"fewer than 5 other train perturbations in the context, or {MIN_CELLS} cells in a truth half"


@metric(
    id="wmse",
    title="Weighted MSE",
    distance="squared error",
    better="lower",
    best=0.0,
    invariances=("the same gene-wise shift of prediction and truth",),
    **_CARD,
)
def wmse(comparison: Comparison) -> Values:
    r"""Mean squared error weighted by how clearly each gene tells the perturbation from others.

    :math:`\sum_g w_g (p_g - t_g)^2` with :math:`w \propto ((|t_g| - \min) / (\max - \min))^2` (Mejia et al.
    2025), where t comes from the other half of the condition's cells: what is weighted and what is scored
    share no noise. The duplicate *is* that other half, and meets its own exaggerations there: its score is
    pessimistic.
    """
    weights, scorable = _weights(comparison)
    squared = (comparison.predicted - comparison.truth).square()
    return Values(values=(weights * squared).sum(dim=-1), scorable=scorable, unscorable=_FEW)


@metric(
    id="weighted_r2_delta",
    title="Weighted R² Δ",
    reference=TRAIN_MEAN,
    estimator="1 - SSE / SST",
    better="higher",
    best=1.0,
    **_CARD,
)
def weighted_r2_delta(comparison: Comparison) -> Values:
    r"""Explained variance of the change from the train mean, weighted as wmse is.

    :math:`1 - \sum w (\delta_p - \delta_t)^2 / \sum w (\delta_t - \bar\delta_t)^2` with
    :math:`\delta = \cdot - m` and the weighted mean :math:`\bar\delta_t` (Mejia et al. 2025).
    """
    weights, scorable = _weights(comparison)
    true = comparison.truth - comparison.train_reference
    squared = (comparison.predicted - comparison.truth).square()
    spread = (true - (weights * true).sum(dim=-1, keepdim=True)).square()
    total = (weights * spread).sum(dim=-1)
    return Values(
        values=1 - (weights * squared).sum(dim=-1) / total,
        scorable=scorable & (total > 0),
        unscorable=_FEW,
    )


def _weights(comparison: Comparison) -> tuple[Tensor, Tensor]:
    """Weights ``(B, n_genes)`` that sum to 1 over unmasked genes, and whether the truth gives any."""
    assert comparison.statistics is not None
    t = comparison.statistics.t_of_other_half()
    rows = comparison.truth
    finite = rows.isfinite().all(dim=-1)
    if t is None:
        return rows.new_zeros(rows.shape), finite & False
    hidden, t = comparison.masked, t.nan_to_num(0.0)  # a gene without variance tells nothing: least weight
    low = t.masked_fill(hidden, float("inf")).min(dim=-1, keepdim=True).values
    high = t.masked_fill(hidden, float("-inf")).max(dim=-1, keepdim=True).values
    weights = ((t - low) / (high - low)).square().masked_fill(hidden, 0.0)
    scorable = finite & (comparison.n_cells >= MIN_CELLS) & (high > low).squeeze(-1)
    return weights / weights.sum(dim=-1, keepdim=True), scorable
