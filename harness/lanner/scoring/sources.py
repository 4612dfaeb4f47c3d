"""Where predicted profiles and cells come from: a submitted prediction or a bound, seen alike."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from lanner.bounds import CellPool, SealedTruth, control_pool
from lanner.matrix import Matrix

Array = np.ndarray[Any, Any]


class RecentCells:
    """A sealed truth that remembers the cells it read last: bounds ask for the same ones in turn."""

    def __init__(self, sealed: SealedTruth) -> None:
        self.sealed = sealed
        self.cells = lru_cache(maxsize=1)(sealed.cells)
        self.control_cells = lru_cache(maxsize=2)(sealed.control_cells)
        self.train_cells = lru_cache(maxsize=1)(sealed.train_cells)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sealed, name)


class Source(Protocol):
    """What the engine asks for; ``lanner.bounds.Bound`` says what shapes mean."""

    def centroid(self, truth: SealedTruth, i: int, members: Array) -> Array | None:
        """Mean profile of request ``i``."""

    def pool(self, truth: SealedTruth, i: int, members: Array) -> CellPool | None:
        """Cells of request ``i``."""


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """A method's prediction, read one request at a time.

    A request that is not ``answered``, bool ``(C,)``, stands at the train mean: nobody sees its value, and as
    a candidate in retrieval it is told from the others neither well nor badly.
    """

    matrix: Matrix
    n_cells: int
    residual: str | None
    answered: Array

    def centroid(self, truth: SealedTruth, i: int, members: Array) -> Array | None:
        """Mean of the request's rows, float64 ``(1, n_genes)``."""
        if not self.answered[i]:
            mean: Array = truth.train_mean[truth.context_of[i]][None, :]
            return mean
        rows = self._rows(i)
        return np.asarray(rows.sum(axis=0, dtype=np.float64)).reshape(1, -1) / self.n_cells

    def pool(self, truth: SealedTruth, i: int, members: Array) -> CellPool | None:
        """The request's cells; drawn by the residual model from a profile; None for a bare profile."""
        if self.n_cells > 1:
            return CellPool(cells=self._rows(i), available=np.ones((1, self.n_cells), dtype=bool))
        if self.residual is None:
            return None
        profile = self.centroid(truth, i, members)
        assert profile is not None
        return control_pool(truth, i, profile[0], self.residual, members.shape[1])

    def _rows(self, i: int) -> Any:
        return self.matrix.block(i * self.n_cells, (i + 1) * self.n_cells)
