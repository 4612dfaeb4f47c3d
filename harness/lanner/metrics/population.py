"""Distances between the predicted and the true distribution of cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

from lanner.metrics import RESOLUTION, Comparison, Values, metric

if TYPE_CHECKING:
    import scipy.sparse as sp
    from torch import Tensor

MIN_CELLS = 20


class CellSet(Protocol):
    """Cells of one condition, truth or prediction, that know their distances."""

    def distances(self, other: Self, space: str, *, masked: bool) -> Tensor:
        """Euclidean distances ``(n, n_other)`` in space ``genes`` or ``pca``; zero from a cell to itself."""

    def columns(self, columns: Any) -> Tensor:
        """Some genes of all cells, dense float64 ``(n, len(columns))``."""

    def scores(self, *, masked: bool) -> Tensor:
        """PCA scores ``(n, D)``."""

    def summaries(self, draws: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean, variance and share of zeros of drawn cells by gene, each ``(B, n_genes)``."""

    def wasserstein(self, other: Self, own_draws: Tensor, other_draws: Tensor) -> Tensor:
        """Exact 1-D Wasserstein distance of drawn cells by gene, ``(B, n_genes)``; equal numbers drawn."""

    def tests(
        self, draws: Tensor, controls: sp.csr_matrix, part: str, *, test: str = "mann-whitney"
    ) -> tuple[Tensor, Tensor]:
        """Change of the mean and p (``mann-whitney`` | ``welch``) of drawn cells against controls.

        Both ``(B, n_genes)``; ``part`` names the controls: ``a`` or ``b``.
        """


@dataclass(frozen=True, kw_only=True)
class Population:
    """Cells of the truth and of the prediction of one condition, and B draws of equal size from both.

    ``truth_draws`` is float64 ``(B, n_truth)`` and ``predicted_draws`` ``(B, n_predicted)``: 1 where a cell
    is drawn. ``size`` ``(B,)`` is the number drawn from either; ``truth_size`` ``(B,)`` the number that the
    truth alone would allow. ``predicted`` may be ``truth`` itself: the duplicate. ``masked``: the
    condition's own targets are equal in all cells. ``controls`` gives staged and sealed controls in equal
    number. ``drawn_controls`` gives the sealed ones as cells and draws of the same size, in which fewer are
    drawn where there are not as many.
    """

    truth: CellSet
    predicted: CellSet
    truth_draws: Tensor
    predicted_draws: Tensor
    size: Tensor
    truth_size: Tensor
    masked: bool
    controls: Callable[[], tuple[sp.csr_matrix, sp.csr_matrix]] | None = None
    drawn_controls: Callable[[], tuple[CellSet, Tensor]] | None = None


_CARD: dict[str, Any] = {
    "level": "population",
    "distance": "Euclidean",
    "estimator": "U-statistic, not squared; equal n in both groups, drawn without replacement, averaged",
    "better": "lower",
    "best": 0.0,
    "chance": None,
    "undefined": "fewer than 20 cells in a truth half, its duplicate or the prediction",
    "requires": "cells",
    "requires_truth": "cells",
    "min_cells": MIN_CELLS,
    "citation": "doi:10.1016/j.jspi.2013.03.018",
}


@metric(
    id="energy",
    version=2,
    title="Energy distance (worse of PCA-50 and genes)",
    space="PCA of 50 components fitted on train cells, or all genes: whichever the skill is worse in",
    invariances=("rotation",),
    worst_of=("energy/pca50", "energy/gene"),
    **_CARD,
)
def energy(comparison: Comparison) -> Values:
    """Energy distance of predicted and true cells, in the space where its skill is worse.

    A prediction has to be near the truth in the train-fitted PCA and outside it: garbage orthogonal to the
    PCA is invisible in energy/pca50, small changes drown in the noise of energy/gene. The row of an aggregate
    is that of energy/pca50 or of energy/gene and names it as ``component``; a metric is informative where
    both are.
    """
    raise TypeError("energy is made of energy/pca50 and energy/gene when their rows are aggregated")


@metric(
    id="energy/pca50",
    title="Energy distance (PCA-50)",
    space="PCA of 50 components fitted on train cells; own targets at the PCA's mean",
    invariances=("rotation", "garbage orthogonal to the PCA"),
    **_CARD,
)
def energy_pca(comparison: Comparison) -> Values:
    r"""Energy distance between predicted and true cells in a train-fitted PCA.

    :math:`2 E|X - Y| - E|X - X'| - E|Y - Y'|`, means over distinct pairs: 0 in expectation for two samples of
    one distribution, so that single values may be below 0 (Székely and Rizzo 2013).
    """
    return _energy(comparison, "pca")


@metric(
    id="energy/gene",
    title="Energy distance (genes)",
    space="genes",
    invariances=("rotation",),
    **_CARD,
)
def energy_gene(comparison: Comparison) -> Values:
    """Energy distance between predicted and true cells over all genes."""
    return _energy(comparison, "genes")


@metric(
    id="pca_residual_norm",
    title="Change outside the PCA",
    level="centroid",
    space="orthogonal complement of the PCA of 50 components fitted on train cells; unmasked genes",
    reference="control mean of the context: staged controls for the prediction, sealed ones for the truth",
    distance="ratio of Euclidean norms, predicted / true",
    better="neither",
    best=1.0,
    chance=None,
    invariances=("the sign of the predicted change", "any change within the PCA"),
    undefined="a true change that lies within the PCA",
    requires_truth="cells",
    citation="https://github.com/scverse/scanpy",
)
def pca_residual_norm(comparison: Comparison) -> Values:
    r"""Size of the predicted mean change outside the train PCA, relative to the truth's.

    :math:`|(I - V V^T)(p - a)| / |(I - V V^T)(t - b)|` with the components V and changes of own targets set
    to 0. What lies outside the PCA is mostly sampling noise of the truth: a noiseless prediction is well
    below 1, a duplicate near 1, and values far above 1 are garbage that energy/pca50 does not see.
    """
    assert comparison.statistics is not None
    components = comparison.statistics.pca_components()
    keep = (~comparison.masked).double()
    true = _outside((comparison.truth - comparison.truth_reference) * keep, components)
    predicted = _outside((comparison.predicted - comparison.predicted_reference) * keep, components)
    return Values(
        values=predicted / true,
        scorable=comparison.truth.isfinite().all(dim=-1) & (true > 0),
        unscorable="no PCA was fitted, or the true change lies within it",
    )


def _outside(change: Tensor, components: Tensor | None) -> Tensor:
    """Norm ``(B,)`` of what a change ``(B, n_genes)`` has outside the PCA; 0 up to float32 resolution."""
    if components is None:
        return change[:, 0] * 0.0
    outside: Tensor = (change - (change @ components.T) @ components).norm(dim=-1)
    return outside.masked_fill(outside <= RESOLUTION * change.norm(dim=-1), 0.0)


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
