"""Write the staged train.h5ad: a new file from allowed parts only, in encodings that old readers open.

Never an edited copy: data deleted from an HDF5 file stay in its bytes. Encodings are those of anndata 0.8
(csr_matrix 0.1.0, dataframe 0.2.0, categorical 0.2.0, string-array 0.2.0), without compression, object
timestamps or the newest file format, so that R's readers open them and equal inputs give equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
import scipy.sparse as sp

from lanner.h5ad.writing import create

CHUNK = 1 << 16
Block: TypeAlias = sp.csr_matrix | np.ndarray[Any, Any]


def write_train(
    path: Path,
    *,
    obs: Mapping[str, np.ndarray[Any, Any]],
    genes: Iterable[str],
    layers: Mapping[str, Iterable[Block]],
    sparse: bool,
) -> None:
    """Write ``path`` from label columns (one string per row), gene names and row blocks per layer.

    ``layers["X"]`` becomes /X, every other one /layers/<name>; blocks are float32, CSR when ``sparse``.
    """
    n_rows = len(next(iter(obs.values())))
    names = np.array(list(genes), dtype=object)
    with create(path) as file:
        _encode(file, "anndata", "0.1.0")
        for name in ("layers", "obsm", "obsp", "uns", "varm", "varp"):
            _encode(file.create_group(name), "dict", "0.1.0")
        for name, blocks in layers.items():
            target = "X" if name == "X" else f"layers/{name}"
            if sparse:
                _write_csr(file.create_group(target), blocks, (n_rows, len(names)))
            else:
                _write_dense(file, target, blocks, (n_rows, len(names)))
        width = max(6, len(str(n_rows)))
        index = np.array([f"train-{row:0{width}d}" for row in range(n_rows)], dtype=object)
        frame = _frame(file, "obs", index, list(obs))
        for column, values in obs.items():
            _write_categorical(frame.create_group(column), values)
        _frame(file, "var", names, [])


def _encode(element: h5py.Group | h5py.Dataset, kind: str, version: str) -> None:
    element.attrs["encoding-type"] = kind
    element.attrs["encoding-version"] = version


def _write_csr(group: h5py.Group, blocks: Iterable[Block], shape: tuple[int, int]) -> None:
    _encode(group, "csr_matrix", "0.1.0")
    group.attrs["shape"] = np.array(shape, dtype=np.int64)
    data = group.create_dataset("data", (0,), "f4", maxshape=(None,), chunks=(CHUNK,))
    indices = group.create_dataset("indices", (0,), "i4", maxshape=(None,), chunks=(CHUNK,))
    indptr = [np.zeros(1, np.int64)]
    n_values = 0
    for block in blocks:
        rows = sp.csr_matrix(block)
        stop = n_values + rows.nnz
        for dataset, values in ((data, rows.data), (indices, rows.indices)):
            dataset.resize((stop,))
            dataset[n_values:stop] = values
        indptr.append(rows.indptr[1:].astype(np.int64) + n_values)
        n_values = stop
    starts = np.concatenate(indptr)
    # 32-bit row starts where they fit: R's Matrix has no others.
    group.create_dataset("indptr", data=starts.astype("i4" if n_values < 2**31 else "i8"))


def _write_dense(file: h5py.File, name: str, blocks: Iterable[Block], shape: tuple[int, int]) -> None:
    dataset = file.create_dataset(name, shape, "f4")
    _encode(dataset, "array", "0.2.0")
    start = 0
    for block in blocks:
        values = block if isinstance(block, np.ndarray) else block.toarray()
        dataset[start : start + values.shape[0]] = values
        start += values.shape[0]


def _frame(file: h5py.File, name: str, index: np.ndarray[Any, Any], columns: list[str]) -> h5py.Group:
    group = file.create_group(name)
    _encode(group, "dataframe", "0.2.0")
    group.attrs["_index"] = "_index"
    group.attrs.create("column-order", columns, dtype=h5py.string_dtype())
    _write_strings(group, "_index", index)
    return group


def _write_strings(group: h5py.Group, name: str, values: np.ndarray[Any, Any]) -> None:
    dataset = group.create_dataset(name, data=values, dtype=h5py.string_dtype())
    _encode(dataset, "string-array", "0.2.0")


def _write_categorical(group: h5py.Group, values: np.ndarray[Any, Any]) -> None:
    """Categories are the values present: one of the source that is unused would name a held-out label."""
    _encode(group, "categorical", "0.2.0")
    group.attrs["ordered"] = False
    categories, codes = np.unique(values.astype(str), return_inverse=True)
    _write_strings(group, "categories", categories.astype(object))
    size = next(kind for kind in ("i1", "i2", "i4") if len(categories) <= np.iinfo(kind).max)
    dataset = group.create_dataset("codes", data=codes.astype(size))
    _encode(dataset, "array", "0.2.0")


def read_genes(path: Path) -> list[str]:
    """Gene names of a file ``write_train`` wrote, in order; OSError or KeyError where it did not."""
    with h5py.File(path, "r") as file:
        return [name.decode() for name in file["var/_index"][:]]
