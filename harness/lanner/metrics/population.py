"""Distances between the predicted and the true distribution of cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from lanner.metrics import Comparison, Values, metric

if TYPE_CHECKING:
    import scipy.sparse as sp
    from torch import Tensor

MIN_CELLS = 20


class CellSet(Protocol):
    """Cells of one condition, truth or prediction, that know their distances."""

    def distances(self, other: Self, space: str, *, masked: bool) -> Tensor:
        """Euclidean distances ``(n, n_other)`` in space ``genes`` or ``pca``; zero from a cell to itself."""

    def summaries(self, draws: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean, variance and share of zeros of drawn cells by gene, each ``(B, n_genes)``."""

    def wasserstein(self, other: Self, own_draws: Tensor, other_draws: Tensor) -> Tensor:
        """Exact 1-D Wasserstein distance of drawn cells by gene, ``(B, n_genes)``; equal numbers drawn."""

    def tests(self, draws: Tensor, controls: sp.csr_matrix, part: str) -> tuple[Tensor, Tensor]:
        """Change of the mean and Mann-Whitney p of drawn cells against controls, ``(B, n_genes)``."""


@dataclass(frozen=True, kw_only=True)
class Population:
    """Cells of the truth and of the prediction of one condition, and B draws of equal size from both.

    ``truth_draws`` is float64 ``(B, n_truth)`` and ``predicted_draws`` ``(B, n_predicted)``: 1 where a cell
    is drawn. ``size`` ``(B,)`` is the number drawn from either; ``truth_size`` ``(B,)`` the number that the
    truth alone would allow. ``predicted`` may be ``truth`` itself: the duplicate. ``masked``: the
    condition's own targets are equal in all cells. ``controls`` gives staged and sealed controls in equal
    number.
    """

    truth: CellSet
    predicted: CellSet
    truth_draws: Tensor
    predicted_draws: Tensor
    size: Tensor
    truth_size: Tensor
    masked: bool
    controls: Callable[[], tuple[sp.csr_matrix, sp.csr_matrix]] | None = None


@metric(
    id="energy",
    title="Energy distance (PCA-50)",
    level="population",
    space="PCA of 50 components fitted on train cells; own targets at the PCA's mean",
    distance="Euclidean",
    estimator="U-statistic, not squared; equal n in both groups, drawn without replacement, averaged",
    better="lower",
    best=0.0,
    chance=None,
    invariances=("rotation", "garbage orthogonal to the PCA"),
    undefined="fewer than 20 cells in a truth half, its duplicate or the prediction",
    requires="cells",
    requires_truth="cells",
    min_cells=MIN_CELLS,
    citation="doi:10.1016/j.jspi.2013.03.018",
)
def energy(comparison: Comparison) -> Values:
    r"""Energy distance between predicted and true cells in a train-fitted PCA.

    :math:`2 E|X - Y| - E|X - X'| - E|Y - Y'|`, means over distinct pairs: 0 in expectation for two samples of
    one distribution, so that single values may be below 0 (Székely and Rizzo 2013).
    """
    return _energy(comparison, "pca")


@metric(
    id="energy/gene",
    title="Energy distance (genes)",
    level="population",
    space="genes",
    distance="Euclidean",
    estimator="U-statistic, not squared; equal n in both groups, drawn without replacement, averaged",
    better="lower",
    best=0.0,
    chance=None,
    invariances=("rotation",),
    undefined="fewer than 20 cells in a truth half, its duplicate or the prediction",
    requires="cells",
    requires_truth="cells",
    min_cells=MIN_CELLS,
    citation="doi:10.1016/j.jspi.2013.03.018",
)
def energy_gene(comparison: Comparison) -> Values:
    """Energy distance between predicted and true cells over all genes."""
    return _energy(comparison, "genes")


def _energy(comparison: Comparison, space: str) -> Values:
    cells = comparison.population
    assert cells is not None
    truth, predicted = cells.truth, cells.predicted
    within_truth = truth.distances(truth, space, masked=cells.masked)
    within_predicted = predicted.distances(predicted, space, masked=cells.masked)
    between = predicted.distances(truth, space, masked=cells.masked)
    t, p, m = cells.truth_draws, cells.predicted_draws, cells.size.double()
    pairs = m * (m - 1)
    values = (
        2 * ((p @ between) * t).sum(dim=1) / m.square()
        - ((t @ within_truth) * t).sum(dim=1) / pairs
        - ((p @ within_predicted) * p).sum(dim=1) / pairs
    )
    return Values(
        values=values.masked_fill(cells.size < MIN_CELLS, float("nan")),
        scorable=cells.truth_size >= MIN_CELLS,
        undefined=f"fewer than {MIN_CELLS} predicted cells, or staged controls to draw them from",
        unscorable=f"fewer than {MIN_CELLS} cells in a truth half",
    )
