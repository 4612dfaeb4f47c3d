"""The canonical on-disk form of an expression matrix: ``.npy`` files in a folder, read in row blocks.

Datasets, sealed truth and checked predictions all have this form: ``X.npy`` (dense float32) or ``data.npy``
(float32), ``indices.npy`` (int32), ``indptr.npy`` (int64) with sorted, unique column indices per row. Blocks
are read with plain file reads, not memory maps, so peak memory is one block whatever the file's size.
scipy is imported on use: ``lanner exec``, which starts anew for every run, can mostly do without.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lanner.errors import InfrastructureError
from lanner.owner import token

if TYPE_CHECKING:
    import scipy.sparse as sp

BLOCK_BYTES = 32 << 20
"""Target size of one block of rows, counted as float32 values (dense) or as stored values (sparse)."""

GROUPS_AT_A_TIME = 256
"""Groups whose sums over one block are in memory at once."""


class Matrix:
    """A float32 matrix of shape ``(n_rows, n_columns)`` in canonical form, opened for reading."""

    def __init__(self, folder: Path, n_columns: int) -> None:
        self.folder = folder
        self.is_sparse = (folder / "indptr.npy").exists()
        try:
            if self.is_sparse:
                self._indptr = np.load(folder / "indptr.npy", allow_pickle=False)
                self._files = [_header(folder / name) for name in ("data.npy", "indices.npy")]
                n_rows = len(self._indptr) - 1
            else:
                self._files = [_header(folder / "X.npy")]
                n_rows = self._files[0][1][0]
                if self._files[0][1] != (n_rows, n_columns):
                    raise ValueError(f"shape {self._files[0][1]}")
        except (OSError, ValueError, EOFError) as error:
            raise InfrastructureError(
                f"{folder} is not a matrix of {n_columns} columns ({error}); remove its folder and try again"
            ) from None
        self.shape: tuple[int, int] = (n_rows, n_columns)

    def block(self, start: int, stop: int) -> sp.csr_matrix | np.ndarray[Any, Any]:
        """Rows ``start:stop`` as float32 CSR or dense array, as stored."""
        if not self.is_sparse:
            path, _, dtype, offset = self._files[0]
            values = _read(path, dtype, offset, start * self.shape[1], stop * self.shape[1])
            return values.reshape(stop - start, self.shape[1])
        import scipy.sparse as sp

        low, high = int(self._indptr[start]), int(self._indptr[stop])
        data, indices = (_read(path, dtype, offset, low, high) for path, _, dtype, offset in self._files)
        indptr = self._indptr[start : stop + 1] - low
        return sp.csr_matrix((data, indices, indptr), shape=(stop - start, self.shape[1]))

    def blocks(self) -> Iterator[tuple[int, int, sp.csr_matrix | np.ndarray[Any, Any]]]:
        """All rows in order, as ``(start, stop, block)`` of at most about BLOCK_BYTES."""
        start, n_rows = 0, self.shape[0]
        limit = BLOCK_BYTES // 4
        while start < n_rows:
            if self.is_sparse:
                stop = int(np.searchsorted(self._indptr, self._indptr[start] + limit, side="right")) - 1
            else:
                stop = start + limit // max(self.shape[1], 1)
            stop = min(max(stop, start + 1), n_rows)
            yield start, stop, self.block(start, stop)
            start = stop

    def rows(self, rows: np.ndarray[Any, Any]) -> sp.csr_matrix:
        """The given rows, in the given order, as float32 CSR; memory is that of the answer plus one run."""
        import scipy.sparse as sp

        rows = np.asarray(rows, dtype=np.int64)
        if rows.size == 0:
            return sp.csr_matrix((0, self.shape[1]), dtype=np.float32)
        order = np.argsort(rows, kind="stable")
        ordered = rows[order]
        runs = np.split(ordered, np.flatnonzero(np.diff(ordered) != 1) + 1)
        if self.is_sparse:
            stacked = self._gathered(ordered, runs)
        else:
            parts = [sp.csr_matrix(self.block(int(run[0]), int(run[-1]) + 1)) for run in runs]
            stacked = sp.vstack(parts, format="csr")
        if np.array_equal(rows, ordered):
            return stacked
        return stacked[np.argsort(order, kind="stable")]

    def _gathered(self, rows: np.ndarray[Any, Any], runs: Sequence[np.ndarray[Any, Any]]) -> sp.csr_matrix:
        """Sorted ``rows``, read run by run into place: many short runs would need twice their memory."""
        import scipy.sparse as sp

        indptr = np.concatenate([[0], np.cumsum(self._indptr[rows + 1] - self._indptr[rows])])
        parts = [np.empty(indptr[-1], dtype) for _, _, dtype, _ in self._files]
        filled = 0
        for run in runs:
            low, high = int(self._indptr[run[0]]), int(self._indptr[run[-1] + 1])
            for part, (path, _, dtype, offset) in zip(parts, self._files, strict=True):
                part[filled : filled + high - low] = _read(path, dtype, offset, low, high)
            filled += high - low
        return sp.csr_matrix((*parts, indptr), shape=(len(rows), self.shape[1]))

    def group_sums(
        self, groups: np.ndarray[Any, Any], n_groups: int
    ) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Sum rows by group in one pass: float64 sums ``(n_groups, n_columns)`` and counts ``(n_groups,)``.

        ``groups`` holds one group index per row; rows of a negative group are left out. Summation is in row
        order and single-threaded, so the bits depend on nothing but the matrix.
        """
        import scipy.sparse as sp

        sums = np.zeros((n_groups, self.shape[1]))
        for start, stop, block in self.blocks():
            rows = np.flatnonzero(groups[start:stop] >= 0)
            if rows.size == 0:
                continue
            present, local = np.unique(groups[start:stop][rows], return_inverse=True)
            members = sp.csr_matrix(
                (np.ones(rows.size), (local, rows)), shape=(len(present), stop - start), dtype=np.float64
            )
            block = block.astype(np.float64)
            # A block of shuffled cells has nearly all groups: their partial sums would be as large as sums.
            for low in range(0, len(present), GROUPS_AT_A_TIME):
                part = slice(low, low + GROUPS_AT_A_TIME)
                total = members[part] @ block
                sums[present[part]] += total.toarray() if sp.issparse(total) else total
            del block  # or it would be held while the next one is read
        return sums, np.bincount(groups[groups >= 0], minlength=n_groups)


