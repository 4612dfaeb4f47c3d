"""Read a prediction from an untrusted HDF5 file: structure first, then the named parts, in row blocks.

Only ``/obs/_index``, ``/var/_index``, ``/obs/answered`` and ``/X`` are read, each against what the harness
asked for, so every size is an equality. Nothing is densified: a CSR matrix stays CSR. No anndata, pandas or
torch here: this module runs inside the confined child of ``lanner.ingest``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from h5py import h5o

from lanner.errors import PredictionError
from lanner.h5ad.elements import Elements, as_float32, require_float
from lanner.h5ad.expectation import Expectation
from lanner.h5ad.extents import Extents, rows_of
from lanner.h5ad.names import check_names
from lanner.h5ad.scale import ScaleCheck
from lanner.h5ad.structure import Bounds, open_checked, shown

Array = np.ndarray[Any, Any]

BLOCK_BYTES = 32 << 20
"""Target size of one block of rows, counted as float32 values."""
PLAIN_BLOCK_BYTES = 1 << 20
"""The same where no chunk is unpacked twice for it: a block that stays in a core's cache."""

_ADVICE = {
    "/obs/_index": "name the rows with an index without a name (adata.obs_names.name = None)",
    "/var/_index": "name the genes with an index without a name (adata.var_names.name = None)",
    "/X": "write the predicted expression there",
}


@dataclass(frozen=True)
class CsrBlock:
    """Consecutive rows: ``data`` float32, ``indices`` int32 (sorted, unique per row), ``counts`` per row."""

    data: Array
    indices: Array
    counts: Array


