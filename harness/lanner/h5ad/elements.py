"""The elements of an untrusted HDF5 file that has been walked, each opened by its path and checked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5f, h5o

from lanner.errors import PredictionError
from lanner.h5ad.storage import check_storage
from lanner.h5ad.structure import shown


class Elements:
    """The named parts of ``file``; ``advice`` says by path what to write where one is missing."""

    def __init__(self, path: os.PathLike[str] | str, file: h5f.FileID, advice: Mapping[str, str]) -> None:
        self._path, self._file, self._advice = path, file, advice

    def has(self, path: str) -> bool:
        """Whether there is something at ``path``."""
        group = h5py.Group(h5o.open(self._file, b"/"))
        for part in path.strip("/").split("/"):
            if not isinstance(group, h5py.Group) or part not in list(group):
                return False
            group = group[part]
        return True

    def required(self, path: str) -> bytes:
        """``path`` when every component exists; the walk has shown that none of them is a link."""
        group = h5py.Group(h5o.open(self._file, b"/"))
        for part in path.strip("/").split("/"):
            names = list(group) if isinstance(group, h5py.Group) else []
            if part not in names:
                there = ", ".join(shown(name, 30) for name in names[:5]) or "no such thing"
                advice = self._advice.get(path, "write it")
                raise PredictionError("structure", f"{path} is missing (in its place: {there}); {advice}")
            group = group[part]
        return path.encode()

    def is_dataset(self, path: str) -> bool:
        """Whether ``path``, which must exist, is a dataset and not a group."""
        return isinstance(h5o.open(self._file, self.required(path)), h5d.DatasetID)

    def dataset(self, path: str) -> h5py.Dataset:
        """The dataset at ``path``, its storage checked: what is read is read through here."""
        element = h5o.open(self._file, self.required(path))
        if not isinstance(element, h5d.DatasetID):
            raise PredictionError(
                "structure", f"{path} is a group; {self._advice.get(path, 'write an array')}"
            )
        dataset = h5py.Dataset(element)
        check_storage(dataset, self._path)
        return dataset

    def group(self, path: str) -> h5py.Group:
        """The group at ``path``, which exists and is one."""
        return h5py.Group(h5o.open(self._file, path.encode()))


def require_float(dtype: np.dtype[Any], path: str) -> None:
    """PredictionError unless ``dtype`` is float32 or float64."""
    if dtype.kind != "f" or dtype.itemsize not in (4, 8):
        raise PredictionError("dtype", f"{path} is {shown(str(dtype))}; write float32 (or float64)")


def as_float32(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """``values`` as contiguous float32; what is too large becomes infinite, which callers refuse."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(values, dtype=np.float32)
