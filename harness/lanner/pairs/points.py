"""Cells as points: genes that many cells express as dense columns, the others left sparse.

In single-cell data a fifth of the genes holds most of what is expressed. Products over those are fastest
dense, by the BLAS; over the others most of the terms would be products with zero, and sparse products skip
them. Together they take half the time of either.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

Array = np.ndarray[Any, Any]

DENSE_SHARE = 0.15
"""Share of cells from which on a gene is worth a dense column: there products of both kinds cost the same."""
MANY = 1024
"""Points from which on the sparse genes of one side are made dense, TILE cells at a time."""
TILE = 64
"""Cells of a dense tile of sparse genes: narrow enough for the caches, wide enough for vector units."""


class Points:
    """Cells as rows on a device: float32 with float64 norms, or float64.

    Parameters
    ----------
    cells
        Dense or CSR, float, ``(n, G)``.
    device
        Where the dense columns lie.
    dtype
        ``torch.float32`` or ``torch.float64``.
    centre
        Taken off the dense columns, ``(G,)``: distances do not depend on it, their rounding does.
    sparse
        Bool ``(G,)``: genes that stay sparse; needs CSR cells on the CPU. None makes all columns dense.
    """

    def __init__(
        self, cells: Any, device: str, dtype: torch.dtype, centre: Array, sparse: Array | None = None
    ) -> None:
        self.rest: sp.csr_matrix | None = None
        self._tiles: list[Array] | None = None
        wide = np.float64 if dtype == torch.float64 else np.float32
        if sparse is None:
            dense = cells.toarray() if sp.issparse(cells) else np.array(cells)
            dense = dense.astype(wide, copy=False) if dtype == torch.float64 else dense
        else:
            dense, self.rest = _parted(cells, sparse, wide)
            centre = centre[~sparse]
        shift = torch.as_tensor(centre, device=device)
        values = torch.as_tensor(dense, device=device)
        values -= shift.to(dtype)
        self.values = values
        self.norms = torch.cat(
            [part.double().square().sum(dim=1) for part in torch.split(values, 512)] or [shift[:0]]
        )
        if self.rest is not None:
            self.norms += torch.from_numpy(_sums_of_squares(self.rest))

    def __len__(self) -> int:
        return len(self.norms)

    def part(self, rows: slice) -> Points:
        """Some of the cells; dense columns are not copied."""
        part = object.__new__(Points)
        part.values, part.norms, part._tiles = self.values[rows], self.norms[rows], None
        part.rest = None if self.rest is None else self.rest[rows]
        return part

    def products(self, others: Points, columns: slice) -> Tensor:
        """Scalar products with some of ``others``, in the dtype of the points."""
        found = product(self.values, others.values[columns])
        if self.rest is not None and others.rest is not None:
            others._add_rest(self.rest, columns, found.numpy())
        return found

    def squared_between(self, rows: Tensor, others: Points, places: Tensor) -> Tensor:
        """Squared distances of pairs from their differences, float64 ``(n_pairs,)``."""
        found = (self.values[rows].double() - others.values[places].double()).square_().sum(dim=1)
        if self.rest is not None and others.rest is not None:
            change = self.rest[rows.numpy()].astype(np.float64) - others.rest[places.numpy()]
            found += torch.from_numpy(_sums_of_squares(change.tocsr()))
        return found

    def products_in_double(self, rows: Tensor, others: Points, columns: slice) -> Tensor:
        """Scalar products of some cells with some of ``others``, float64 whatever the points are."""
        found: Tensor = self.values[rows].double() @ others.values[columns].double().T
        if self.rest is not None and others.rest is not None:
            mine = self.rest[rows.numpy()].astype(np.float64)
            found += torch.from_numpy((mine @ others.rest[columns].astype(np.float64).T).toarray())
        return found

    def _add_rest(self, other: sp.csr_matrix, columns: slice, target: Array) -> None:
        """Add the products of ``other`` with the sparse genes of some of these cells."""
        assert self.rest is not None
        if len(self) < MANY:
            target += (other @ self.rest[columns].T).toarray()
            return
        if self._tiles is None:
            rest = self.rest
            self._tiles = [
                np.ascontiguousarray(rest[low : low + TILE].toarray().T) for low in range(0, len(self), TILE)
            ]
        place = columns.start
        while place < columns.stop:
            tile, inside = self._tiles[place // TILE], place % TILE
            width = min(tile.shape[1] - inside, columns.stop - place)
            found = other @ tile
            target[:, place - columns.start :][:, :width] += found[:, inside : inside + width]
            place += width


def product(left: Tensor, right: Tensor) -> Tensor:
    """``left @ right.T``.

    On a CPU, float32 goes through oneDNN where torch has it: on some processors twice as quick as the BLAS,
    and float32 as exact.
    """
    if left.device.type == "cpu" and left.dtype == torch.float32 and _has_onednn() and left.shape[1]:
        answer: Tensor = torch.ops.mkldnn._linear_pointwise(left, right, None, "none", [], "")
        return answer
    return left @ right.T


def _has_onednn() -> bool:
    return bool(torch.backends.mkldnn.is_available()) and hasattr(  # type: ignore[no-untyped-call]
        torch.ops.mkldnn, "_linear_pointwise"
    )


def _parted(
    cells: sp.csr_matrix, sparse: Array, dtype: type[np.floating[Any]]
) -> tuple[Array, sp.csr_matrix]:
    """Dense columns ``(n, n_dense)`` and the others as CSR, numbered anew."""
    place = (np.where(sparse, np.cumsum(sparse), np.cumsum(~sparse)) - 1).astype(np.int32)
    is_sparse, where = sparse[cells.indices], place[cells.indices]
    before = np.concatenate([[0], np.cumsum(is_sparse)])[cells.indptr]
    parts = []
    for chosen, indptr, n in (
        (np.flatnonzero(~is_sparse), cells.indptr - before, int((~sparse).sum())),
        (np.flatnonzero(is_sparse), before, int(sparse.sum())),
    ):
        values = cells.data[chosen].astype(dtype, copy=False)
        stored = values, where[chosen], indptr.astype(np.int32)
        parts.append(sp.csr_matrix(stored, shape=(cells.shape[0], n)))
    return parts[0].toarray(), parts[1]


def _sums_of_squares(cells: sp.csr_matrix) -> Array:
    """Sum of squares of each row, float64, added in order of columns as scipy's products of rows do."""
    values = cells.data.astype(np.float64)
    squares = sp.csr_matrix((values * values, cells.indices, cells.indptr), shape=cells.shape)
    answer: Array = squares @ np.ones(cells.shape[1])
    return answer
