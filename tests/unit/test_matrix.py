"""The canonical matrix: what is written is read back, by block, by row and by group, or an error says why."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import boards
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from lanner import matrix
from lanner.errors import InfrastructureError
from lanner.matrix import Matrix, MatrixWriter, write_matrix

Array = np.ndarray[Any, Any]
VALUES = st.one_of(st.just(0.0), st.floats(-1e6, 1e6, width=32))


@st.composite
def cut_matrices(draw: st.DrawFn) -> tuple[Array, list[int], bool]:
    """A dense float32 matrix, where to cut it into blocks, and whether to store it sparse."""
    shape = (draw(st.integers(0, 12)), draw(st.integers(1, 7)))
    X = draw(hnp.arrays(np.float32, shape, elements=VALUES))
    cuts = sorted(draw(st.lists(st.integers(0, shape[0]), max_size=3)))
    return X, [0, *cuts, shape[0]], draw(st.booleans())


def written(folder: Path, X: Array, cuts: list[int], sparse: bool) -> Matrix:
    parts = (X[start:stop] for start, stop in pairwise(cuts))
    blocks: Iterator[Any] = (sp.csr_matrix(part) if sparse else part for part in parts)
    return write_matrix(folder / "X", X.shape[1], blocks, sparse=sparse)


def dense(block: Any) -> Array:
    return np.asarray(block.toarray() if sp.issparse(block) else block)


@settings(max_examples=60, deadline=None)
@given(cut_matrices())
def test_any_matrix_cut_anyhow_is_read_back_to_the_bit(case: tuple[Array, list[int], bool]) -> None:
    X, cuts, sparse = case
    with tempfile.TemporaryDirectory() as folder:
        opened = written(Path(folder), X, cuts, sparse)
        again = Matrix(opened.folder, X.shape[1])
        assert again.shape == X.shape and again.is_sparse == sparse
        blocks = list(again.blocks())
        assert [start for start, _, _ in blocks] == [0, *(stop for _, stop, _ in blocks[:-1])][: len(blocks)]
        # A sparse matrix has one zero only: -0 + 0 is +0.
        assert b"".join((dense(block) + 0.0).tobytes() for _, _, block in blocks) == (X + 0.0).tobytes()
        assert all(block.dtype == np.float32 and sp.issparse(block) == sparse for _, _, block in blocks)
        assert [path.name for path in Path(folder).iterdir()] == ["X"]


@settings(max_examples=60, deadline=None)
@given(cut_matrices(), st.data())
def test_rows_come_in_the_order_asked_with_repeats(
    case: tuple[Array, list[int], bool], data: st.DataObject
) -> None:
    X, cuts, sparse = case
    wanted = data.draw(st.lists(st.integers(0, len(X) - 1), max_size=20)) if len(X) else []
    with tempfile.TemporaryDirectory() as folder:
        rows = written(Path(folder), X, cuts, sparse).rows(np.array(wanted, dtype=np.int64))
    assert sp.isspmatrix_csr(rows) and rows.dtype == np.float32
    np.testing.assert_array_equal(rows.toarray(), X[wanted].reshape(len(wanted), X.shape[1]))


@settings(max_examples=60, deadline=None)
@given(cut_matrices(), st.data())
def test_group_sums_equal_numpy_and_leave_negative_groups_out(
    case: tuple[Array, list[int], bool], data: st.DataObject
) -> None:
    X, cuts, sparse = case
    groups = np.array(data.draw(st.lists(st.integers(-1, 3), min_size=len(X), max_size=len(X))), np.int64)
    with tempfile.TemporaryDirectory() as folder:
        sums, counts = written(Path(folder), X, cuts, sparse).group_sums(groups, 4)
    assert sums.dtype == np.float64 and sums.shape == (4, X.shape[1])
    for group in range(4):
        members = X[groups == group].astype(np.float64)
        assert counts[group] == len(members)
        np.testing.assert_allclose(sums[group], members.sum(axis=0), rtol=1e-12, atol=1e-6)


@pytest.mark.parametrize("sparse", [True, False])
def test_blocks_are_bounded_whatever_the_file_and_hold_every_row_once(
    tmp_path: Path, sparse: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = np.random.default_rng(0).random((50, 6)).astype(np.float32) * (np.arange(50) % 7 > 0)[:, None]
    opened = written(tmp_path, X.astype(np.float32), [0, 50], sparse)
    monkeypatch.setattr(matrix, "BLOCK_BYTES", 4 * 6 * 5)
    blocks = list(opened.blocks())
    assert all((block.nnz if sparse else block.size) <= 30 for _, _, block in blocks)
    assert len(blocks) > 5
    np.testing.assert_array_equal(np.vstack([dense(block) for _, _, block in blocks]), X)
    groups = np.arange(50) % 3
    np.testing.assert_allclose(
        opened.group_sums(groups, 3)[0], [X[groups == g].sum(axis=0, dtype=np.float64) for g in range(3)]
    )


def test_a_row_larger_than_a_block_still_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = written(tmp_path, np.ones((3, 8), np.float32), [0, 3], True)
    monkeypatch.setattr(matrix, "BLOCK_BYTES", 4)
    assert [(start, stop) for start, stop, _ in opened.blocks()] == [(0, 1), (1, 2), (2, 3)]


def test_columns_of_a_sparse_block_are_sorted_on_disk(tmp_path: Path) -> None:
    block = sp.csr_matrix((np.array([1.0, 2.0]), np.array([3, 1]), np.array([0, 2])), shape=(1, 5))
    write_matrix(tmp_path / "X", 5, [block], sparse=True)
    assert np.load(tmp_path / "X" / "indices.npy").tolist() == [1, 3]
    assert np.load(tmp_path / "X" / "data.npy").tolist() == [2.0, 1.0]


@pytest.mark.parametrize("sparse", [True, False])
def test_a_writer_that_fails_leaves_nothing(tmp_path: Path, sparse: bool) -> None:
    with pytest.raises(RuntimeError, match="half way"), MatrixWriter(tmp_path / "X", 3, sparse=sparse) as w:
        w.append(np.ones((2, 3), np.float32))
        raise RuntimeError("half way")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sparse", [True, False])
def test_a_full_disk_leaves_nothing(small_disk: Path, sparse: bool) -> None:
    with pytest.raises(OSError), MatrixWriter(small_disk / "X", 1000, sparse=sparse) as writer:
        for _ in range(20):
            writer.append(np.ones((100, 1000), np.float32))
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("sparse", [True, False])
def test_a_disk_that_fills_with_the_last_bytes_leaves_nothing(small_disk: Path, sparse: bool) -> None:
    (small_disk / "filler").write_bytes(bytes((1 << 20) - (1 << 13)))
    with pytest.raises(OSError), MatrixWriter(small_disk / "X", 10, sparse=sparse) as writer:
        for _ in range(500):
            writer.append(np.ones((1, 10), np.float32))
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


@pytest.mark.parametrize(
    ("sparse", "file", "data"),
    [
        (True, "data.npy", b"damaged"),
        (True, "indices.npy", None),
        (True, "indptr.npy", b""),
        (False, "X.npy", b"\x93NUMPY\x03\x00"),
        (False, "X.npy", None),
    ],
)
def test_a_damaged_matrix_is_named_with_what_to_do(
    tmp_path: Path, sparse: bool, file: str, data: bytes | None
) -> None:
    folder = written(tmp_path, np.ones((4, 3), np.float32), [0, 4], sparse).folder
    (folder / file).unlink()
    if data is not None:
        (folder / file).write_bytes(data)
    with pytest.raises(InfrastructureError, match=r"is not a matrix of 3 columns .*remove its folder"):
        Matrix(folder, 3)


@pytest.mark.parametrize("sparse", [True, False])
def test_a_matrix_cut_short_is_noticed_when_it_is_read(tmp_path: Path, sparse: bool) -> None:
    folder = written(tmp_path, np.ones((4, 3), np.float32), [0, 4], sparse).folder
    path = folder / ("data.npy" if sparse else "X.npy")
    path.write_bytes(path.read_bytes()[:-8])
    opened = Matrix(folder, 3)
    assert dense(opened.block(0, 2)).sum() == 6
    with pytest.raises(InfrastructureError, match="shorter than its header says"):
        opened.block(0, 4)


def test_another_number_of_columns_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path, np.ones((4, 3), np.float32), [0, 4], False).folder
    with pytest.raises(InfrastructureError, match="not a matrix of 5 columns"):
        Matrix(folder, 5)


def test_numpy_reads_the_files_as_they_are(tmp_path: Path) -> None:
    X = np.arange(12, dtype=np.float32).reshape(4, 3)
    folder = written(tmp_path, X, [0, 1, 4], False).folder
    np.testing.assert_array_equal(np.load(folder / "X.npy"), X)
    shutil.rmtree(folder)
    folder = written(tmp_path, X, [0, 1, 4], True).folder
    parts = (np.load(folder / f"{name}.npy") for name in ("data", "indices", "indptr"))
    np.testing.assert_array_equal(sp.csr_matrix(tuple(parts), shape=X.shape).toarray(), X)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with boards.small_disk(tmp_path / "disk") as disk:
        yield disk
