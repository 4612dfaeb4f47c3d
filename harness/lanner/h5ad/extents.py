"""Read rows of a plainly stored dataset from where they lie in the file, past HDF5.

HDF5 copies through a chunk cache, reads a chunk that two blocks share twice, and lets one thread at a time do
so. Numbers that no filter has touched lie in the file as they are in memory: once HDF5 has said where, they
are read into place, by as many threads as like.
"""

from __future__ import annotations

import math
import os
import weakref
from typing import Any, TypeAlias

import h5py
import numpy as np
from h5py import h5d

Array = np.ndarray[Any, Any]
Rows: TypeAlias = Any
"""A dataset or its extents: ``rows[start:stop]`` reads, ``shape`` says how many there are."""


class Extents:
    """Where the rows of a dataset lie: ``extents[start:stop]`` is what ``dataset[start:stop]`` is."""

    def __init__(self, dataset: h5py.Dataset, runs: dict[int, int], n: int) -> None:
        self.shape: tuple[int, ...] = dataset.shape
        self.dtype = dataset.dtype
        self._name = dataset.name
        self._runs, self._n = runs, n
        self._row_bytes = self.dtype.itemsize * math.prod(self.shape[1:])
        self._file = os.open(dataset.file.filename, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._file)

    def __getitem__(self, rows: slice) -> Array:
        """Rows ``start:stop``; OSError where the file ends before they do."""
        start, stop, _ = rows.indices(self.shape[0])
        values = np.empty((max(stop - start, 0), *self.shape[1:]), self.dtype)
        target: memoryview = values.reshape(-1).view(np.uint8).data
        row = start
        while row < stop:
            run, inside = divmod(row, self._n)
            end = min((run + 1) * self._n, stop)
            part = target[(row - start) * self._row_bytes : (end - start) * self._row_bytes]
            self._fill(part, self._runs[run] + inside * self._row_bytes)
            row = end
        return values

    def _fill(self, part: memoryview, offset: int) -> None:
        while len(part):  # one call reads at most 2 GiB
            try:
                n = os.preadv(self._file, [part], offset)
            except OverflowError:  # an offset that no file has
                n = 0
            if n <= 0:
                raise OSError(f"the file ends within {self._name}")
            part, offset = part[n:], offset + n


def rows_of(dataset: h5py.Dataset) -> Rows:
    """The extents of ``dataset``, or the dataset itself where it is not plain.

    Plain is: native numbers, no filter, the file's own bytes, all of them there, whole rows in each chunk.
    """
    plist = dataset.id.get_create_plist()
    native = dataset.dtype.kind in "fiu" and dataset.dtype.isnative
    if not native or not dataset.ndim or plist.get_nfilters() or plist.get_external_count():
        return dataset
    if dataset.file.userblock_size or 0 in dataset.shape:
        return dataset
    if plist.get_layout() == h5d.CONTIGUOUS:
        offset = dataset.id.get_offset()
        return dataset if offset is None else Extents(dataset, {0: offset}, dataset.shape[0])
    if plist.get_layout() != h5d.CHUNKED or dataset.chunks[1:] != dataset.shape[1:]:
        return dataset
    runs: dict[int, int] = {}
    dataset.id.chunk_iter(
        lambda chunk: runs.__setitem__(chunk.chunk_offset[0] // dataset.chunks[0], chunk.byte_offset)
    )
    complete = len(runs) == -(-dataset.shape[0] // dataset.chunks[0])
    return Extents(dataset, runs, dataset.chunks[0]) if complete else dataset
