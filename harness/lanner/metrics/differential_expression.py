"""How well a prediction ranks the genes that are truly differentially expressed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lanner.metrics import RESOLUTION, Comparison, Values, metric

if TYPE_CHECKING:
    from torch import Tensor

MIN_CELLS = 20
MIN_POSITIVES = 10
ZHU_GATE = 1e-10


@metric(
    id="de_auprc",
    title="DE AUPRC",
    level="de",
    space="genes",
    reference="control mean of the context: staged controls for the score, sealed ones for the labels",
    estimator="area under the precision-recall curve, Davis-Goadrich, closed form for tied blocks",
    ties="one block: every order of tied genes is averaged, never chosen",
    better="higher",
    best=1.0,
    chance="prevalence",
    invariances=("any increasing transformation of |p - r|",),
    undefined="fewer than 10 positives, no negative gene, or fewer than 20 cells in a truth half",
    requires_truth="cells",
    labels="mann-whitney",
    min_cells=MIN_CELLS,
    min_conditions=5,
    min_positives=MIN_POSITIVES,
    tolerance=RESOLUTION,
    citation="doi:10.1145/1143844.1143874",
)
def de_auprc(comparison: Comparison) -> Values:
    r"""How well the size of the predicted change ranks the truly changed genes.

    Genes are ranked by :math:`|p - a|`, for every method and without a p-value gate. Positives: tie-corrected
    Mann-Whitney against sealed controls, Benjamini-Hochberg < .05 in the condition, :math:`|t - b| > 0.1`.
    """
    return _auprc(comparison, MIN_POSITIVES)


@metric(
    id="de_auprc/zhu",
    title="DE AUPRC (Zhu labels)",
    level="de",
    space="genes",
    reference="control mean of the context: staged controls for the score, sealed ones for the labels",
    estimator="area under the precision-recall curve, Davis-Goadrich, closed form for tied blocks",
    ties="one block: every order of tied genes is averaged, never chosen",
    better="higher",
    best=1.0,
    chance="prevalence",
    invariances=("any increasing transformation of |p - r|",),
    undefined="no positive or no negative gene, or fewer than 20 cells in a truth half",
    requires_truth="cells",
    labels="zhu",
    min_cells=MIN_CELLS,
    min_conditions=5,
    min_positives=1,
    tolerance=RESOLUTION,
    citation="https://github.com/hxzhu491/Cell-Perturbation-evaluation-Metric",
)
def de_auprc_zhu(comparison: Comparison) -> Values:
    """DE AUPRC with the labels of Zhu et al. 2025: Welch's t, p < 1e-10, |difference| > 0.3."""
    return _auprc(comparison, 1)


@metric(
    id="de_auprc/zhu-gated",
    title="DE AUPRC (Zhu labels, p gate)",
    level="de",
    space="genes",
    reference="staged controls for the score and its test, as many as sealed ones for the labels",
    estimator="area under the precision-recall curve, Davis-Goadrich, closed form for tied blocks; equal n, "
    "drawn, averaged",
    ties="one block: every order of tied genes is averaged; genes that do not pass the gate tie",
    better="higher",
    best=1.0,
    chance="prevalence",
    undefined="no positive or no negative gene, or fewer than 20 cells in a truth half or of the prediction",
    requires="cells",
    requires_truth="cells",
    labels="zhu",
    min_cells=MIN_CELLS,
    min_conditions=5,
    min_positives=1,
    citation="https://github.com/hxzhu491/Cell-Perturbation-evaluation-Metric",
)
def de_auprc_zhu_gated(comparison: Comparison) -> Values:
    r"""DE AUPRC with the labels of Zhu et al. 2025 and their p gate on the predicted cells.

    Score :math:`|\hat l_g| \, 1(\hat p_g < 10^{-10})`: change of the mean of drawn predicted cells from
    staged controls, Welch's t (their equation for R). The gate makes one block of most genes: a choice of
    its own (Kang CD4T: .615 ungated, .599 gated), hence never the default.
    """
    cells = comparison.population
    assert cells is not None and cells.controls is not None
    change, p = cells.predicted.tests(cells.predicted_draws, cells.controls()[0], "a", test="welch")
    score = gated(change, p).masked_fill(comparison.masked, -1.0)
    answer = ranking(comparison, 1, lambda _, labels: davis_goadrich(score, labels.expand_as(score)))
    return Values(
        values=answer.values.masked_fill(cells.size < MIN_CELLS, float("nan")),
        scorable=answer.scorable & (cells.truth_size >= MIN_CELLS),
        undefined=f"fewer than {MIN_CELLS} predicted cells, or staged controls to draw them from",
        unscorable=answer.unscorable,
        chance=answer.chance,
    )


