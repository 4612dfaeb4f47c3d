"""Genetic interaction: how doubles deviate from what their singles add up to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lanner.metrics import RESOLUTION, Comparison, Metric, Values, metric
from lanner.metrics.correlation import snapped_change
from lanner.metrics.differential_expression import MIN_CELLS, MIN_POSITIVES, adjusted, davis_goadrich
from lanner.metrics.expression import delta_correlation

if TYPE_CHECKING:
    from torch import Tensor

CARD: dict[str, Any] = {
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
NO_SINGLES = "not a double, or a single of it is not in train"


@metric(
    id="gi/correlation",
    title="Interaction correlation",
    chance=0.0,
    undefined=f"{NO_SINGLES}; an additive prediction, up to float32 resolution",
    **CARD,
)
def gi_correlation(comparison: Comparison) -> Values:
    r"""Correlation of predicted and true deviation of a double from additivity.

    :math:`r(p - e, (t - b) - (e - a))` over the unmasked genes, with :math:`e = A + B - a` of the train
    centroids A, B of its singles. An additive prediction deviates nowhere: undefined, and so at chance.
    """
    known = additive_expectation(comparison)
    if known is None:
        return absent(comparison)
    answer = delta_correlation(comparison, known[0], known[0] + offset(comparison))
    return Values(
        values=answer.values,
        scorable=answer.scorable,
        undefined="the prediction is additive, up to float32 resolution",
        unscorable="the true deviation from additivity is the same in all genes",
    )


AREA_CARD: dict[str, Any] = {
    **CARD,
    "estimator": "area under the precision-recall curve, Davis-Goadrich, closed form for tied blocks",
    "ties": "one block: every order of tied genes is averaged, never chosen",
    "requires_truth": "cells",
    "min_cells": MIN_CELLS,
}


@metric(
    id="gi/auprc",
    title="Interaction AUPRC",
    chance="prevalence",
    invariances=("any increasing transformation of |p - e|",),
    undefined=f"{NO_SINGLES}; fewer than {MIN_POSITIVES} interacting genes, or {MIN_CELLS} cells in a "
    f"truth half",
    min_positives=MIN_POSITIVES,
    **AREA_CARD,
)
def gi_auprc(comparison: Comparison) -> Values:
    r"""How well the predicted deviation from additivity ranks the genes that interact.

    Genes are ranked by :math:`|p - e|`. Positives, of either sign: :math:`\delta = (t - b) - (e - a)` with
    :math:`|\delta| > 0.1` and z-test p below .05 after Benjamini-Hochberg; its variance sums those of the
    means of double, singles and controls.
    """
    return interaction_area(
        comparison, lambda deviation, _: deviation.abs(), lambda deviation, _: deviation != 0, MIN_POSITIVES
    )


def _add_signed(name: str, sign: int) -> Metric:
    """Register the area for interactions of one sign."""

    def area(comparison: Comparison) -> Values:
        return interaction_area(
            comparison,
            lambda deviation, _: sign * deviation,
            lambda deviation, _: sign * deviation > 0,
            MIN_POSITIVES,
        )

    area.__doc__ = f"""How well predicted deviations from additivity rank the {name} interactions.

    As gi/auprc, with signs: genes are ranked by {"p - e" if sign > 0 else "e - p"}, and an interaction of the
    other sign is no positive (Ahlmann-Eltze et al. 2025 rank downwards only).
    """
    return metric(
        id=f"gi/auprc/{name}",
        title=f"Interaction AUPRC ({name})",
        chance="prevalence",
        invariances=("any increasing transformation of the predicted deviation",),
        undefined=f"{NO_SINGLES}; fewer than {MIN_POSITIVES} {name} interactions, or {MIN_CELLS} cells in a "
        "truth half",
        min_positives=MIN_POSITIVES,
        **AREA_CARD,
    )(area)


for _name, _sign in (("positive", 1), ("negative", -1)):
    _add_signed(_name, _sign)


def interaction_area(
    comparison: Comparison,
    scored: Callable[[Tensor, Tensor], Tensor],
    wanted: Callable[[Tensor, Tensor], Tensor],
    least: int,
) -> Values:
    """Area for the ``wanted`` interactions in the order of ``scored``: functions of (deviation, additive)."""
    known = additive_expectation(comparison)
    if known is None:
        return absent(comparison)
    expected, variance = known
    keep = ~comparison.masked
    additive = expected - comparison.predicted_reference
    deviation = comparison.truth - offset(comparison) - expected
    labels = interacting(deviation, variance, keep) & wanted(deviation, additive)
    score = scored(predicted_deviation(comparison, expected), additive)
    score = score.masked_fill(~keep, float(score.min()) - 1)  # last, as a block without positives
    positives, kept = labels.sum(dim=-1), keep.sum(dim=-1)
    return Values(
        values=davis_goadrich(score, labels),
        scorable=(positives >= least) & (positives < kept) & (comparison.n_cells >= MIN_CELLS),
        unscorable=f"fewer than {least} such interactions, or {MIN_CELLS} cells in a truth half",
        chance=positives.double() / kept,
    )


def predicted_deviation(comparison: Comparison, expected: Tensor) -> Tensor:
    """Predicted deviation from additivity, exactly 0 below the float32 resolution of the profiles."""
    return snapped_change(comparison.predicted, expected)


def interacting(deviation: Tensor, variance: Tensor, keep: Tensor) -> Tensor:
    """Bool ``(B, n_genes)``: z-test with Benjamini-Hochberg < .05 over kept genes, and |deviation| > 0.1."""
    import torch

    p = 2 * torch.special.ndtr(-deviation.abs() / variance.sqrt())
    p = p.nan_to_num(1.0).masked_fill(~keep, float("inf"))
    return (adjusted(p, keep.sum(dim=-1, keepdim=True)) < FDR) & (deviation.abs() > EFFECT) & keep


def additive_expectation(comparison: Comparison) -> tuple[Tensor, Tensor] | None:
    """The additive profile of a double and the variance of its deviation; None where a single is missing."""
    assert comparison.statistics is not None
    return comparison.statistics.additive()


def offset(comparison: Comparison) -> Tensor:
    """b - a: what takes a truth that is read against sealed controls to the staged ones of the singles."""
    return comparison.truth_reference - comparison.predicted_reference


def absent(comparison: Comparison) -> Values:
    """Values of a condition that has no additive expectation: not scorable."""
    none = comparison.truth[:, 0]
    return Values(values=0 * none + float("nan"), scorable=none.isnan() & False, unscorable=NO_SINGLES)
