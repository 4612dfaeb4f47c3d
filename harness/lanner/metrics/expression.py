"""Agreement of predicted and true mean expression."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lanner.metrics import RESOLUTION, Comparison, Values, metric

if TYPE_CHECKING:
    from torch import Tensor

_CONSTANT_TRUTH = "the true change is the same in all genes"
_CONSTANT_PREDICTION = "the predicted change is the same in all genes, up to float32 resolution"


@metric(
    id="mse",
    title="MSE",
    level="centroid",
    space="genes",
    distance="squared error",
    better="lower",
    best=0.0,
    chance=None,
    invariances=("the same gene-wise shift of prediction and truth",),
    undefined="never for a finite prediction",
    citation="doi:10.1038/s41592-025-02772-6",
)
def mse(comparison: Comparison) -> Values:
    r"""Mean squared error of the predicted mean profile, over genes.

    :math:`|K|^{-1} \sum_{g \in K} (p_g - t_g)^2` over the unmasked genes :math:`K` (Ahlmann-Eltze et al. 2025
    report its root times :math:`\sqrt{|K|}`).
    """
    keep = (~comparison.masked).double()
    squared = (comparison.predicted - comparison.truth).square() * keep
    values = squared.sum(dim=-1) / keep.sum(dim=-1)
    return Values(values=values, scorable=comparison.truth.isfinite().all(dim=-1))


@metric(
    id="rmse",
    title="RMSE",
    level="centroid",
    space="genes",
    distance="root of the mean squared error",
    better="lower",
    best=0.0,
    chance=None,
    invariances=("the same gene-wise shift of prediction and truth",),
    undefined="never for a finite prediction",
    citation="doi:10.48550/arXiv.2408.10609",
)
def rmse(comparison: Comparison) -> Values:
    r"""Root mean squared error of the predicted mean profile, over genes.

    :math:`\sqrt{\mathrm{mse}}`, taken in each truth part before parts and conditions are averaged
    (PerturBench, Wu et al. 2024).
    """
    squared = mse(comparison)
    return Values(values=squared.values.sqrt(), scorable=squared.scorable)


@metric(
    id="mae",
    title="MAE",
    level="centroid",
    space="genes",
    distance="absolute error",
    better="lower",
    best=0.0,
    chance=None,
    invariances=("the same gene-wise shift of prediction and truth",),
    undefined="never for a finite prediction",
    citation="https://github.com/ArcInstitute/cell-eval",
)
def mae(comparison: Comparison) -> Values:
    r"""Mean absolute error of the predicted mean profile, over genes.

    :math:`|K|^{-1} \sum_{g \in K} |p_g - t_g|` over the unmasked genes :math:`K` (Virtual Cell Challenge).
    """
    keep = (~comparison.masked).double()
    absolute = (comparison.predicted - comparison.truth).abs() * keep
    values = absolute.sum(dim=-1) / keep.sum(dim=-1)
    return Values(values=values, scorable=comparison.truth.isfinite().all(dim=-1))


@metric(
    id="pearson_delta",
    title="Pearson Δ (control)",
    level="centroid",
    space="genes",
    reference="control mean of the context: staged controls for the prediction, sealed ones for the truth",
    better="higher",
    best=1.0,
    chance=0.0,
    invariances=("scale of the predicted change", "a shift common to all genes"),
    undefined="a change that is constant over genes, up to float32 resolution of the profile",
    tolerance=RESOLUTION,
    citation="doi:10.1038/s41592-025-02772-6",
)
def pearson_delta(comparison: Comparison) -> Values:
    r"""Correlation over genes of predicted and true change from control.

    :math:`r(p - a, t - b)` with the means :math:`a` of staged and :math:`b` of sealed controls, so that
    noise of one control sample is not shared by both sides.
    """
    return delta_correlation(comparison, comparison.predicted_reference, comparison.truth_reference)


@metric(
    id="pearson_delta/train-mean",
    title="Pearson Δ (train mean)",
    level="centroid",
    space="genes",
    reference="mean of the train perturbation centroids, perturbation-equal, of the context or else of all",
    better="higher",
    best=1.0,
    chance=0.0,
    invariances=("scale of the predicted change", "a shift common to all genes"),
    undefined="a change that is constant over genes, up to float32 resolution of the profile",
    tolerance=RESOLUTION,
    citation="doi:10.1038/s41587-025-02777-8",
)
def pearson_delta_train_mean(comparison: Comparison) -> Values:
    r"""Correlation over genes of predicted and true change from the mean training perturbation.

    :math:`r(p - m, t - m)`: what all perturbations share is in :math:`m` and earns nothing (Systema).
    """
    return delta_correlation(comparison, comparison.train_reference, comparison.train_reference)


def delta_correlation(
    comparison: Comparison, of_predicted: Tensor, of_truth: Tensor, chosen: Tensor | None = None
) -> Values:
    """Correlation of the changes from two references over unmasked genes, or the ``chosen`` among them."""
    keep = ~comparison.masked if chosen is None else chosen & ~comparison.masked
    predicted, flat = centred(comparison.predicted, of_predicted, keep)
    true, constant = centred(comparison.truth, of_truth, keep)
    norms = predicted.norm(dim=-1) * true.norm(dim=-1)
    values = (predicted * true).sum(dim=-1) / norms
    return Values(
        values=values.masked_fill(flat, float("nan")).clamp(-1.0, 1.0),
        scorable=~constant & comparison.truth.isfinite().all(dim=-1),
        undefined=_CONSTANT_PREDICTION,
        unscorable=_CONSTANT_TRUTH,
    )


def centred(profile: Tensor, reference: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
    """Change from ``reference`` minus its mean over kept genes, zero elsewhere; and whether it is constant.

    Constant means: its norm is below ``RESOLUTION`` times the norm of the profile it was computed from, so
    that a reference handed back through a float32 file is no change, and not rounding noise.
    """
    weight = keep.double()
    change = (profile - reference) * weight
    change = (change - change.sum(dim=-1, keepdim=True) / weight.sum(dim=-1, keepdim=True)) * weight
    size = (profile * weight).norm(dim=-1).maximum((reference * weight).norm(dim=-1))
    return change, change.norm(dim=-1) <= RESOLUTION * size
