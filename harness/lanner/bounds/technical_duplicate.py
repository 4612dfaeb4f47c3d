"""Technical duplicate: the other half of the condition's own cells."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from lanner.bounds import Array, Bound, CellPool, SealedTruth, bound


@bound
class TechnicalDuplicate(Bound):
    """What a second experiment of the same size as the truth half would predict: a reference, no ceiling."""

    id = "technical-duplicate"
    kind = "positive"
    anchors = True

    def centroid(self, truth: SealedTruth, i: int, members: Array) -> Array | None:
        """Mean of the cells outside each part ``(P, n_genes)``; None where a part leaves no cell."""
        others = (~members).sum(axis=1, keepdims=True)
        if members.size == 0 or not others.any():
            return None
        sums = (sp.csr_matrix(truth.cells(i), dtype=np.float64).T @ (~members).T.astype(np.float64)).T
        means: Array = np.divide(sums, others, out=np.full_like(sums, np.nan), where=others > 0)
        return means

    def pool(self, truth: SealedTruth, i: int, members: Array) -> CellPool | None:
        """The held-out cells outside each part."""
        if members.size == 0 or members.all():
            return None
        return CellPool(cells=truth.cells(i), available=~members, is_truth=True)
