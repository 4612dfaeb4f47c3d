"""Metrics: one decorated function and one frozen card each, in whatever file of this package suits them.

A function takes a ``Comparison`` (arrays of one prediction and of the truths it meets) and returns
``Values``, one per row. It knows nothing of files, bounds, halvings or averages: ``lanner.scoring`` decides
which rows a comparison has, by the card's level:

- ``centroid``, ``de``, ``population``: rows are the truth parts (halves, draws) of one condition;
- ``retrieval``: rows are all requested conditions of one context, in one truth part.

Functions use the tensors they are given and do not import torch at run time, so that cards are quick to list.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import scipy.sparse as sp

from lanner.cards import CARDS, Card, components
from lanner.registry import Registry, import_all

if TYPE_CHECKING:
    from torch import Tensor

    from lanner.metrics.population import Population

__all__ = [
    "LABELS",
    "METRICS",
    "RESOLUTION",
    "Card",
    "Comparison",
    "Metric",
    "Statistics",
    "Values",
    "components",
    "metric",
]

RESOLUTION = 64 * 2.0**-23
"""Relative size below which a difference of two profiles is float32 rounding: 64 units in the last place.

A float32 file costs half a unit; a float32 mean over some thousand cells, as methods compute it, costs tens.
"""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """B comparisons of predicted with true profiles; float64 tensors on one device.

    A first dimension of 1 stands for "the same in every row". ``predicted``, ``truth`` have shape
    ``(B, n_genes)``; ``predicted_reference`` (controls A), ``truth_reference`` (controls B) and
    ``train_reference`` (mean of train perturbation centroids) ``(1, n_genes)``. ``masked`` is bool
    ``(B, n_genes)``: the condition's own targets, all False in an unmasked variant. ``labels`` is bool
    ``(B, n_genes)`` where the card names a rule; ``n_cells`` ``(B,)`` counts the cells behind each truth
    row. ``population`` holds cells and draws for metrics that require cells, ``statistics`` what few ask
    for, ``genes`` the names of the columns, and ``train_candidates``, in retrieval, the train centroids of
    the context and their targets, both ``(T, n_genes)``.
    """

    predicted: Tensor
    truth: Tensor
    predicted_reference: Tensor
    truth_reference: Tensor
    train_reference: Tensor
    masked: Tensor
    n_cells: Tensor
    labels: Tensor | None = None
    population: Population | None = None
    statistics: Statistics | None = None
    train_candidates: Callable[[], tuple[Tensor, Tensor]] | None = None
    genes: tuple[str, ...] = ()


class Statistics(Protocol):
    """What else the truth can tell; computed when a metric asks, once for all sources of a condition.

    Rows are those of the comparison; everything is float64 on its device unless said otherwise.
    """

    def t_of_change(self) -> Tensor:
        """``|t|`` of each truth part against the sealed controls, overestimated variance ``(B, n_genes)``."""

    def t_of_other_half(self) -> Tensor | None:
        """``|t|`` of the half *not* scored against the other train perturbed cells of the context.

        ``(B, n_genes)``; of all cells for the full truth; None with fewer than 5 other perturbations.
        """

    def additive(self) -> tuple[Tensor, Tensor] | None:
        """What the measured train singles of a double add up to, and the variance of (truth - that).

        ``(1, n_genes)`` and ``(B, n_genes)``, the latter NaN for profiles; None where a single is missing.
        """

    def context_scores(self, *, masked: bool) -> tuple[Tensor, int]:
        """PCA scores ``(K, D)`` of staged control means of all requested contexts, and the own one's row."""

    def pca_components(self) -> Tensor | None:
        """Orthonormal components ``(D, n_genes)`` of the PCA fitted on train cells; None for profiles."""


@dataclass(frozen=True, kw_only=True)
class Values:
    """One value per row of a comparison.

    ``values`` is float64 ``(B,)``, NaN where the prediction leaves it undefined. ``scorable`` is bool
    ``(B,)``, False where the truth does: such rows are dropped for every method and bound alike, so it must
    not depend on the prediction. ``chance`` ``(B,)`` is given where the card's chance is per condition.
    The two reasons are half sentences for people.
    """

    values: Tensor
    scorable: Tensor
    undefined: str = "the prediction leaves it undefined"
    unscorable: str = "the truth leaves it undefined"
    chance: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A scoring function and its card."""

    card: Card
    function: Callable[[Comparison], Values]

    @property
    def definition(self) -> str:
        """The function's docstring: formula and source."""
        return inspect.cleandoc(self.function.__doc__ or "")

    def __call__(self, comparison: Comparison) -> Values:
        """One value per row of the comparison."""
        return self.function(comparison)


class LabelRule(Protocol):
    """Decides which genes a perturbation changes, from the truth alone.

    ``cells`` is CSR ``(n, n_genes)``, ``members`` bool ``(P, n)``: the cells of each truth part, ``controls``
    CSR ``(n_controls, n_genes)``. Returns bool ``(P, n_genes)``.
    """

    def __call__(
        self, cells: sp.csr_matrix, members: np.ndarray[Any, Any], controls: sp.csr_matrix
    ) -> np.ndarray[Any, Any]: ...


METRICS: Registry[Metric] = Registry("metric")
LABELS: Registry[LabelRule] = Registry("label rule")


def metric(
    *,
    id: str,
    title: str,
    level: str,
    space: str,
    better: str,
    best: float,
    chance: float | str | None,
    undefined: str,
    citation: str,
    version: int = 1,
    reference: str = "none",
    distance: str = "none",
    estimator: str = "plug-in",
    weights: str = "none",
    candidates: str = "none",
    ties: str = "none",
    invariances: tuple[str, ...] = (),
    requires: str = "profile",
    requires_truth: str = "profile",
    labels: str | None = None,
    min_cells: int = 1,
    min_conditions: int = 1,
    min_positives: int = 0,
    tolerance: float = 0.0,
    worst_of: tuple[str, ...] = (),
) -> Callable[[Callable[[Comparison], Values]], Metric]:
    """Register a function under ``id``; the first line of its docstring becomes the card's summary."""
    fields: Mapping[str, Any] = dict(locals())

    def register(function: Callable[[Comparison], Values]) -> Metric:
        summary = (function.__doc__ or "").partition("\n")[0]
        found = Metric(card=Card(summary=summary, **fields), function=function)
        CARDS.add(id, found.card)
        return METRICS.add(id, found)

    return register


import_all(sys.modules[__name__])
