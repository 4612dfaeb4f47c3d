"""The several things called R²: explained variance of the change, and squared correlations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lanner.metrics import RESOLUTION, Comparison, Values, metric
from lanner.metrics.correlation import CONTROL
from lanner.metrics.expression import centred, delta_correlation

if TYPE_CHECKING:
    from torch import Tensor

MIN_CELLS = 20
MIN_POSITIVES = 10
_ON_DEG: dict[str, Any] = {
    "space": "genes that the truth part itself calls changed (the labels of de_auprc)",
    "requires_truth": "cells",
    "labels": "mann-whitney",
    "min_cells": MIN_CELLS,
    "min_positives": MIN_POSITIVES,
}
_CONSTANT = "a profile or change that is constant over the genes, up to float32 resolution"
_FEW = f"fewer than {MIN_POSITIVES} changed genes, under {MIN_CELLS} cells, or a constant truth"
_FLAT = "the prediction is the same in all genes, up to float32 resolution"


@metric(
    id="r2_delta",
    title="R² Δ",
    level="centroid",
    space="genes",
    reference=CONTROL,
    estimator="1 - SSE / SST",
    better="higher",
    best=1.0,
    chance=None,
    undefined="never for a finite prediction; a constant true change is dropped",
    tolerance=RESOLUTION,
    citation="doi:10.1101/2025.10.20.683304",
)
def r2_delta(comparison: Comparison) -> Values:
    r"""Explained variance over genes of the true change from control.

    :math:`1 - \sum (\delta_p - \delta_t)^2 / \sum (\delta_t - \bar\delta_t)^2` with :math:`\delta_p = p - a`,
    :math:`\delta_t = t - b` over the unmasked genes: scikit-learn's ``r2_score(truth, prediction)``.
    """
    return _explained(comparison, ~comparison.masked)


@metric(
    id="r2_delta/deg",
    title="R² Δ (DE genes)",
    level="centroid",
    reference=CONTROL,
    estimator="1 - SSE / SST",
    better="higher",
    best=1.0,
    chance=None,
    undefined="fewer than 10 changed genes, or fewer than 20 cells in a truth half",
    tolerance=RESOLUTION,
    citation="doi:10.1101/2025.10.20.683304",
    **_ON_DEG,
)
def r2_delta_deg(comparison: Comparison) -> Values:
    """Explained variance of the true change over the genes that are truly changed."""
    return _explained(comparison, _changed(comparison), MIN_POSITIVES)


@metric(
    id="r2_corr/profile",
    title="Squared correlation (profile)",
    level="centroid",
    space="genes",
    estimator="squared Pearson correlation",
    better="higher",
    best=1.0,
    chance=0.0,
    invariances=("scale and sign of the prediction", "a shift common to all genes"),
    undefined=_CONSTANT,
    tolerance=RESOLUTION,
    citation="https://github.com/hxzhu491/Cell-Perturbation-evaluation-Metric",
)
def r2_corr_profile(comparison: Comparison) -> Values:
    r"""Squared correlation over genes of predicted and true mean expression.

    :math:`r(p, t)^2` (Zhu et al. 2025). No change reaches .9: genes differ more than perturbations do.
    """
    return _squared(comparison, ~comparison.masked, changes=False)


@metric(
    id="r2_corr/delta",
    title="Squared correlation (Δ)",
    level="centroid",
    space="genes",
    reference=CONTROL,
    estimator="squared Pearson correlation",
    better="higher",
    best=1.0,
    chance=0.0,
    invariances=("scale and sign of the predicted change", "a shift common to all genes"),
    undefined=_CONSTANT,
    tolerance=RESOLUTION,
    citation="https://github.com/hxzhu491/Cell-Perturbation-evaluation-Metric",
)
def r2_corr_delta(comparison: Comparison) -> Values:
    r"""Squared correlation over genes of predicted and true change from control.

    :math:`r(p - a, t - b)^2` (the logFC R² of Zhu et al. 2025): the opposite change earns as much.
    """
    return _squared(comparison, ~comparison.masked, changes=True)


@metric(
    id="r2_corr/profile/deg",
    title="Squared correlation (profile, DE genes)",
    level="centroid",
    estimator="squared Pearson correlation",
    better="higher",
    best=1.0,
    chance=0.0,
    invariances=("scale and sign of the prediction", "a shift common to all genes"),
    undefined=f"{_CONSTANT}; fewer than 10 changed genes, or fewer than 20 cells in a truth half",
    tolerance=RESOLUTION,
    citation="https://github.com/hxzhu491/Cell-Perturbation-evaluation-Metric",
    **_ON_DEG,
)
def r2_corr_profile_deg(comparison: Comparison) -> Values:
    """Squared correlation of mean expression over the genes that are truly changed."""
    return _squared(comparison, _changed(comparison), changes=False, least=MIN_POSITIVES)


@metric(
    id="r2_corr/delta/deg",
    title="Squared correlation (Δ, DE genes)",
    level="centroid",
    reference=CONTROL,
    estimator="squared Pearson correlation",
    better="higher",
    best=1.0,
    chance=0.0,
    invariances=("scale and sign of the predicted change", "a shift common to all genes"),
    undefined=f"{_CONSTANT}; fewer than 10 changed genes, or fewer than 20 cells in a truth half",
    tolerance=RESOLUTION,
    citation="https://github.com/hxzhu491/Cell-Perturbation-evaluation-Metric",
    **_ON_DEG,
)
def r2_corr_delta_deg(comparison: Comparison) -> Values:
    """Squared correlation of the change from control over the genes that are truly changed."""
    return _squared(comparison, _changed(comparison), changes=True, least=MIN_POSITIVES)


def _changed(comparison: Comparison) -> Tensor:
    assert comparison.labels is not None
    return comparison.labels & ~comparison.masked


def _enough(comparison: Comparison, keep: Tensor, least: int) -> Tensor:
    """Whether the truth part has ``least`` genes and, where they were tested for, the cells for it."""
    if not least:
        return comparison.truth.isfinite().all(dim=-1)
    many: Tensor = (keep.sum(dim=-1) >= least) & (comparison.n_cells >= MIN_CELLS)
    return many & comparison.truth.isfinite().all(dim=-1)


def _explained(comparison: Comparison, keep: Tensor, least: int = 0) -> Values:
    true, constant = centred(comparison.truth, comparison.truth_reference, keep)
    predicted = comparison.predicted - comparison.predicted_reference
    error = (predicted - (comparison.truth - comparison.truth_reference)) * keep.double()
    return Values(
        values=1 - error.square().sum(dim=-1) / true.square().sum(dim=-1),
        scorable=_enough(comparison, keep, least) & ~constant,
        unscorable=_FEW if least else "the true change is the same in all genes",
    )


def _squared(comparison: Comparison, keep: Tensor, *, changes: bool, least: int = 0) -> Values:
    a, b = comparison.predicted_reference, comparison.truth_reference
    if not changes:
        a, b = 0 * a, 0 * b
    answer = delta_correlation(comparison, a, b, keep)
    return Values(
        values=answer.values.square(),
        scorable=answer.scorable & _enough(comparison, keep, least),
        undefined=_FLAT,
        unscorable=_FEW if least else "the truth is the same in all genes",
    )
