"""Create HDF5 files so that a full disk is an OSError: HDF5 itself crashes the interpreter in that case."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py


class _RememberingFile(io.FileIO):
    """A file that swallows all writes after one that failed: HDF5 cannot give up half-way, so it may end."""

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        written = 0
        while self.failure is None and written < len(view):
            try:
                written += super().write(view[written:]) or 0
            except OSError as error:
                self.failure = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.failure = self.failure or error
            return size or 0

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        read = super().readinto(view) or 0
        if self.failure is not None:  # what was swallowed reads as zeros
            view[read:] = bytes(len(view) - read)
            return len(view)
        return read


@contextmanager
def create(path: Path) -> Iterator[h5py.File]:
    """A new HDF5 file in the format that old readers open; replaces ``path``.

    Raises OSError (disk full ...) when the block has ended; the file is then incomplete.
    """
    with _RememberingFile(path, "w+b") as disk:
        with h5py.File(disk, "w", libver=("earliest", "v108")) as file:
            yield file
        if disk.failure is not None:
            raise disk.failure
