"""Shuffled cells: real perturbed cells of the training data, whatever they were perturbed with."""

from __future__ import annotations

import hashlib

import numpy as np
import scipy.sparse as sp

from lanner.bounds import Array, Bound, CellPool, SealedTruth, bound
from lanner.records import derived_seed


@bound
class ShuffledCells(Bound):
    """Train perturbed cells of the context, or else of all, drawn anew for each of the 40 truth parts.

    Their spread, zeros and correlations are those of real perturbed cells: what distributional metrics must
    not mistake for an answer.
    """

    id = "shuffled-cells"
    kind = "negative"
    drawn = True

    def centroid(self, truth: SealedTruth, i: int, members: Array) -> Array | None:
        """Mean of as many train cells as each part has, ``(P, n_genes)``."""
        cells = truth.train_cells(int(truth.context_of[i]))
        if cells.shape[0] == 0:
            return None
        drawn = np.zeros((len(members), cells.shape[0]))
        for row, part in enumerate(members):
            size = min(max(int(part.sum()), 1), cells.shape[0])
            drawn[row, _generator(truth, i, part.tobytes()).choice(cells.shape[0], size, replace=False)] = 1
        sums = (sp.csr_matrix(cells, dtype=np.float64).T @ drawn.T).T
        means: Array = sums / drawn.sum(axis=1, keepdims=True)
        return means

    def pool(self, truth: SealedTruth, i: int, members: Array) -> CellPool | None:
        """As many train cells as the condition has cells; scoring draws from them for each part."""
        cells = truth.train_cells(int(truth.context_of[i]))
        if cells.shape[0] == 0:
            return None
        if cells.shape[0] > members.shape[1]:
            chosen = _generator(truth, i, b"pool").choice(cells.shape[0], members.shape[1], replace=False)
            cells = cells[np.sort(chosen)]
        return CellPool(cells=cells, available=np.ones((1, cells.shape[0]), dtype=bool))


def _generator(truth: SealedTruth, i: int, part: bytes) -> np.random.Generator:
    """Seeded by the split, the condition and the part itself: parts may be asked for in any portions."""
    purpose = f"shuffled/{truth.requests[i].condition.id}/{hashlib.sha256(part).hexdigest()}"
    return np.random.default_rng(derived_seed(truth.split.sha256, purpose))
