"""Truth parts: the halves of a held-out condition that everything is scored against, and draws from them."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from lanner.bounds import CellPool, SealedTruth
from lanner.metrics.population import Population
from lanner.records import derived_seed
from lanner.scoring.cells import CellSet

Array = np.ndarray[Any, Any]

DRAWS = 20
"""Seeded draws that a population metric averages against the full truth; halves bring one draw each."""


class ConditionParts:
    """The P truth parts of one request and, as last row, the full truth.

    Parts come in pairs, half 1 and half 2 of a halving, each being the other's duplicate. Without measured
    halves there is one part, and it is the full truth.
    """

    def __init__(self, truth: SealedTruth, i: int) -> None:
        self.truth = truth
        self.i = i
        self._orders: dict[tuple[str, int], Array] = {}
        self._control_sets: dict[str, CellSet] = {}
        self.cells: sp.csr_matrix = truth.cells(i)
        self.n_parts = 2 * truth.halvings or 1
        n = self.cells.shape[0]
        half = truth.half(i) if truth.halvings and n else np.ones((0, n), dtype=bool)
        self.halved = len(half) > 0
        parts = np.stack([half, ~half], axis=1).reshape(-1, n) if self.halved else np.ones((1, n), dtype=bool)
        if len(parts) < self.n_parts:
            parts = parts.repeat(self.n_parts, axis=0)
        self.members = np.concatenate([parts, np.ones((1, n), dtype=bool)])

    def rows(self, *, full: bool) -> slice:
        """Rows of ``members`` of the halves, or of the full truth."""
        return slice(self.n_parts, None) if full else slice(0, self.n_parts)

    @cached_property
    def centroids(self) -> Array:
        """Mean profiles ``(P + 1, n_genes)``; NaN for a part without cells."""
        return self.centroids_of(slice(None))

    def centroids_of(self, rows: slice) -> Array:
        """Some rows of ``centroids``, without the work for the others."""
        wanted = np.arange(len(self.members))[rows]
        answer = np.repeat(self.truth.full[self.i][None, :], len(wanted), axis=0)
        is_part = (wanted < self.n_parts) & self.halved
        if is_part.any():
            parts = self.members[wanted[is_part]].astype(np.float64)
            sums = (sp.csr_matrix(self.cells, dtype=np.float64).T @ parts.T).T
            sizes = parts.sum(axis=1, keepdims=True)
            answer[is_part] = np.divide(sums, sizes, out=np.full_like(sums, np.nan), where=sizes > 0)
        return answer

    def sizes(self, *, full: bool) -> Array:
        """Cells of each part or, where smaller, of its duplicate: what equal n allows the truth."""
        members = self.members[self.rows(full=full)]
        inside = members.sum(axis=1)
        outside = (~members).sum(axis=1) if self.halved and not full else inside
        smaller: Array = np.minimum(inside, outside)
        return smaller

    def population(
        self, truth_cells: CellSet, predicted: CellSet, pool: CellPool, *, full: bool, masked: bool
    ) -> Population:
        """Draws of equal size for each part (halves), or ``DRAWS`` of them (full truth)."""
        rows = self.rows(full=full)
        available = np.broadcast_to(pool.available, (len(self.members), pool.available.shape[1]))[rows]
        members, largest = self.members[rows], self.sizes(full=full)
        if full:
            members, available = members.repeat(DRAWS, axis=0), available.repeat(DRAWS, axis=0)
            largest = largest.repeat(DRAWS)
        size = np.minimum(largest, available.sum(axis=1))
        scope = "full" if full else "halves"
        device = truth_cells.device
        return Population(
            truth=truth_cells,
            predicted=predicted,
            truth_draws=torch.as_tensor(self._draw(members, size, f"truth/{scope}"), device=device),
            predicted_draws=torch.as_tensor(self._draw(available, size, f"predicted/{scope}"), device=device),
            size=torch.as_tensor(size, device=device),
            truth_size=torch.as_tensor(largest, device=device),
            masked=masked,
            controls=lambda: self._controls,
            drawn_controls=lambda: self._drawn_controls(size, scope, device),
        )

    @cached_property
    def _controls(self) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        """Staged and sealed controls of the context, the larger set cut to the size of the smaller."""
        k = int(self.truth.context_of[self.i])
        a, b = self.truth.control_cells(k, "a"), self.truth.control_cells(k, "b")
        n = min(a.shape[0], b.shape[0])
        return a[:n], b[:n]

    def _drawn_controls(self, size: Array, scope: str, device: str) -> tuple[CellSet, torch.Tensor]:
        """Sealed controls as cells, kept for all sources, and draws of ``size`` of them."""
        if device not in self._control_sets:
            k = int(self.truth.context_of[self.i])
            cells, targets = self.truth.control_cells(k, "b"), np.flatnonzero(self.truth.targets[self.i])
            self._control_sets[device] = CellSet(cells, targets, self.truth.pca, device)
        controls = self._control_sets[device]
        allowed = np.ones((len(size), controls.n_cells), dtype=bool)
        draws = self._draw(allowed, size, f"controls/{scope}")
        return controls, torch.as_tensor(draws, device=device)

    def _draw(self, allowed: Array, size: Array, purpose: str) -> Array:
        """Float64 ``(B, n)``: 1 for the first ``size`` allowed cells of a seeded order.

        The order depends on the split and the condition only: methods are compared on the same draws, and a
        smaller draw is part of a larger one.
        """
        order = self._order(purpose, *allowed.shape)
        may_take = np.take_along_axis(allowed, order, axis=1)
        chosen = may_take & (may_take.cumsum(axis=1) <= size[:, None])
        drawn = np.zeros(allowed.shape)
        np.put_along_axis(drawn, order, chosen, axis=1)
        return drawn

    def _order(self, purpose: str, n_draws: int, n_cells: int) -> Array:
        """A seeded permutation of cells per draw, ``(B, n)``."""
        key = (purpose, n_cells)
        if key not in self._orders:
            condition = self.truth.requests[self.i].condition.id
            seed = derived_seed(self.truth.split.sha256, f"draws/{purpose}/{condition}")
            cells = np.tile(np.arange(n_cells), (n_draws, 1))
            self._orders[key] = np.random.default_rng(seed).permuted(cells, axis=1)
        return self._orders[key]
