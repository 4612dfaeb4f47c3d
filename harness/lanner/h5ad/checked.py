"""Read a prediction from an untrusted HDF5 file: structure first, then the named parts, in row blocks.

Only ``/obs/_index``, ``/var/_index``, ``/obs/answered`` and ``/X`` are read, each against what the harness
asked for, so every size is an equality. Nothing is densified: a CSR matrix stays CSR. No anndata, pandas or
torch here: this module runs inside the confined child of ``lanner.ingest``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import h5py
import numpy as np
from h5py import h5o

from lanner.errors import PredictionError
from lanner.h5ad.elements import Elements, as_float32, require_float
from lanner.h5ad.names import check_names
from lanner.h5ad.scale import ScaleCheck
from lanner.h5ad.structure import Bounds, open_checked, shown
from lanner.matrix import Matrix

Array = np.ndarray[Any, Any]

BLOCK_BYTES = 32 << 20
"""Target size of one block of rows, counted as float32 values."""


_ADVICE = {
    "/obs/_index": "name the rows with an index without a name (adata.obs_names.name = None)",
    "/var/_index": "name the genes with an index without a name (adata.var_names.name = None)",
    "/X": "write the predicted expression there",
}


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What the harness asked for: the only prediction it accepts.

    ``request_ids`` (C) and ``genes`` (G) are in the order of requests.csv and of train.h5ad. A file holds
    one profile per request (C rows) or ``n_cells`` cells per request (C * n_cells rows). ``minimum`` and
    ``maximum`` bound plausible values in units of ``scale``; None leaves that side open, as on a
    log-fold-change scale.
    """

    layout: ClassVar[str] = "rows-of-X"

    request_ids: tuple[str, ...]
    n_cells: int
    genes: tuple[str, ...]
    scale: str = ""
    minimum: float | None = None
    maximum: float | None = None

    @classmethod
    def on_scale(
        cls, scale: str, *, request_ids: tuple[str, ...], n_cells: int, genes: tuple[str, ...]
    ) -> Self:
        """The expectation with the bounds that go with ``scale``.

        On a log1p scale values lie in [-20, 20]: a cell of 10^8 counts in one gene reaches 18.4 without any
        normalisation. ``ScaleCheck`` tells expression, which unclipped linear predictions leave a
        little below 0, from differences. Other scales are open on both sides.
        """
        low, high = (-20.0, 20.0) if scale.startswith("log1p") else (None, None)
        return cls(
            request_ids=request_ids, n_cells=n_cells, genes=genes, scale=scale, minimum=low, maximum=high
        )

    def to_json(self) -> dict[str, Any]:
        """The form in which the child receives it."""
        return {"layout": self.layout, **asdict(self)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read ``to_json`` back."""
        names = {name: tuple(document[name]) for name in ("request_ids", "genes")}
        fields = {name: value for name, value in document.items() if name != "layout"}
        return cls(**{**fields, **names})

    @property
    def largest_bytes(self) -> int:
        """Bytes of X as float32, cells for every request."""
        return 4 * len(self.request_ids) * self.n_cells * len(self.genes)

    def open(self, path: os.PathLike[str] | str) -> CheckedPrediction:
        """The file at ``path``, its structure, names and flags checked."""
        return CheckedPrediction(path, self)

    def described(self, n_rows: int, answered: Array) -> tuple[str, int, Array] | None:
        """``profiles`` or ``cells``, how many a request, and whether all rows of each request are answers."""
        n_requests = len(self.request_ids)
        if n_rows not in (n_requests, n_requests * self.n_cells):
            return None
        flags = np.asarray(answered.reshape(n_requests, -1).all(axis=1))
        if n_rows == n_requests:
            return "profiles", 1, flags
        return "cells", n_rows // max(n_requests, 1), flags

    def check(self, matrix: Matrix) -> None:
        """Nothing beyond what every canonical matrix is held to."""

    def row_names(self, n_rows: int) -> list[str]:
        """The obs names of a file with ``n_rows`` rows; PredictionError when no form has so many."""
        n_requests = len(self.request_ids)
        if n_rows == n_requests:
            return list(self.request_ids)
        if n_rows == n_requests * self.n_cells:
            return [f"{request}/{cell}" for request in self.request_ids for cell in range(self.n_cells)]
        cells = f" or {n_requests * self.n_cells:,} ({self.n_cells} cells each)" if self.n_cells > 1 else ""
        raise PredictionError(
            "shape",
            f"/obs has {n_rows:,} rows; expected {n_requests:,} (one profile per request){cells}",
        )


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

    def _cuts(self) -> Iterator[tuple[int, int]]:
        """Row ranges of about BLOCK_BYTES, along chunk borders where that saves reading a chunk twice."""
        n_rows, n_genes = self.shape
        step = max(1, BLOCK_BYTES // (4 * max(n_genes, 1)))
        if not self.is_sparse and self._X.chunks:
            chunk = self._X.chunks[0]
            if chunk <= step:
                step -= step % chunk
            elif chunk * n_genes * 4 <= 4 * BLOCK_BYTES:
                step = chunk
        start = 0
        while start < n_rows:
            if self.is_sparse:
                limit = self._indptr[start] + BLOCK_BYTES // 4
                step = max(1, int(np.searchsorted(self._indptr, limit, side="right")) - 1 - start)
            yield start, min(start + step, n_rows)
            start += step

    def _dense_block(self, start: int, stop: int) -> Array:
        block = as_float32(self._X[start:stop])
        if not np.isfinite(block).all():
            bad = ~np.isfinite(block)
            row, gene = (int(axis[0]) for axis in np.nonzero(bad))
            raise _non_finite(int(bad.sum()), self.rows[start + row], self._expectation.genes[gene])
        self._scale.add(block[self.answered[start:stop]])
        return block

    def _csr_block(self, start: int, stop: int) -> CsrBlock:
        low, high = int(self._indptr[start]), int(self._indptr[stop])
        data, columns = as_float32(self._data[low:high]), self._indices[low:high]
        counts = np.diff(self._indptr[start : stop + 1])
        if columns.size and (columns.min() < 0 or columns.max() >= self.shape[1]):
            raise PredictionError(
                "sparse", f"/X/indices must lie between 0 and {self.shape[1] - 1}, the last gene"
            )
        indices = columns.astype(np.int32)
        rows = np.repeat(np.arange(start, stop), counts)
        bad = np.flatnonzero(~np.isfinite(data))
        if bad.size:
            first = bad[0]
            raise _non_finite(bad.size, self.rows[rows[first]], self._expectation.genes[indices[first]])
        same_row = rows[1:] == rows[:-1]
        if np.any(same_row & (np.diff(indices) <= 0)):
            order = np.lexsort((indices, rows))
            data, indices = data[order], indices[order]
            twice = np.flatnonzero(same_row & (np.diff(indices) == 0))
            if twice.size:
                row, gene = self.rows[rows[twice[0]]], self._expectation.genes[indices[twice[0]]]
                raise PredictionError(
                    "sparse",
                    f"/X stores the value of row {shown(row)}, gene {shown(gene)} twice; store it once",
                )
        self._scale.add(data[self.answered[rows]])
        return CsrBlock(data, indices, counts)


def _non_finite(count: int, row: str, gene: str) -> PredictionError:
    return PredictionError(
        "non-finite",
        f"/X has at least {count:,} NaN or infinite values (as float32), the first in row {shown(row)}, gene "
        f"{shown(gene)}; write finite numbers, also in rows that are not answered",
    )
