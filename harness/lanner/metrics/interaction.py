"""Genetic interaction: how doubles deviate from what their singles add up to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lanner.metrics import RESOLUTION, Comparison, Values, metric
from lanner.metrics.differential_expression import MIN_CELLS, MIN_POSITIVES, adjusted, davis_goadrich
from lanner.metrics.expression import delta_correlation

if TYPE_CHECKING:
    from torch import Tensor

_CARD: dict[str, Any] = {
    "level": "interaction",
    "space": "genes",
    "reference": "additive expectation: sum of the changes of both measured train singles of the same "
    "context "
    "and dose, from staged controls; its noise is in both sides and lifts every correlation, so that skill "
    "above "
    "no-change is what counts",
    "better": "higher",
    "best": 1.0,
    "tolerance": RESOLUTION,
    "citation": "doi:10.1038/s41592-025-02772-6",
}
EFFECT, FDR = 0.1, 0.05
_NO_SINGLES = "not a double, or a single of it is not in train"


@metric(
    id="gi/correlation",
    title="Interaction correlation",
    chance=0.0,
    undefined=f"{_NO_SINGLES}; an additive prediction, up to float32 resolution",
    **_CARD,
)
def gi_correlation(comparison: Comparison) -> Values:
    r"""Correlation of predicted and true deviation of a double from additivity.

    :math:`r(p - e, (t - b) - (e - a))` over the unmasked genes, with :math:`e = A + B - a` of the train
    centroids A, B of its singles. An additive prediction deviates nowhere: undefined, and so at chance.
    """
    known = _additive(comparison)
    if known is None:
        return _absent(comparison)
    answer = delta_correlation(comparison, known[0], known[0] + _offset(comparison))
    return Values(
        values=answer.values,
        scorable=answer.scorable,
        undefined="the prediction is additive, up to float32 resolution",
        unscorable="the true deviation from additivity is the same in all genes",
    )


@metric(
    id="gi/auprc",
    title="Interaction AUPRC",
    chance="prevalence",
    estimator="area under the precision-recall curve, Davis-Goadrich, closed form for tied blocks",
    ties="one block: every order of tied genes is averaged, never chosen",
    invariances=("any increasing transformation of |p - e|",),
    undefined=f"{_NO_SINGLES}; fewer than {MIN_POSITIVES} interacting genes, or {MIN_CELLS} cells in a "
    f"truth half",
    requires_truth="cells",
    min_cells=MIN_CELLS,
    min_positives=MIN_POSITIVES,
    **_CARD,
)
def gi_auprc(comparison: Comparison) -> Values:
    r"""How well the predicted deviation from additivity ranks the genes that interact.

    Genes are ranked by :math:`|p - e|`. Positives, of either sign: :math:`\delta = (t - b) - (e - a)` with
    :math:`|\delta| > 0.1` and z-test p below .05 after Benjamini-Hochberg; its variance sums those of the
    means of double, singles and controls.
    """
    known = _additive(comparison)
    if known is None:
        return _absent(comparison)
    expected, variance = known
    keep = ~comparison.masked
    labels = interacting(comparison.truth - _offset(comparison) - expected, variance, keep)
    score = (comparison.predicted - expected).abs()
    score = score.masked_fill(score <= RESOLUTION * comparison.predicted.abs().maximum(expected.abs()), 0.0)
    score = score.masked_fill(~keep, -1.0)  # last, as a block without positives
    positives, kept = labels.sum(dim=-1), keep.sum(dim=-1)
    return Values(
        values=davis_goadrich(score, labels),
        scorable=(positives >= MIN_POSITIVES) & (positives < kept) & (comparison.n_cells >= MIN_CELLS),
        unscorable=f"fewer than {MIN_POSITIVES} interacting genes, or {MIN_CELLS} cells in a truth half",
        chance=positives.double() / kept,
    )


def interacting(deviation: Tensor, variance: Tensor, keep: Tensor) -> Tensor:
    """Bool ``(B, n_genes)``: z-test with Benjamini-Hochberg < .05 over kept genes, and |deviation| > 0.1."""
    import torch

    p = 2 * torch.special.ndtr(-deviation.abs() / variance.sqrt())
    p = p.nan_to_num(1.0).masked_fill(~keep, float("inf"))
    return (adjusted(p, keep.sum(dim=-1, keepdim=True)) < FDR) & (deviation.abs() > EFFECT) & keep


def _additive(comparison: Comparison) -> tuple[Tensor, Tensor] | None:
    assert comparison.statistics is not None
    return comparison.statistics.additive()


def _offset(comparison: Comparison) -> Tensor:
    """b - a: what takes a truth that is read against sealed controls to the staged ones of the singles."""
    return comparison.truth_reference - comparison.predicted_reference


def _absent(comparison: Comparison) -> Values:
    none = comparison.truth[:, 0]
    return Values(values=0 * none + float("nan"), scorable=none.isnan() & False, unscorable=_NO_SINGLES)