class MatrixWriter:
    """Write a canonical matrix block by block; the folder appears only when the ``with`` block succeeds."""

    def __init__(self, folder: Path, n_columns: int, *, sparse: bool) -> None:
        self._folder = folder
        self._partial = folder.with_name(f".{folder.name}.{token()}.partial")
        self._n_columns = n_columns
        self._sparse = sparse
        self._indptr: list[np.ndarray[Any, Any]] = [np.zeros(1, np.int64)]
        self._n_rows = 0
        self._n_values = 0

    def __enter__(self) -> Self:
        self._partial.mkdir(parents=True)
        names = ("data", "indices") if self._sparse else ("X",)
        self._streams = [(self._partial / f"{name}.npy").open("wb") for name in names]
        for stream in self._streams:
            stream.write(b"\0" * 128)  # room for the header, whose length is not known yet
        return self

    def append(self, block: sp.csr_matrix | np.ndarray[Any, Any]) -> None:
        """Append rows; columns of a sparse block are sorted and must be unique."""
        if self._sparse:
            import scipy.sparse as sp

            block = sp.csr_matrix(block)
            block.sort_indices()
            self._streams[0].write(np.ascontiguousarray(block.data, dtype=np.float32).data)
            self._streams[1].write(np.ascontiguousarray(block.indices, dtype=np.int32).data)
            self._indptr.append(block.indptr[1:].astype(np.int64) + self._n_values)
            self._n_values += block.nnz
        else:
            dense = block if isinstance(block, np.ndarray) else block.toarray()
            self._streams[0].write(np.ascontiguousarray(dense, dtype=np.float32).data)
            self._n_values += dense.size
        self._n_rows += block.shape[0]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
                self._partial.rename(self._folder)
        finally:
            for stream in self._streams:
                with contextlib.suppress(OSError):  # what a full disk does not take, after that was said
                    stream.close()
            shutil.rmtree(self._partial, ignore_errors=True)

    def _finish(self) -> None:
        shapes = [(self._n_values,)] * 2 if self._sparse else [(self._n_rows, self._n_columns)]
        for stream, shape, dtype in zip(self._streams, shapes, (np.float32, np.int32), strict=False):
            stream.seek(0)
            stream.write(_header_bytes(shape, np.dtype(dtype)))
            stream.flush()
            os.fsync(stream.fileno())
        if self._sparse:
            with (self._partial / "indptr.npy").open("wb") as stream:
                np.save(stream, np.concatenate(self._indptr), allow_pickle=False)
                stream.flush()
                os.fsync(stream.fileno())


def write_matrix(
    folder: Path, n_columns: int, blocks: Iterable[sp.csr_matrix | np.ndarray[Any, Any]], *, sparse: bool
) -> Matrix:
    """Write ``blocks`` of rows to ``folder`` in canonical form and open the result."""
    with MatrixWriter(folder, n_columns, sparse=sparse) as writer:
        for block in blocks:
            writer.append(block)
    return Matrix(folder, n_columns)


def _header_bytes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """A version 1.0 .npy header padded to exactly 128 bytes."""
    text = f"{{'descr': '{dtype.str}', 'fortran_order': False, 'shape': {shape!r}, }}"
    return b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + text.ljust(117).encode() + b"\n"


def _header(path: Path) -> tuple[Path, tuple[int, ...], np.dtype[Any], int]:
    with path.open("rb") as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else None
        if read is None:
            raise ValueError(f"{path.name} has .npy version {version}")
        shape, fortran, dtype = read(stream)
        if fortran or dtype.hasobject:
            raise ValueError(f"{path.name} is not a C-ordered array of numbers")
        return path, shape, dtype, stream.tell()


def _read(path: Path, dtype: np.dtype[Any], offset: int, start: int, stop: int) -> np.ndarray[Any, Any]:
    values = np.fromfile(path, dtype, count=stop - start, offset=offset + start * dtype.itemsize)
    if values.size != stop - start:
        raise InfrastructureError(f"{path} is shorter than its header says; remove its folder and try again")
    return values
