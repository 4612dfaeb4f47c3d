"""More readings of a ranking of genes by predicted change: average precision, precision at recall, signs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lanner.metrics import RESOLUTION, Comparison, Metric, Values, metric
from lanner.metrics.correlation import CONTROL, snapped_change
from lanner.metrics.differential_expression import (
    MIN_CELLS,
    MIN_POSITIVES,
    davis_goadrich,
    ranking,
    tied_blocks,
)

if TYPE_CHECKING:
    from torch import Tensor

_LABELLED: dict[str, Any] = {
    "level": "de",
    "undefined": "fewer than 10 positives, no negative gene, or fewer than 20 cells in a truth half",
    "requires_truth": "cells",
    "labels": "mann-whitney",
    "min_cells": MIN_CELLS,
    "min_conditions": 5,
    "min_positives": MIN_POSITIVES,
}
_RANKED: dict[str, Any] = {
    **_LABELLED,
    "space": "genes",
    "reference": "control mean of the context: staged controls for the score, sealed ones for the labels",
    "ties": "one block: every order of tied genes is averaged, never chosen",
    "better": "higher",
    "best": 1.0,
    "invariances": ("any increasing transformation of |p - r|",),
    "tolerance": RESOLUTION,
}
RECALLS = (25, 50, 75)


@metric(
    id="de_auprc/normalised",
    title="DE AUPRC above prevalence",
    chance=0.0,
    estimator="(area - prevalence) / (1 - prevalence); Davis-Goadrich, closed form for tied blocks",
    citation="doi:10.1145/1143844.1143874",
    **_RANKED,
)
def de_auprc_normalised(comparison: Comparison) -> Values:
    r"""Area under the precision-recall curve, less what a constant score gives.

    :math:`(A - \pi) / (1 - \pi)` with the area A of de_auprc and the share :math:`\pi` of positives.
    """
    answer = ranking(comparison, MIN_POSITIVES, davis_goadrich)
    share = _prevalence(comparison)
    return Values(
        values=(answer.values - share) / (1 - share),
        scorable=answer.scorable,
        unscorable=answer.unscorable,
    )


@metric(
    id="de_ap",
    title="DE average precision",
    chance="prevalence",
    estimator="average precision: precision at the end of each tied block, weighted by the recall it adds",
    citation="https://scikit-learn.org/stable/modules/model_evaluation.html#precision-recall-f-measure-metrics",
    **_RANKED,
)
def de_ap(comparison: Comparison) -> Values:
    r"""Average precision of the truly changed genes in the ranking by predicted change.

    :math:`\sum_b (R_b - R_{b-1}) P_b` over blocks b of tied scores (scikit-learn), labels as in de_auprc.
    """
    return ranking(comparison, MIN_POSITIVES, average_precision)


@metric(
    id="de_prevalence",
    title="Changed genes",
    space="genes",
    better="neither",
    best=0.0,
    chance="prevalence",
    estimator="share of positives among unmasked genes",
    invariances=("the prediction",),
    citation="doi:10.1145/1143844.1143874",
    **_LABELLED,
)
def de_prevalence(comparison: Comparison) -> Values:
    """Share of genes that the truth changes: what de_auprc is by chance."""
    share = _prevalence(comparison)
    answer = ranking(comparison, MIN_POSITIVES, lambda *_: share)
    return Values(values=share, scorable=answer.scorable, unscorable=answer.unscorable, chance=share)


def _add_precision(recall: int) -> Metric:
    """Register the precision at ``recall`` per cent recall."""

    def precision(comparison: Comparison) -> Values:
        return ranking(
            comparison, MIN_POSITIVES, lambda score, labels: precision_at(score, labels, recall / 100)
        )

    precision.__doc__ = f"""Precision among the top genes that hold {recall} % of the changed ones.

    T / (T + F) where T = {recall / 100:g} of the positives have been called; inside a block of tied scores F
    grows in proportion to T, as in the Davis-Goadrich curve (Zhu et al. 2025, table 3).
    """
    return metric(
        id=f"de_precision/recall{recall}",
        title=f"DE precision at {recall} % recall",
        chance="prevalence",
        estimator="read off the Davis-Goadrich curve",
        citation="https://github.com/hxzhu491/Cell-Perturbation-evaluation-Metric",
        **_RANKED,
    )(precision)


for _recall in RECALLS:
    _add_precision(_recall)


@metric(
    id="direction",
    title="Direction of changed genes",
    space="genes that the truth part itself calls changed (the labels of de_auprc)",
    reference=CONTROL,
    ties="a change below float32 resolution has no sign and counts one half",
    better="higher",
    best=1.0,
    chance=0.5,
    invariances=("scale of the predicted change",),
    tolerance=RESOLUTION,
    citation="https://github.com/ArcInstitute/cell-eval",
    **_LABELLED,
)
def direction(comparison: Comparison) -> Values:
    """Share of the truly changed genes that are predicted to change in the right direction.

    Signs of p - a and t - b; the prediction's means are enough, no test is made on it.
    """
    predicted = snapped_change(comparison.predicted, comparison.predicted_reference)
    right = 0.5 * (1 + predicted.sign() * (comparison.truth - comparison.truth_reference).sign())
    counted = ranking(comparison, MIN_POSITIVES, lambda _, labels: _mean_of(right, labels))
    return Values(values=counted.values, scorable=counted.scorable, unscorable=counted.unscorable)


def _prevalence(comparison: Comparison) -> Tensor:
    """Share of positives among unmasked genes, ``(B,)``."""
    assert comparison.labels is not None
    keep = ~comparison.masked
    return (comparison.labels & keep).double().sum(dim=-1) / keep.sum(dim=-1)


def _mean_of(values: Tensor, chosen: Tensor) -> Tensor:
    return (values.nan_to_num() * chosen).sum(dim=-1) / chosen.sum(dim=-1)


def average_precision(scores: Tensor, labels: Tensor) -> Tensor:
    """Average precision ``(B,)``; shapes as in ``davis_goadrich``. A constant score gives the prevalence."""
    row, called, true, _, before_true, _ = tied_blocks(scores, labels)
    gains = (true - before_true) * true / called
    return gains.new_zeros(len(labels)).index_add_(0, row, gains) / labels.sum(dim=-1)


def precision_at(scores: Tensor, labels: Tensor, recall: float) -> Tensor:
    """Precision ``(B,)`` when ``recall`` of the positives have been called; NaN without a positive."""
    row, called, true, before_called, before_true, _ = tied_blocks(scores, labels)
    wanted = recall * labels.sum(dim=-1).double()[row]
    here = (before_true < wanted) & (wanted <= true)
    row, wanted = row[here], wanted[here]
    share = (wanted - before_true[here]) / (true[here] - before_true[here])
    n_called = before_called[here] + share * (called[here] - before_called[here])
    precision = scores.new_full((len(labels),), float("nan"))
    precision[row] = wanted / n_called
    return precision
