"""A file of cells that somebody gives by hand: labels of one obs column, gene names and X in row blocks.

Read with h5py alone, which starts in a fifth of the time of anndata, and only what is asked for: nothing in
``uns``, ``obsm`` or other columns is looked at. The file may come from elsewhere, so what is read must be
stored in the file itself (no links, no virtual or external data) and be soundly stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import scipy.sparse as sp
from h5py import h5d

from lanner.errors import ConfigurationError, PredictionError
from lanner.h5ad.blocks import Block, csr_blocks, dense_blocks, encoding, sparse_shape
from lanner.h5ad.storage import check_storage

Array = np.ndarray[Any, Any]

BLOCK_VALUES = 1 << 18
"""Values per block: small enough for the memory of one block, in a core's cache, to be used for the next."""

CSC_LIMIT = 2 << 30
"""A CSC matrix of up to this many bytes is turned into rows in memory; a larger one is refused."""


class CellFile:
    """An .h5ad file opened for reading.

    Raises
    ------
    ConfigurationError
        The file is not HDF5, lacks obs, var or X, is of a layout not understood, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = h5py.File(path, "r")
        except OSError:
            raise ConfigurationError(f"{path} is not an HDF5 file; give an .h5ad file") from None
        try:
            obs, var = self._group("obs"), self._group("var")
            self.columns: tuple[str, ...] = tuple(sorted(set(obs) - {self._index_of(obs), "__categories"}))
            self.genes = tuple(self._strings(var, self._index_of(var)))
            n_cells = self._part(obs, self._index_of(obs), read=False).shape[0]
            self.shape: tuple[int, int] = (n_cells, len(self.genes))
            self._X = self._matrix()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; blocks can no longer be read."""
        self._file.close()

    @property
    def n_values(self) -> int:
        """Stored values of X."""
        stored = self._X["data"] if isinstance(self._X, h5py.Group) else self._X
        return int(stored.size)

    def labels(self, column: str) -> tuple[list[str], Array]:
        """Distinct values of an obs column as text, and the index of each cell's one, int64.

        Raises
        ------
        ConfigurationError
            There is no such column, or cells without a value in it.
        """
        if column not in self.columns:
            known = ", ".join(self.columns) or "none"
            raise ConfigurationError(f"{self.path.name} has no obs column {column!r}; its columns: {known}")
        obs = self._group("obs")
        stored = obs.get(column)
        old = isinstance(stored, h5py.Dataset) and "categories" in stored.attrs
        if old or (isinstance(stored, h5py.Group) and "codes" in stored):
            source = self._group("obs/__categories") if old else self._group(f"obs/{column}")
            names = self._strings(source, column if old else "categories")
            codes = self._part(obs if old else source, column if old else "codes")[:].astype(np.int64)
        else:
            names, codes = _factorised(self._strings(obs, column))
        if len(codes) != self.shape[0]:
            raise ConfigurationError(
                f"{self.path.name}: obs column {column!r} has {len(codes):,} values, not {self.shape[0]:,}"
            )
        missing = int((codes < 0).sum())
        if missing:
            raise ConfigurationError(
                f"{self.path.name}: {missing:,} cells have no value in obs column {column!r}; label them"
            )
        if codes.size and codes.max() >= len(names):
            raise ConfigurationError(
                f"{self.path.name}: obs column {column!r} is damaged; write the file anew"
            )
        return names, codes

    def blocks(self) -> Iterator[tuple[int, int, Block]]:
        """Rows of X in order, as ``(start, stop, block)``, in the dtype stored; CSR structure is checked."""
        try:
            if isinstance(self._X, h5py.Dataset):
                yield from dense_blocks(self._X, BLOCK_VALUES)
            elif encoding(self._X) == "csc":
                whole = self._transposed(self._X)
                step = max(BLOCK_VALUES * self.shape[0] // max(whole.nnz, 1), 1)
                for start in range(0, self.shape[0], step):
                    stop = min(start + step, self.shape[0])
                    yield start, stop, whole[start:stop]
            else:
                for start, stop, block in csr_blocks(self._X, self.shape, BLOCK_VALUES):
                    self._check_columns(block.indices, self.shape[1])
                    yield start, stop, block
        except OSError as error:
            raise ConfigurationError(
                f"{self.path.name}: X cannot be read ({str(error).partition('(')[0].strip()}); it is damaged "
                "or packed by a filter this HDF5 has not: write it anew, uncompressed or with gzip"
            ) from None

    def _check_columns(self, indices: Array, n: int) -> None:
        if indices.size and (indices.min() < 0 or indices.max() >= n):
            raise ConfigurationError(f"{self.path.name}: X/indices point outside the matrix; write it anew")

    def _transposed(self, stored: h5py.Group) -> sp.csr_matrix:
        size = stored["data"].nbytes + stored["indices"].nbytes
        if size > CSC_LIMIT:
            raise ConfigurationError(
                f"{self.path.name}: X is stored by columns (CSC, {size >> 20:,} MiB), too large to be turned "
                "in memory; write it as CSR"
            )
        data, indices, indptr = (stored[part][:] for part in ("data", "indices", "indptr"))
        self._check_columns(indices, self.shape[0])
        return sp.csc_matrix((data, indices, indptr), shape=self.shape).tocsr()

    def _matrix(self) -> h5py.Dataset | h5py.Group:
        """X, its parts checked: sizes that agree, pointers that rise, chunks that are whole."""
        if not isinstance(self._file.get("X"), h5py.Group):
            X = self._part(self._file, "X")
            self._check_shape(X.shape)
            self._check_numbers(X.dtype)
            return X
        group = self._group("X")
        self._check_shape(sparse_shape(group))
        data, indices, indptr = (self._part(group, part) for part in ("data", "indices", "indptr"))
        self._check_numbers(data.dtype)
        lines = self.shape[1] if encoding(group) == "csc" else self.shape[0]
        starts = indptr[:].astype(np.int64) if indptr.ndim == 1 else np.zeros(0, np.int64)
        sound = len(starts) == lines + 1 and data.shape == indices.shape and data.ndim == 1
        if not (sound and starts[0] == 0 and starts[-1] == len(data) and (np.diff(starts) >= 0).all()):
            raise ConfigurationError(f"{self.path.name}: X is no sound sparse matrix; write the file anew")
        return group

    def _check_shape(self, found: tuple[int, ...]) -> None:
        if tuple(found) != self.shape:
            raise ConfigurationError(
                f"{self.path.name}: X has shape {tuple(found)}, but obs and var say {self.shape}"
            )

    def _check_numbers(self, dtype: np.dtype[Any]) -> None:
        if dtype.kind not in "fiub":
            raise ConfigurationError(f"{self.path.name}: X holds {dtype}, not numbers")

    def _group(self, name: str) -> h5py.Group:
        found: Any = self._file
        for part in name.split("/"):
            self._refuse_link(found, part)
            found = found.get(part)
            if not isinstance(found, h5py.Group):
                what = "no" if found is None else "an old-fashioned"
                raise ConfigurationError(
                    f"{self.path.name} has {what} {name}; read and write it again with today's anndata"
                )
        return found

    def _part(self, group: h5py.Group, name: str, *, read: bool = True) -> h5py.Dataset:
        """A dataset of the file itself, soundly stored where it is going to be read."""
        self._refuse_link(group, name)
        found = group.get(name)
        if not isinstance(found, h5py.Dataset) or found.shape is None:
            raise ConfigurationError(
                f"{self.path.name} has no array {group.name}/{name}; write the file anew"
            )
        plist = found.id.get_create_plist()
        if plist.get_layout() == h5d.VIRTUAL or plist.get_external_count():
            raise ConfigurationError(f"{self.path.name}: {found.name} keeps its data in another file")
        try:
            # h5py packs text by LZF without saying how long a chunk is: the filter then finds out by itself.
            if read and (found.compression != "lzf" or h5py.check_string_dtype(found.dtype) is None):
                check_storage(found, self.path)
        except PredictionError as error:
            raise ConfigurationError(f"{self.path.name}: {error}") from None
        return found

    def _refuse_link(self, group: h5py.Group, name: str) -> None:
        if name in group and not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ConfigurationError(f"{self.path.name}: {name} is a link; write the data itself")

    def _index_of(self, group: h5py.Group) -> str:
        return str(group.attrs.get("_index", "_index" if "_index" in group else "index"))

    def _strings(self, group: h5py.Group, name: str) -> list[str]:
        """An array of text, or of numbers as text; a nullable array must have no gaps."""
        stored = group.get(name)
        if isinstance(stored, h5py.Group) and "values" in stored:
            inner = self._group(f"{group.name.strip('/')}/{name}")
            if "mask" in inner and self._part(inner, "mask")[:].any():
                raise ConfigurationError(f"{self.path.name}: {group.name}/{name} has missing values")
            return self._strings(inner, "values")
        if isinstance(stored, h5py.Group) and "categories" in stored:
            inner = self._group(f"{group.name.strip('/')}/{name}")
            names, codes = self._strings(inner, "categories"), self._part(inner, "codes")[:]
            return [names[code] for code in codes]
        found = self._part(group, name)
        if found.ndim != 1:
            raise ConfigurationError(f"{self.path.name}: {found.name} is no list of names")
        if h5py.check_string_dtype(found.dtype) is None:
            return [str(value) for value in found[:].tolist()]
        return [value.decode("utf-8", "replace") for value in found[:].tolist()]


def _factorised(values: list[str]) -> tuple[list[str], Array]:
    place: dict[str, int] = {}
    codes = np.fromiter((place.setdefault(value, len(place)) for value in values), np.int64, len(values))
    return list(place), codes
