"""Which states predicted cells are in: phase of the cell cycle, perturbed or not, the right context."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lanner.metrics import Comparison, Values, metric
from lanner.metrics.gene_sets import MIN_GENES, Columns, measured
from lanner.metrics.population import MIN_CELLS, CellSet

if TYPE_CHECKING:
    from torch import Tensor

NEIGHBOURS = 20
_CARD: dict[str, Any] = {
    "level": "biology",
    "requires": "cells",
    "requires_truth": "cells",
    "min_cells": MIN_CELLS,
}
_FEW_PREDICTED = f"fewer than {MIN_CELLS} predicted cells, or staged controls to draw them from"
_FEW_TRUE = f"fewer than {MIN_CELLS} cells in a truth half"
_FEW = f"fewer than {MIN_CELLS} cells in a truth half, its duplicate or the prediction"
_PCA = "PCA of 50 components fitted on train cells; own targets at the PCA's mean"


@metric(
    id="biology/cell_cycle",
    title="Cell-cycle proportions",
    space="the S (43) and G2M (54) genes of Tirosh et al. 2016 that are measured",
    reference="sealed controls: mean and SD of a phase's score",
    distance="mean absolute difference of the proportions of G1, S and G2M",
    estimator="unpaired; equal n, drawn without replacement, averaged; above 0 for two samples of one "
    "distribution",
    better="lower",
    best=0.0,
    chance=None,
    undefined=f"fewer than {MIN_GENES} measured genes of S or of G2M, or controls in which a score does not "
    f"vary; {_FEW}",
    citation="doi:10.1126/science.aad0501",
    **_CARD,
)
def cell_cycle(comparison: Comparison) -> Values:
    """Mean difference of the shares of predicted and true cells in G1, S and G2M.

    A phase's score is the mean of its genes, in SDs of the sealed controls' scores from their mean; both
    scores below 0 is G1, else the larger one decides. scanpy's and Seurat's rule, with controls instead of
    random background genes.
    """
    cells = comparison.population
    assert cells is not None and cells.drawn_controls is not None
    sets = measured(comparison, ("cell-cycle",))
    if len(sets) < 2:
        return _absent(comparison, f"fewer than {MIN_GENES} measured genes of S or of G2M")
    columns = sets["cell-cycle-s"], sets["cell-cycle-g2m"]
    controls = _phase_scores(cells.drawn_controls()[0], columns)
    mean, sd = controls.mean(dim=0), controls.std(dim=0)
    if not bool((sd > 0).all()):
        return _absent(comparison, "a phase's score does not vary among the controls")
    true = _phases((_phase_scores(cells.truth, columns) - mean) / sd)
    predicted = _phases((_phase_scores(cells.predicted, columns) - mean) / sd)
    size = cells.size.double()[:, None]
    difference = cells.predicted_draws @ predicted / size - cells.truth_draws @ true / size
    return _values(comparison, difference.abs().mean(dim=-1))


@metric(
    id="biology/knn_purity",
    title="kNN purity",
    space=_PCA,
    distance="Euclidean",
    estimator=f"k = {NEIGHBOURS} among as many true perturbed cells as sealed controls: chance is one half; "
    " equal n, drawn without replacement, averaged",
    ties="cells tied at the last place share the places left",
    better="higher",
    best=1.0,
    chance=0.5,
    invariances=("rotation", "garbage orthogonal to the PCA"),
    undefined=f"fewer sealed controls than cells in a truth part; {_FEW}",
    citation="https://github.com/theislab/ReconEval",
    **_CARD,
)
def knn_purity(comparison: Comparison) -> Values:
    """Share of a predicted cell's 20 nearest real cells that were perturbed, half of them being.

    Best is 1 only where perturbed cells and controls do not overlap; true cells themselves are below it.
    """
    import torch

    cells = comparison.population
    assert cells is not None and cells.drawn_controls is not None
    controls, control_draws = cells.drawn_controls()
    if control_draws.shape[1] < int(cells.truth_size.max()):
        return _absent(comparison, "there are fewer sealed controls than cells in a truth part")
    to_truth = cells.predicted.distances(cells.truth, "pca", masked=cells.masked)
    to_controls = cells.predicted.distances(controls, "pca", masked=cells.masked)
    values = []
    for p, t, c in zip(cells.predicted_draws > 0, cells.truth_draws > 0, control_draws > 0, strict=True):
        near, far = to_truth[p][:, t], to_controls[p][:, c]
        both = torch.cat([near, far], dim=1)
        k = min(NEIGHBOURS, both.shape[1])
        values.append(_purity(near, both, k) if k else near.new_tensor(float("nan")))
    return _values(comparison, torch.stack(values))


@metric(
    id="biology/cell_type_accuracy",
    title="Cell-type accuracy",
    space=_PCA,
    reference="staged control means of the contexts that are asked for",
    distance="Euclidean",
    estimator="nearest train centroid; equal n, drawn without replacement, averaged",
    ties="centroids equally near share the cell",
    better="higher",
    best=1.0,
    chance="prevalence",
    undefined=f"requests in a single context; {_FEW}",
    citation="https://github.com/theislab/ReconEval",
    **_CARD,
)
def cell_type_accuracy(comparison: Comparison) -> Values:
    """Share of predicted cells that are nearest to the controls of the right context.

    It says nothing of the perturbation: no change reaches what true cells do.

    Contexts are those of the requests, represented by the means of their staged controls; chance is one in
    as many.
    """
    import torch

    cells = comparison.population
    assert cells is not None and comparison.statistics is not None
    centroids, own = comparison.statistics.context_scores(masked=cells.masked)
    if len(centroids) < 2:
        return _absent(comparison, "all requests are in one context")
    distances = torch.cdist(cells.predicted.scores(masked=cells.masked), centroids)
    nearest = (distances == distances.amin(dim=-1, keepdim=True)).double()
    right = nearest[:, own] / nearest.sum(dim=-1)
    answer = _values(comparison, cells.predicted_draws @ right / cells.size)
    return Values(
        values=answer.values,
        scorable=answer.scorable,
        undefined=answer.undefined,
        unscorable=answer.unscorable,
        chance=torch.full_like(answer.values, 1 / len(centroids)),
    )


def _phase_scores(cells: CellSet, columns: tuple[Columns, ...]) -> Tensor:
    """Mean of each phase's genes ``(n, 2)``."""
    import torch

    return torch.stack([cells.columns(genes).mean(dim=1) for genes in columns], dim=1)


