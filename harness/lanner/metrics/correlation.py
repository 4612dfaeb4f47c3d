"""Agreement of predicted and true change that is not Pearson's: ranks, cosine, explained variance, slope."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lanner.metrics import RESOLUTION, Comparison, Values, metric

if TYPE_CHECKING:
    from torch import Tensor

CONTROL = "control mean of the context: staged controls for the prediction, sealed ones for the truth"
TRAIN_MEAN = "mean of the train perturbation centroids, perturbation-equal, of the context or else of all"
_NO_PREDICTED = "the prediction changes nothing, or all genes alike, up to float32 resolution"
_NO_TRUE = "the truth changes nothing, or all genes alike"


@metric(
    id="spearman_delta",
    title="Spearman Δ (control)",
    level="centroid",
    space="genes",
    reference=CONTROL,
    ties="mid-rank; changes below float32 resolution tie at zero",
    better="higher",
    best=1.0,
    chance=0.0,
    invariances=("scale of the predicted change", "a shift common to all genes"),
    undefined="a change that ranks all genes alike",
    tolerance=RESOLUTION,
    citation="doi:10.48550/arXiv.2603.11244",
)
def spearman_delta(comparison: Comparison) -> Values:
    r"""Rank correlation over genes of predicted and true change from control.

    Pearson's r of the mid-ranks of :math:`p - a` and :math:`t - b` among the unmasked genes.
    """
    return _spearman(comparison, comparison.predicted_reference, comparison.truth_reference)


@metric(
    id="spearman_delta/train-mean",
    title="Spearman Δ (train mean)",
    level="centroid",
    space="genes",
    reference=TRAIN_MEAN,
    ties="mid-rank; changes below float32 resolution tie at zero",
    better="higher",
    best=1.0,
    chance=0.0,
    invariances=("scale of the predicted change", "a shift common to all genes"),
    undefined="a change that ranks all genes alike",
    tolerance=RESOLUTION,
    citation="doi:10.1038/s41587-025-02777-8",
)
def spearman_delta_train_mean(comparison: Comparison) -> Values:
    r"""Rank correlation over genes of predicted and true change from the train mean.

    Pearson's r of the mid-ranks of :math:`p - m` and :math:`t - m` among the unmasked genes.
    """
    return _spearman(comparison, comparison.train_reference, comparison.train_reference)


@metric(
    id="cosine_delta",
    title="Cosine Δ (control)",
    level="centroid",
    space="genes",
    reference=CONTROL,
    distance="cosine",
    better="higher",
    best=1.0,
    chance=0.0,
    invariances=("scale of the predicted change",),
    undefined="a change of zero, up to float32 resolution of the profile",
    tolerance=RESOLUTION,
    citation="doi:10.48550/arXiv.2408.10609",
)
def cosine_delta(comparison: Comparison) -> Values:
    r"""Cosine of predicted and true change from control.

    :math:`\cos(p - a, t - b)` over the unmasked genes, not centred: a shift of all genes counts. PerturBench
    takes the cosine of log2 ratios of log1p means instead.
    """
    return _cosine(comparison, comparison.predicted_reference, comparison.truth_reference)


@metric(
    id="cosine_delta/train-mean",
    title="Cosine Δ (train mean)",
    level="centroid",
    space="genes",
    reference=TRAIN_MEAN,
    distance="cosine",
    better="higher",
    best=1.0,
    chance=0.0,
    invariances=("scale of the predicted change",),
    undefined="a change of zero, up to float32 resolution of the profile",
    tolerance=RESOLUTION,
    citation="doi:10.1038/s41587-025-02777-8",
)
def cosine_delta_train_mean(comparison: Comparison) -> Values:
    r"""Cosine of predicted and true change from the train mean.

    :math:`\cos(p - m, t - m)` over the unmasked genes, not centred.
    """
    return _cosine(comparison, comparison.train_reference, comparison.train_reference)


@metric(
    id="calibration_slope",
    title="Calibration slope",
    level="centroid",
    space="genes",
    reference=TRAIN_MEAN,
    estimator="least squares over genes, with intercept; noise in the prediction pulls it towards 0",
    better="nearest",
    best=1.0,
    chance=0.0,
    invariances=("a shift common to all genes",),
    undefined="a predicted change that is constant over genes, up to float32 resolution",
    tolerance=RESOLUTION,
    citation="doi:10.1002/sim.4780090808",
)
def calibration_slope(comparison: Comparison) -> Values:
    r"""Slope of true on predicted change from the train mean: 1 is the right scale.

    Least-squares slope over the unmasked genes of :math:`t - m` on :math:`p - m`: below 1 the prediction
    exaggerates (or is noisy: a duplicate is below 1 too), above 1 it is shrunken, 0 it says nothing.
    """
    from lanner.metrics.expression import centred

    keep = ~comparison.masked
    predicted, flat = centred(comparison.predicted, comparison.train_reference, keep)
    true, _ = centred(comparison.truth, comparison.train_reference, keep)
    values = (predicted * true).sum(dim=-1) / predicted.square().sum(dim=-1)
    return Values(
        values=values.masked_fill(flat, float("nan")),
        scorable=comparison.truth.isfinite().all(dim=-1),
        undefined=_NO_PREDICTED,
    )


def snapped_change(profile: Tensor, reference: Tensor) -> Tensor:
    """Change from ``reference``, exactly 0 in genes where it is below the float32 resolution of the two."""
    change = profile - reference
    return change.masked_fill(change.abs() <= RESOLUTION * profile.abs().maximum(reference.abs()), 0.0)


def mid_ranks(values: Tensor, keep: Tensor) -> Tensor:
    """Ranks 1..n of the kept genes of each row, ties at their mean rank; 0 elsewhere; ``(B, n_genes)``."""
    import torch

    n_rows = max(len(values), len(keep))
    values, keep = values.expand(n_rows, -1), keep.expand(n_rows, -1)
    # Left out genes sort last; those tied with them at infinity do not exist, values being finite.
    values = values.masked_fill(~keep, float("inf")).contiguous()
    ordered = values.sort(dim=-1).values
    below = torch.searchsorted(ordered, values, side="left")
    to = torch.searchsorted(ordered, values, side="right")
    return 0.5 * (below + to + 1).double() * keep


def _spearman(comparison: Comparison, of_predicted: Tensor, of_truth: Tensor) -> Values:
    keep = ~comparison.masked
    finite = comparison.truth.isfinite().all(dim=-1)
    predicted = rank_deviations(snapped_change(comparison.predicted, of_predicted), keep)
    true = rank_deviations(snapped_change(comparison.truth.nan_to_num(), of_truth), keep)
    norms = predicted.norm(dim=-1) * true.norm(dim=-1)
    return Values(
        values=((predicted * true).sum(dim=-1) / norms).clamp(-1.0, 1.0),  # 0 / 0 is NaN: undefined
        scorable=(true.norm(dim=-1) > 0) & finite,
        undefined=_NO_PREDICTED,
        unscorable=_NO_TRUE,
    )


def rank_deviations(values: Tensor, keep: Tensor) -> Tensor:
    """Mid-ranks less their mean over the kept genes; 0 elsewhere, and exactly 0 where all genes tie."""
    n = keep.sum(dim=-1, keepdim=True)
    return (mid_ranks(values, keep) - 0.5 * (n + 1)) * keep


def _cosine(comparison: Comparison, of_predicted: Tensor, of_truth: Tensor) -> Values:
    keep = (~comparison.masked).double()
    predicted, none_predicted = _change(comparison.predicted, of_predicted, keep)
    true, none_true = _change(comparison.truth, of_truth, keep)
    values = (predicted * true).sum(dim=-1) / (predicted.norm(dim=-1) * true.norm(dim=-1))
    return Values(
        values=values.masked_fill(none_predicted, float("nan")).clamp(-1.0, 1.0),
        scorable=~none_true & comparison.truth.isfinite().all(dim=-1),
        undefined=_NO_PREDICTED,
        unscorable=_NO_TRUE,
    )


def _change(profile: Tensor, reference: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
    """Change over kept genes, and whether it is zero up to the float32 resolution of the profiles."""
    change = (profile - reference) * keep
    size = (profile * keep).norm(dim=-1).maximum((reference * keep).norm(dim=-1))
    return change, change.norm(dim=-1) <= RESOLUTION * size
