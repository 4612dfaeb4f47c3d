"""What a few metrics ask of a condition's cells beyond means, computed once for all sources that meet it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lanner.bounds import SealedTruth
from lanner.moments import group_moments
from lanner.scoring.parts import ConditionParts

Array = np.ndarray[Any, Any]


class ConditionStatistics:
    """Statistics of all truth parts of one condition, the full truth last: ``(P + 1, n_genes)`` each."""

    def __init__(self, truth: SealedTruth, parts: ConditionParts) -> None:
        self._truth, self._parts = truth, parts
        self._k = int(truth.context_of[parts.i])

    def rows(self, rows: slice, device: str) -> RowStatistics:
        """The statistics of some parts, as a comparison holds them."""
        return RowStatistics(self, rows, device)

    @property
    def context(self) -> int:
        """Row of the condition's context among those of the requests."""
        return self._k

    def context_scores(self, *, masked: bool) -> Array:
        """PCA scores of the staged control means of all requested contexts, ``(K, D)``."""
        if self._truth.pca is None:
            raise ValueError("a PCA-space metric needs Truth.pca, which profile datasets do not have")
        mean, axes = self._truth.pca
        change = self._truth.control_a - mean
        if masked:
            change = np.where(self._truth.targets[self._parts.i], 0.0, change)
        scores: Array = change @ axes.T
        return scores

    @property
    def pca(self) -> tuple[Array, Array] | None:
        """Mean and components fitted on train cells."""
        return self._truth.pca

    @cached_property
    def t_of_change(self) -> Array:
        """|t| of each part against the sealed controls."""
        _, mean, variance = self._controls("b")
        return _overestimated_t(self._moments, mean[0], variance[0])

    @cached_property
    def t_of_other_half(self) -> Array | None:
        """|t| of each part's other half, or of the full truth's own cells, against other train cells."""
        others = self._truth.others(self._parts.i)
        if others is None:
            return None
        t = _overestimated_t(self._moments, *others)
        if not self._parts.halved:
            return t
        # Halves come in pairs, (half 1, half 2) of each halving; the full truth stays where it is.
        swapped = np.arange(len(t) - 1).reshape(-1, 2)[:, ::-1].ravel()
        of_other: Array = t[np.append(swapped, len(t) - 1)]
        return of_other

    @cached_property
    def additive(self) -> tuple[Array, Array] | None:
        """The additive profile of a double and the variance of (truth - additive), all four means in it."""
        known = self._truth.additive(self._parts.i)
        if known is None:
            return None
        profile, variance = known
        if not np.isfinite(variance).any():
            return profile[None], np.full((len(self._parts.members), len(profile)), np.nan)
        n, _, own = self._moments
        n_a, _, v_a = self._controls("a")
        n_b, _, v_b = self._controls("b")
        # (t - b) - (A + B - 2 a): controls A enter twice, unless they are controls B and cancel once.
        shared = np.array_equal(self._truth.control_a[self._k], self._truth.control_b[self._k])
        of_controls = v_a[0] / n_a[0] if shared else 4 * v_a[0] / n_a[0] + v_b[0] / n_b[0]
        with np.errstate(divide="ignore", invalid="ignore"):
            return profile[None], own / n + variance + of_controls

    @cached_property
    def _moments(self) -> tuple[Array, Array, Array]:
        return group_moments(self._parts.cells, self._parts.members)

    def _controls(self, part: str) -> tuple[Array, Array, Array]:
        cells = self._truth.control_cells(self._k, part)
        return group_moments(cells, np.ones((1, cells.shape[0]), dtype=bool))


@dataclass(frozen=True)
class RowStatistics:
    """``lanner.metrics.Statistics`` of some rows, on a device."""

    of: ConditionStatistics
    chosen: slice
    device: str

    def t_of_change(self) -> Tensor:
        """``(B, n_genes)``."""
        return self._tensor(self.of.t_of_change[self.chosen])

    def t_of_other_half(self) -> Tensor | None:
        """``(B, n_genes)``."""
        t = self.of.t_of_other_half
        return None if t is None else self._tensor(t[self.chosen])

    def additive(self) -> tuple[Tensor, Tensor] | None:
        """``(1, n_genes)`` and ``(B, n_genes)``."""
        known = self.of.additive
        return None if known is None else (self._tensor(known[0]), self._tensor(known[1][self.chosen]))

    def context_scores(self, *, masked: bool) -> tuple[Tensor, int]:
        """``(K, D)`` and the context's row; own targets at the PCA's mean where masked."""
        return self._tensor(self.of.context_scores(masked=masked)), self.of.context

    def pca_components(self) -> Tensor | None:
        """``(D, n_genes)``."""
        pca = self.of.pca
        return None if pca is None else self._tensor(pca[1])

    def _tensor(self, array: Array) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(array), device=self.device)


def _overestimated_t(moments: tuple[Array, Array, Array], mean: Array, variance: Array) -> Array:
    """|t| as in scanpy's t-test_overestim_var: the other group counts as no larger than this one.

    NaN where neither group varies.
    """
    n, own_mean, own_variance = moments
    with np.errstate(divide="ignore", invalid="ignore"):
        t: Array = np.abs(own_mean - mean) / np.sqrt((own_variance + variance) / n)
    t[~np.isfinite(t)] = np.nan
    return t
