"""Source AnnData files, which the registry trusts by checksum: read by row blocks, written by row blocks."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

from lanner.errors import ConfigurationError
from lanner.h5ad.blocks import Block, csr_blocks, dense_blocks, encoding, sparse_shape
from lanner.h5ad.writing import create

CSC_LIMIT = 256 << 20
"""A CSC matrix of up to this many bytes is converted in memory; a larger one is refused."""


class SourceFile:
    """An AnnData file opened for reading: obs and var at once, X and layers row block by row block.

    Files of anndata before 0.7 (obs as a compound data set, categories in uns) are read too.

    Raises
    ------
    ConfigurationError
        The file is not HDF5, or lacks obs, var or X.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = h5py.File(path, "r")
        except OSError:
            raise ConfigurationError(f"{path.name} is not an HDF5 file; the source must be .h5ad") from None
        missing = [name for name in ("obs", "var", "X") if name not in self._file]
        if missing:
            self._file.close()
            raise ConfigurationError(f"{path.name} has no {missing[0]}; the source must be an AnnData file")
        self.obs, self.var = self._tables()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def layers(self) -> list[str]:
        """Names of the layers."""
        return sorted(self._file["layers"]) if "layers" in self._file else []

    @property
    def is_sparse(self) -> bool:
        """Whether X is stored sparse."""
        return isinstance(self._file["X"], h5py.Group)

    def blocks(self, layer: str | None = None) -> Iterator[tuple[int, int, Block]]:
        """Rows of X (or of a layer) in order, as ``(start, stop, block)``, in the dtype stored.

        Peak memory is one block, except for a small CSC matrix, which is converted as a whole.
        """
        name = "X" if layer is None else f"layers/{layer}"
        if name not in self._file:
            known = ", ".join(self.layers) or "none"
            raise ConfigurationError(f"{self.path.name} has no layer {layer!r}; its layers: {known}")
        shape = (len(self.obs), len(self.var))
        stored = self._file[name]
        if isinstance(stored, h5py.Dataset):
            self._check_shape(name, stored.shape, shape)
            return dense_blocks(stored)
        self._check_shape(name, sparse_shape(stored), shape)
        if encoding(stored) == "csc":
            return iter([(0, shape[0], self._converted(stored, name, shape))])
        return csr_blocks(stored, shape)

    def _check_shape(self, name: str, found: tuple[int, ...], expected: tuple[int, int]) -> None:
        if tuple(found) != expected:
            raise ConfigurationError(
                f"{self.path.name}: {name} has shape {tuple(found)}, but obs and var say {expected}"
            )

    def _converted(self, stored: h5py.Group, name: str, shape: tuple[int, int]) -> sp.csr_matrix:
        size = stored["data"].nbytes + stored["indices"].nbytes
        if size > CSC_LIMIT:
            raise ConfigurationError(
                f"{self.path.name}: {name} is stored by columns (CSC, {size >> 20} MiB) and cannot be read "
                "by rows; write it as CSR in prepare.py"
            )
        parts = tuple(stored[part][:] for part in ("data", "indices", "indptr"))
        return sp.csc_matrix(parts, shape=shape).tocsr()

    def _tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        if isinstance(self._file["obs"], h5py.Group) and isinstance(self._file["var"], h5py.Group):
            read = anndata.io.read_elem
            obs, var = read(self._file["obs"]), read(self._file["var"])
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # anndata moves old elements about, and says so each time
                legacy = anndata.read_h5ad(self.path, backed="r")
                obs, var = legacy.obs.copy(), legacy.var.copy()
                legacy.file.close()
        obs.index, var.index = obs.index.astype(str), var.index.astype(str)
        return obs, var


def assemble(
    X: Block,
    obs: pd.DataFrame,
    genes: Iterable[str],
    layers: Mapping[str, Block] | None = None,
    uns: Mapping[str, Any] | None = None,
) -> Any:
    """An in-memory AnnData of the given parts."""
    var = pd.DataFrame(index=pd.Index(list(genes)))
    return anndata.AnnData(X=X, obs=obs, var=var, layers=dict(layers or {}), uns=dict(uns or {}))


def write_anndata(path: Path, adata: Any) -> None:
    """Write an AnnData to a new file; unlike ``adata.write_h5ad``, a full disk is an OSError."""
    with create(path) as file:
        anndata.io.write_elem(file, "/", adata)


def write_source(
    path: Path, obs: pd.DataFrame, genes: Iterable[str], blocks: Iterable[Mapping[str | None, sp.csr_matrix]]
) -> None:
    """Write an AnnData file of CSR matrices block by block, never the whole in memory.

    Parameters
    ----------
    path
        The file; replaced if it exists.
    obs
        One row per cell, in the order of the blocks.
    genes
        Names of the columns.
    blocks
        Each maps None (X) or a layer's name to a CSR block of the same rows.
    """
    var = pd.DataFrame(index=pd.Index(list(genes)))
    empty = assemble(sp.csr_matrix((len(obs), len(var)), dtype=np.float32), obs, var.index)
    with create(path) as file:
        anndata.io.write_elem(file, "/", empty)
        del file["X"]
        appenders: dict[str | None, _CsrAppender] = {}
        for block in blocks:
            for layer, values in block.items():
                if layer not in appenders:
                    group = file.create_group("X" if layer is None else f"layers/{layer}")
                    appenders[layer] = _CsrAppender(group, (len(obs), len(var)))
                appenders[layer].append(values)
        for appender in appenders.values():
            appender.close()


class _CsrAppender:
    """Append CSR blocks to an HDF5 group in anndata's csr_matrix encoding."""

    def __init__(self, group: h5py.Group, shape: tuple[int, int]) -> None:
        self._group = group
        self._indptr = [np.zeros(1, np.int64)]
        group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": shape})
        for name, dtype in (("data", np.float32), ("indices", np.int32)):
            group.create_dataset(name, (0,), dtype=dtype, maxshape=(None,), chunks=(1 << 18,))

    def append(self, block: sp.csr_matrix) -> None:
        stored = self._group["data"].shape[0]
        for name, values in (("data", block.data), ("indices", block.indices)):
            self._group[name].resize((stored + block.nnz,))
            self._group[name][stored:] = values
        self._indptr.append(block.indptr[1:].astype(np.int64) + stored)

    def close(self) -> None:
        self._group.create_dataset("indptr", data=np.concatenate(self._indptr))
