"""Rows read past HDF5 are those HDF5 reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from lanner.h5ad.extents import Extents, rows_of

VALUES = np.random.default_rng(0).normal(size=(37, 5))
PLAIN: dict[str, dict[str, Any]] = {
    "contiguous": {"data": VALUES.astype(np.float32)},
    "one dimension, contiguous": {"data": VALUES.ravel()},
    "one dimension in chunks": {"data": VALUES.ravel(), "chunks": (16,)},
    "chunks of whole rows": {"data": VALUES, "chunks": (8, 5)},
    "whole numbers": {"data": np.arange(37, dtype=np.int32), "chunks": (37,)},
}
OTHER: dict[str, dict[str, Any]] = {
    "packed": {"data": VALUES, "chunks": (8, 5), "compression": "gzip"},
    "checksummed": {"data": VALUES, "chunks": (8, 5), "fletcher32": True},
    "the other byte order": {"data": VALUES.astype(">f4")},
    "chunks of parts of rows": {"data": VALUES, "chunks": (8, 2)},
    "flags": {"data": VALUES > 0},
    "never written": {"shape": (37, 5), "dtype": "f4"},
    "written in part": {"shape": (37, 5), "dtype": "f4", "chunks": (8, 5)},
    "nothing": {"data": np.zeros((0, 5))},
}


@pytest.mark.parametrize("how", [*PLAIN, *OTHER])
def test_rows_are_the_same_however_they_are_stored(tmp_path: Path, how: str) -> None:
    with h5py.File(tmp_path / "file.h5", "w") as file:
        file.create_dataset("before", data=np.arange(1000))
        made = file.create_dataset("x", **{**PLAIN, **OTHER}[how])
        if how == "written in part":
            made[:8] = 1.0
    with h5py.File(tmp_path / "file.h5") as file:
        rows = rows_of(file["x"])
        assert isinstance(rows, Extents) == (how in PLAIN)
        assert rows.shape == file["x"].shape
        for start, stop in ((0, 37), (0, 0), (3, 5), (7, 9), (15, 36), (36, 37), (30, 99)):
            found, expected = rows[start:stop], file["x"][start:stop]
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected)


def test_a_file_with_a_block_of_its_owner_in_front_is_read_by_hdf5(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "file.h5", "w", userblock_size=512) as file:
        file["x"] = VALUES
    with h5py.File(tmp_path / "file.h5") as file:
        np.testing.assert_array_equal(rows_of(file["x"])[3:9], VALUES[3:9])


@pytest.mark.parametrize("place", ["cut off", "at an offset no file has"])
def test_rows_beyond_the_end_of_the_file_are_an_error(tmp_path: Path, place: str) -> None:
    path = tmp_path / "file.h5"
    with h5py.File(path, "w") as file:
        file["x"] = VALUES
        file.flush()
        runs = {0: (1 << 64) - 1 if place != "cut off" else path.stat().st_size - 16}
        with pytest.raises(OSError, match="ends within /x"):
            Extents(file["x"], runs, 37)[0:37]
