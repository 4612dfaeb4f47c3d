"""The HDF5 matrix that 10x Cell Ranger writes: genes by cells, compressed by cell."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import h5py
import numpy as np
import scipy.sparse as sp

from lanner.errors import ConfigurationError

Array = np.ndarray[Any, Any]


class Genes(NamedTuple):
    """Names of the measured genes, unique, and their columns among all features."""

    names: tuple[str, ...]
    columns: Array


class TenxFile:
    """A ``filtered_feature_bc_matrix.h5`` opened for reading by cell; memory is that of the rows asked for.

    Raises
    ------
    ConfigurationError
        The file is not HDF5 or has no ``matrix`` group of Cell Ranger 3 or newer.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = h5py.File(path, "r")
        except OSError:
            raise ConfigurationError(
                f"{path.name} is not an HDF5 file; give Cell Ranger's .h5 matrix"
            ) from None
        if not is_tenx(self._file):
            self._file.close()
            raise ConfigurationError(
                f"{path.name} has no 10x matrix; give Cell Ranger's .h5 of version 3 or newer"
            )
        group = self._file["matrix"]
        self._data, self._indices = group["data"], group["indices"]
        self._indptr = group["indptr"][:].astype(np.int64)
        self.shape = (len(self._indptr) - 1, int(group["shape"][0]))
        self.barcodes: Array = _texts(group["barcodes"])

    @property
    def genes(self) -> Genes:
        """Features of type Gene Expression by symbol; a symbol met again is told apart by its identifier."""
        features = self._file["matrix/features"]
        names, identifiers = _texts(features["name"]), _texts(features["id"])
        kinds = _texts(features["feature_type"]) if "feature_type" in features else None
        columns = np.arange(len(names)) if kinds is None else np.flatnonzero(kinds == "Gene Expression")
        seen: set[str] = set()
        unique = []
        for column in columns:
            name = str(names[column])
            unique.append(name if name not in seen else f"{name}_{identifiers[column]}")
            seen.add(name)
        return Genes(tuple(unique), columns)

    def rows(self, rows: Array) -> sp.csr_matrix:
        """Counts of the given cells, all features, float32 CSR; ``rows`` is sorted."""
        low, high = int(self._indptr[rows[0]]), int(self._indptr[rows[-1] + 1])
        indptr = self._indptr[rows[0] : rows[-1] + 2] - low
        parts = (self._data[low:high].astype(np.float32), self._indices[low:high], indptr)
        block = sp.csr_matrix(parts, shape=(len(indptr) - 1, self.shape[1]))
        return block if len(rows) == block.shape[0] else block[rows - rows[0]]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def is_tenx(file: h5py.File) -> bool:
    """Whether an open HDF5 file holds Cell Ranger's matrix."""
    parts = ("data", "indices", "indptr", "shape", "barcodes", "features")
    return "matrix" in file and all(part in file["matrix"] for part in parts)


def is_tenx_file(path: Path) -> bool:
    """Whether a file is HDF5 and holds Cell Ranger's matrix."""
    try:
        with h5py.File(path, "r") as file:
            return is_tenx(file)
    except OSError:
        return False


def _texts(values: h5py.Dataset) -> Array:
    return np.array(
        [value.decode() if isinstance(value, bytes) else str(value) for value in values[:]], dtype=object
    )
