"""Genes that predicted cells call changed, tested as true cells are: never primary for made-up cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from lanner.metrics import Comparison, Metric, Values, metric
from lanner.metrics.correlation import rank_deviations
from lanner.metrics.differential_expression import MIN_CELLS, MIN_POSITIVES, adjusted

if TYPE_CHECKING:
    from torch import Tensor

TOP = (20, 50, 100)
EFFECT, FDR = 0.1, 0.05
_CARD: dict[str, Any] = {
    "level": "de",
    "reference": "staged controls for predicted cells, sealed ones for true cells, as many of either",
    "undefined": f"fewer than {MIN_POSITIVES} changed genes or 20 cells in a truth half; fewer than 20 "
    f"predicted "
    "cells, or no changed gene in a draw as small as they allow",
    "requires": "cells",
    "requires_truth": "cells",
    "labels": "mann-whitney",
    "min_cells": MIN_CELLS,
    "min_conditions": 5,
    "min_positives": MIN_POSITIVES,
}
_ESTIMATOR = (
    "equal n, drawn without replacement, averaged; tie-corrected Mann-Whitney, BH < .05, |change| > 0.1"
)
_CHANGED = "genes that the drawn true cells call changed"


class Calls(NamedTuple):
    """Changes ``(B, n_genes)`` of drawn true and predicted cells, and which of them are called."""

    true_change: Tensor
    true: Tensor
    change: Tensor
    predicted: Tensor


def _add_overlap(k: int | None) -> Metric:
    """Register the overlap of the k largest called changes, or of as many as are truly called."""
    first = f"{k} most changed" if k else "truly called"
    size_of = f"min({k}, number truly called)" if k else "the number truly called"

    def overlap(comparison: Comparison) -> Values:
        calls = _calls(comparison)
        size = calls.true.sum(dim=-1, keepdim=True)
        size = size.clamp_max(k) if k else size
        true = listed(calls.true_change.abs(), calls.true, size)
        predicted = listed(calls.change.abs(), calls.predicted, size)
        answer = _values(comparison, (true * predicted).sum(dim=-1) / size.squeeze(-1))
        chance = size.squeeze(-1).double() / (~comparison.masked).sum(dim=-1)
        return Values(
            values=answer.values,
            scorable=answer.scorable,
            undefined=answer.undefined,
            unscorable=answer.unscorable,
            chance=chance,
        )

    overlap.__doc__ = f"""Share of the {first} genes of true cells that predicted cells list too.

    Called genes by |change|, the first K = {size_of} of either side: |common| / K. Nothing called is 0
    (cell-eval's overlap_at_{k or "N"}, with ranks by change of the mean instead of fold change).
    """
    return metric(
        id=f"de_overlap/k{k}" if k else "de_overlap/all",
        title=f"DE overlap (top {k})" if k else "DE overlap",
        space="genes called changed",
        better="higher",
        best=1.0,
        chance="prevalence",
        estimator=_ESTIMATOR,
        ties="genes tied at the last place share the places left",
        citation="https://github.com/ArcInstitute/cell-eval",
        **_CARD,
    )(overlap)


for _k in (*TOP, None):
    _add_overlap(_k)


@metric(
    id="de_recall",
    title="DE recall",
    space=_CHANGED,
    better="higher",
    best=1.0,
    chance=None,
    estimator=_ESTIMATOR,
    citation="https://github.com/ArcInstitute/cell-eval",
    **_CARD,
)
def de_recall(comparison: Comparison) -> Values:
    """Share of the truly called genes that predicted cells call too; calling everything earns 1.

    To be read beside de_nsig_ratio.
    """
    calls = _calls(comparison)
    return _values(comparison, (calls.true & calls.predicted).double().sum(dim=-1) / calls.true.sum(dim=-1))


@metric(
    id="de_spearman_lfc",
    title="DE Spearman",
    space=_CHANGED,
    better="higher",
    best=1.0,
    chance=0.0,
    estimator=_ESTIMATOR,
    ties="mid-rank",
    citation="https://github.com/ArcInstitute/cell-eval",
    **_CARD,
)
def de_spearman_lfc(comparison: Comparison) -> Values:
    """Rank correlation of predicted and true change over the truly called genes.

    Change of the mean of drawn cells from controls, on the scale of X; mid-ranks.
    """
    calls = _calls(comparison)
    true = rank_deviations(calls.true_change, calls.true)
    predicted = rank_deviations(calls.change, calls.true)
    return _values(comparison, (true * predicted).sum(dim=-1) / (true.norm(dim=-1) * predicted.norm(dim=-1)))


@metric(
    id="de_direction",
    title="DE direction",
    space=_CHANGED,
    better="higher",
    best=1.0,
    chance=0.5,
    estimator=_ESTIMATOR,
    ties="no change counts one half",
    citation="https://github.com/ArcInstitute/cell-eval",
    **_CARD,
)
def de_direction(comparison: Comparison) -> Values:
    """Share of the truly called genes that predicted cells move in the right direction.

    Signs of the changes of the means of drawn cells; predicted genes need not be called.
    """
    calls = _calls(comparison)
    right = 0.5 * (1 + calls.change.sign() * calls.true_change.sign()) * calls.true
    return _values(comparison, right.sum(dim=-1) / calls.true.sum(dim=-1))


@metric(
    id="de_nsig_ratio",
    title="DE count ratio",
    space="genes called changed",
    better="nearest",
    best=1.0,
    chance=None,
    estimator=_ESTIMATOR,
    citation="https://github.com/ArcInstitute/cell-eval",
    **_CARD,
)
def de_nsig_ratio(comparison: Comparison) -> Values:
    """Genes called by predicted cells for each gene called by as many true cells: 1 is right."""
    calls = _calls(comparison)
    return _values(comparison, calls.predicted.double().sum(dim=-1) / calls.true.sum(dim=-1))


def _calls(comparison: Comparison) -> Calls:
    """Tests of drawn true cells against controls B and of drawn predicted ones against controls A."""
    cells = comparison.population
    assert cells is not None and cells.controls is not None
    a, b = cells.controls()
    true_change, true_p = cells.truth.tests(cells.truth_draws, b, "b")
    change, p = cells.predicted.tests(cells.predicted_draws, a, "a")
    keep = ~comparison.masked
    return Calls(true_change, called(true_change, true_p, keep), change, called(change, p, keep))


def called(change: Tensor, p: Tensor, keep: Tensor) -> Tensor:
    """Bool ``(B, n_genes)``: Benjamini-Hochberg below .05 over kept genes and |change| > 0.1."""
    p = p.nan_to_num(1.0).masked_fill(~keep, float("inf"))
    return (adjusted(p, keep.sum(dim=-1, keepdim=True)) < FDR) & (change.abs() > EFFECT) & keep


def listed(size: Tensor, chosen: Tensor, k: Tensor) -> Tensor:
    """Weights ``(B, n_genes)``: 1 for the k ``(B, 1)`` largest chosen genes; ties share the last places."""
    score = size.masked_fill(~chosen, -1.0)
    last = score.sort(dim=-1, descending=True).values.gather(-1, (k - 1).clamp_min(0))
    above, tied = score > last, score == last
    left = (k - above.sum(dim=-1, keepdim=True)).double() / tied.sum(dim=-1, keepdim=True)
    return (above + tied * left) * chosen


def _values(comparison: Comparison, values: Tensor) -> Values:
    """Scorable by the labels of the whole truth part, which no prediction changes."""
    cells = comparison.population
    assert cells is not None and comparison.labels is not None
    positives = (comparison.labels & ~comparison.masked).sum(dim=-1)
    return Values(
        values=values.masked_fill(cells.size < MIN_CELLS, float("nan")),
        scorable=(cells.truth_size >= MIN_CELLS) & (positives >= MIN_POSITIVES),
        undefined=f"fewer than {MIN_CELLS} predicted cells, or no order or changed gene among those drawn",
        unscorable=f"fewer than {MIN_POSITIVES} changed genes, or {MIN_CELLS} cells in a truth half",
    )