class CheckedPrediction:
    """An untrusted file whose structure, names and flags are as expected; ``blocks()`` checks the rest.

    ``answered`` is bool, one per row; ``n_values`` counts stored values (CSR) or all values (dense).
    """

    def __init__(self, path: os.PathLike[str] | str, expectation: Expectation) -> None:
        n_genes = len(expectation.genes)
        most_rows = len(expectation.request_ids) * expectation.n_cells
        self._bounds = Bounds(dataset_bytes=8 * most_rows * n_genes + (64 << 20))
        self._file = open_checked(path, self._bounds)
        self._elements = Elements(path, self._file, _ADVICE)
        self._expectation = expectation
        n_rows = self._n_rows()
        self.rows = expectation.row_names(n_rows)
        self.shape = (n_rows, n_genes)
        self._scale = ScaleCheck(expectation.scale, expectation.minimum, expectation.maximum)
        check_names(self._elements.dataset("/obs/_index"), self.rows, "obs", self._bounds)
        check_names(self._elements.dataset("/var/_index"), list(expectation.genes), "var", self._bounds)
        self.answered = self._read_answered()
        self.is_sparse = not self._elements.is_dataset("/X")
        if self.is_sparse:
            self._open_csr()
        else:
            self._X = self._elements.dataset("/X")
            if self._X.shape != self.shape:
                raise PredictionError("shape", f"/X has shape {self._X.shape}; expected {self.shape}")
            require_float(self._X.dtype, "/X")
            self.n_values = n_rows * n_genes
            self._rows = rows_of(self._X)

    def blocks(self) -> Iterator[Array | CsrBlock]:
        """All rows in order, finite, in range, as float32; PredictionError at the first that is not."""
        for start, stop in self._cuts():
            block = self._csr_block(start, stop) if self.is_sparse else self._dense_block(start, stop)
            yield block
        self._scale.finish()

    def _n_rows(self) -> int:
        shape: tuple[int, ...] = self._elements.dataset("/obs/_index").shape
        return shape[0] if len(shape) == 1 else 0

    def _read_answered(self) -> Array:
        obs = h5py.Group(h5o.open(self._file, b"/obs"))
        if "answered" not in obs:
            return np.ones(self.shape[0], bool)
        dataset = self._elements.dataset("/obs/answered")
        if dataset.shape != (self.shape[0],) or dataset.dtype not in (np.bool_, np.int8, np.uint8):
            raise PredictionError(
                "answered",
                f"/obs/answered is {dataset.dtype} of shape {dataset.shape}; expected bool or int8 of shape "
                f"({self.shape[0]},), 1 where the row is an answer",
            )
        values = dataset[:].astype(np.int8)
        if not np.isin(values, (0, 1)).all():
            raise PredictionError("answered", "/obs/answered holds values other than 0 and 1")
        return np.asarray(values == 1)

    def _open_csr(self) -> None:
        n_rows, n_genes = self.shape
        self._data, self._indices, indptr = (
            self._elements.dataset(f"/X/{name}") for name in ("data", "indices", "indptr")
        )
        if self._data.ndim != 1 or self._data.shape != self._indices.shape:
            raise PredictionError(
                "sparse",
                f"/X/data has shape {self._data.shape}, /X/indices {self._indices.shape}; they must match",
            )
        if indptr.shape == (n_genes + 1,) and n_genes != n_rows:
            raise PredictionError("sparse", "/X is CSC (one indptr entry per gene); write CSR or dense")
        if indptr.shape != (n_rows + 1,):
            raise PredictionError("sparse", f"/X/indptr has shape {indptr.shape}; expected ({n_rows + 1},)")
        require_float(self._data.dtype, "/X/data")
        for dataset, name in ((self._indices, "indices"), (indptr, "indptr")):
            if dataset.dtype.kind not in "iu":
                raise PredictionError("dtype", f"/X/{name} is {dataset.dtype}; expected int32 or int64")
        self.n_values = self._data.shape[0]
        starts = indptr[:].astype(np.int64)
        counts = np.diff(starts)
        if starts[0] != 0 or starts[-1] != self.n_values or counts.min(initial=0) < 0:
            raise PredictionError(
                "sparse", f"/X/indptr must rise from 0 to the {self.n_values:,} stored values"
            )
        if counts.max(initial=0) > n_genes:
            raise PredictionError(
                "sparse", f"a row of /X stores more values than there are genes ({n_genes:,})"
            )
        self._indptr = starts
        self._values, self._columns = rows_of(self._data), rows_of(self._indices)

    def _cuts(self) -> Iterator[tuple[int, int]]:
        """Row ranges of about BLOCK_BYTES, along chunk borders where that saves reading a chunk twice."""
        n_rows, n_genes = self.shape
        stored = (self._values, self._columns) if self.is_sparse else (self._rows,)
        plain = all(isinstance(part, Extents) for part in stored)
        size = PLAIN_BLOCK_BYTES if plain else BLOCK_BYTES
        step = max(1, size // (4 * max(n_genes, 1)))
        if not self.is_sparse and not plain and self._X.chunks:
            chunk = self._X.chunks[0]
            if chunk <= step:
                step -= step % chunk
            elif chunk * n_genes * 4 <= 4 * BLOCK_BYTES:
                step = chunk
        start = 0
        while start < n_rows:
            if self.is_sparse:
                limit = self._indptr[start] + size // 4
                step = max(1, int(np.searchsorted(self._indptr, limit, side="right")) - 1 - start)
            yield start, min(start + step, n_rows)
            start += step

    def _dense_block(self, start: int, stop: int) -> Array:
        block = as_float32(self._rows[start:stop])
        if not _all_finite(block):
            bad = ~np.isfinite(block)
            row, gene = (int(axis[0]) for axis in np.nonzero(bad))
            raise _non_finite(int(bad.sum()), self.rows[start + row], self._expectation.genes[gene])
        answered = self.answered[start:stop]
        self._scale.add(block if answered.all() else block[answered])
        return block

    def _csr_block(self, start: int, stop: int) -> CsrBlock:
        low, high = int(self._indptr[start]), int(self._indptr[stop])
        data, columns = as_float32(self._values[low:high]), self._columns[low:high]
        starts = self._indptr[start : stop + 1] - low
        counts = np.diff(starts)
        if columns.size and (columns.min() < 0 or columns.max() >= self.shape[1]):
            raise PredictionError(
                "sparse", f"/X/indices must lie between 0 and {self.shape[1] - 1}, the last gene"
            )
        indices = columns.astype(np.int32, copy=False)
        if not _all_finite(data):
            bad = np.flatnonzero(~np.isfinite(data))
            row = start + int(np.searchsorted(starts, bad[0], side="right")) - 1
            raise _non_finite(bad.size, self.rows[row], self._expectation.genes[indices[bad[0]]])
        if not _rise_within_rows(indices, starts):
            data, indices = self._sorted(data, indices, start, counts)
        answered = self.answered[start:stop]
        self._scale.add(data if answered.all() else data[np.repeat(answered, counts)])
        return CsrBlock(data, indices, counts)

    def _sorted(self, data: Array, indices: Array, start: int, counts: Array) -> tuple[Array, Array]:
        """Values and columns in order of columns within rows; PredictionError for a value stored twice."""
        rows = np.repeat(np.arange(start, start + len(counts)), counts)
        order = np.lexsort((indices, rows))
        data, indices = data[order], indices[order]
        twice = np.flatnonzero((rows[1:] == rows[:-1]) & (np.diff(indices) == 0))
        if twice.size:
            row, gene = self.rows[rows[twice[0]]], self._expectation.genes[indices[twice[0]]]
            raise PredictionError(
                "sparse",
                f"/X stores the value of row {shown(row)}, gene {shown(gene)} twice; store it once",
            )
        return data, indices


def _all_finite(values: Array) -> bool:
    """Whether no value is NaN or infinite: neither leaves a finite sum, which is quickest to take."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(values.sum()) or np.isfinite(values).all())


def _rise_within_rows(indices: Array, starts: Array) -> bool:
    """Whether columns rise from value to value, but where a row starts."""
    rises = np.ones(len(indices) + 1, dtype=bool)
    np.greater(indices[1:], indices[:-1], out=rises[1:-1])
    rises[starts] = True
    return bool(rises.all())


def _non_finite(count: int, row: str, gene: str) -> PredictionError:
    return PredictionError(
        "non-finite",
        f"/X has at least {count:,} NaN or infinite values (as float32), the first in row {shown(row)}, gene "
        f"{shown(gene)}; write finite numbers, also in rows that are not answered",
    )
