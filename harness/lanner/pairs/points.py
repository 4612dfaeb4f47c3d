"""Cells as points: genes that many cells express as dense columns, the others left sparse.

In single-cell data a fifth of the genes holds most of what is expressed. Products over those are fastest
dense, by the BLAS; over the others most of the terms would be products with zero, and a product of two sparse
matrices skips them. Together they take a third of the time of either.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

Array = np.ndarray[Any, Any]

warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta", category=UserWarning)

DENSE_SHARE = 0.15
"""Share of cells from which on a gene is worth a dense column: there products of both kinds cost the same."""
COLUMNS = 1024
"""Cells of one side that a product takes at a time: of a few hundred rows, what a core's cache holds."""


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
        self._turned: dict[int, Tensor] = {}
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
        part.values, part.norms, part._turned = self.values[rows], self.norms[rows], {}
        part.rest = None if self.rest is None else self.rest[rows]
        return part

    def products(self, others: Points, columns: slice) -> Tensor:
        """Scalar products with some of ``others``, in the dtype of the points."""
        found = product(self.values, others.values[columns])
        if self.rest is not None and others.rest is not None:
            others._add_rest(self.rest, columns, found)
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

    def _add_rest(self, other: sp.csr_matrix, columns: slice, target: Tensor) -> None:
        """Add the products of ``other`` with the sparse genes of some of these cells."""
        assert self.rest is not None
        if not torch.backends.mkl.is_available():  # type: ignore[no-untyped-call]  # its product alone is dense
            target += torch.from_numpy((other @ self.rest[columns].T).toarray())
            return
        turned = self._turned.get(columns.start)
        if turned is None or turned.shape[1] != columns.stop - columns.start:
            turned = _tensor(self.rest[columns].T.tocsr())
            if columns.start % COLUMNS == 0:  # what all the others are compared with
                self._turned[columns.start] = turned
        torch.addmm(target, _tensor(other), turned, out=target)


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


def _tensor(cells: sp.csr_matrix) -> Tensor:
    indptr, indices, data = (torch.from_numpy(part) for part in (cells.indptr, cells.indices, cells.data))
    return torch.sparse_csr_tensor(indptr, indices, data, size=cells.shape, check_invariants=False)


def _sums_of_squares(cells: sp.csr_matrix) -> Array:
    """Sum of squares of each row, float64, added in order of columns as scipy's products of rows do."""
    values = cells.data.astype(np.float64)
    squares = sp.csr_matrix((values * values, cells.indices, cells.indptr), shape=cells.shape)
    answer: Array = squares @ np.ones(cells.shape[1])
    return answer
