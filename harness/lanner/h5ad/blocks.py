"""Row blocks of a stored matrix, dense or CSR, as AnnData files hold it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import h5py
import numpy as np
import scipy.sparse as sp

from lanner.h5ad.extents import rows_of

Block: TypeAlias = sp.csr_matrix | np.ndarray[Any, Any]

BLOCK_VALUES = 4 << 20
"""Values per block of rows: 16 MiB of float32, twice that while a float64 source is read."""


def encoding(group: h5py.Group) -> str:
    """``csr`` or ``csc``, from today's attribute or that of anndata before 0.7."""
    text = str(group.attrs.get("encoding-type", group.attrs.get("h5sparse_format", "")))
    return "csc" if text.startswith("csc") else "csr"


def sparse_shape(group: h5py.Group) -> tuple[int, ...]:
    """The shape a sparse matrix says it has."""
    return tuple(int(size) for size in group.attrs.get("shape", group.attrs.get("h5sparse_shape", ())))


def csr_blocks(
    group: h5py.Group, shape: tuple[int, int], n_values: int | None = None
) -> Iterator[tuple[int, int, sp.csr_matrix]]:
    """Rows of a CSR matrix in order, ``(start, stop, block)`` of about ``n_values`` values."""
    n_values = n_values or BLOCK_VALUES
    indptr = group["indptr"][:].astype(np.int64)
    data, indices = rows_of(group["data"]), rows_of(group["indices"])
    start = 0
    while start < shape[0]:
        stop = int(np.searchsorted(indptr, indptr[start] + n_values, side="right")) - 1
        stop = min(max(stop, start + 1), shape[0])
        low, high = int(indptr[start]), int(indptr[stop])
        parts = (data[low:high], indices[low:high], indptr[start : stop + 1] - low)
        yield start, stop, sp.csr_matrix(parts, shape=(stop - start, shape[1]))
        start = stop


def dense_blocks(
    stored: h5py.Dataset, n_values: int | None = None
) -> Iterator[tuple[int, int, np.ndarray[Any, Any]]]:
    """Rows of a dense matrix in order, ``(start, stop, block)`` of about ``n_values`` values."""
    step = max((n_values or BLOCK_VALUES) // max(stored.shape[1], 1), 1)
    rows = rows_of(stored)
    for start in range(0, stored.shape[0], step):
        stop = min(start + step, stored.shape[0])
        yield start, stop, rows[start:stop]