def _phases(scores: Tensor) -> Tensor:
    """One-hot G1, S, G2M ``(n, 3)`` of standardised scores ``(n, 2)``."""
    import torch

    phase = torch.where((scores <= 0).all(dim=1), 0, 1 + scores.argmax(dim=1))
    return torch.nn.functional.one_hot(phase, 3).double()


def _purity(near: Tensor, both: Tensor, k: int) -> Tensor:
    """Mean share of the k nearest of ``both`` ``(m, 2m)`` that are among its first columns, ``near``."""
    last = both.topk(k, dim=1, largest=False).values[:, -1:]  # kthvalue is not deterministic on a GPU
    inside, tied = (both < last).sum(dim=1), (both == last).sum(dim=1)
    share = (near < last).sum(dim=1) + (near == last).sum(dim=1) * (k - inside) / tied
    return (share / k).mean()


def _values(comparison: Comparison, values: Tensor) -> Values:
    cells = comparison.population
    assert cells is not None
    return Values(
        values=values.masked_fill(cells.size < MIN_CELLS, float("nan")),
        scorable=cells.truth_size >= MIN_CELLS,
        undefined=_FEW_PREDICTED,
        unscorable=_FEW_TRUE,
    )


def _absent(comparison: Comparison, why: str) -> Values:
    assert comparison.population is not None
    rows = comparison.population.size.double()
    return Values(values=0 * rows + float("nan"), scorable=rows.isnan() & False, unscorable=why)