def gated(change: Tensor, p: Tensor) -> Tensor:
    """``|change|`` where p < 1e-10, else 0: the in-silico score of Zhu et al. 2025; ``(B, n_genes)``."""
    return change.abs().masked_fill(~(p < ZHU_GATE), 0.0)


def _auprc(comparison: Comparison, min_positives: int) -> Values:
    return ranking(comparison, min_positives, davis_goadrich)


def ranking(comparison: Comparison, min_positives: int, area: Callable[[Tensor, Tensor], Tensor]) -> Values:
    """``area`` of the ungated score ``|p - a|`` and the labels; masked genes rank last and count as none."""
    assert comparison.labels is not None
    keep = ~comparison.masked
    labels = comparison.labels & keep
    size = comparison.predicted.abs().maximum(comparison.predicted_reference.abs())
    score = (comparison.predicted - comparison.predicted_reference).abs()
    score = score.masked_fill(score <= RESOLUTION * size, 0.0)
    # Hidden genes go last, as a block of their own without positives: it adds no area.
    score = score.masked_fill(~keep, -1.0)
    positives, kept = labels.sum(dim=-1), keep.sum(dim=-1)
    return Values(
        values=area(score, labels),
        scorable=(positives >= min_positives)
        & (positives < kept)
        & (comparison.n_cells >= MIN_CELLS)
        & comparison.truth.isfinite().all(dim=-1),
        unscorable=f"fewer than {min_positives} changed genes, no unchanged one, or under {MIN_CELLS} cells",
        chance=positives / kept,
    )


def davis_goadrich(scores: Tensor, labels: Tensor) -> Tensor:
    r"""Area under the precision-recall curve with Davis-Goadrich interpolation.

    From :math:`a` true among :math:`b` called genes, a block of tied scores adds :math:`dT` positives and
    :math:`dF` negatives; along it precision is :math:`(a + x) / (b + k x)`, :math:`k = 1 + dF / dT`, and its
    integral is :math:`dT / k + (a - b / k) / k \ln((b + k\,dT) / b)`, or :math:`dT / k` when b = 0.

    Parameters
    ----------
    scores
        ``(B, n_genes)``, or ``(1, n_genes)`` for the same score in every row: then sorted once.
    labels
        Bool ``(B, n_genes)``.

    Returns
    -------
    Area ``(B,)``, in [0, 1]; NaN without a positive. A constant score gives the prevalence.
    """
    row, called, true, before_called, before_true, first = tied_blocks(scores, labels)
    gained = true - before_true
    k = (called - before_called) / gained.clamp_min(1.0)
    bent = (before_true - before_called / k) / k * (called / before_called.clamp_min(1.0)).log()
    area = gained / k + bent.masked_fill(first, 0.0)
    area = area.masked_fill(gained == 0, 0.0)
    return true.new_zeros(len(labels)).index_add_(0, row, area) / labels.sum(dim=-1)


def tied_blocks(scores: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
    """Blocks of tied scores, from the highest, of all rows one after another.

    Each ``(n_blocks,)``: row; genes called and positives among them when the block has been called; the same
    two before it; and whether it is the first of its row. Shapes of the arguments as in ``davis_goadrich``.
    """
    n_rows, n_genes = labels.shape
    ordered, order = scores.sort(dim=-1, descending=True, stable=True)
    found = labels.gather(1, order.expand(n_rows, n_genes)).cumsum(dim=-1).reshape(-1)
    is_end = ordered.diff(dim=-1, append=ordered.new_full((len(ordered), 1), float("-inf"))) != 0
    ends = is_end.expand(n_rows, n_genes).reshape(-1).nonzero().squeeze(1)
    row, called = ends // n_genes, (ends % n_genes + 1).double()
    true = found[ends].double()
    first = row.diff(prepend=row.new_full((1,), -1)) != 0
    before_true = true.roll(1).masked_fill(first, 0.0)
    before_called = called.roll(1).masked_fill(first, 0.0)
    return row, called, true, before_called, before_true, first


def adjusted(p: Tensor, n: Tensor) -> Tensor:
    """Benjamini-Hochberg adjusted p ``(B, n_genes)`` of the n ``(B, 1)`` tests that are not at infinity."""
    import torch

    ordered, order = p.sort(dim=-1, stable=True)
    rank = torch.arange(1, p.shape[-1] + 1, device=p.device, dtype=p.dtype)
    least = (ordered * n / rank).flip(-1).cummin(dim=-1).values.flip(-1)
    return torch.empty_like(p).scatter_(-1, order, least)
