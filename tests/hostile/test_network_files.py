"""Networks nobody should accept, each refused with its sentence; and those that are odd and fine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from lanner.errors import PredictionError
from lanner.h5ad.network import NetworkExpectation
from lanner.ingest import IngestResult, _check_again, ingest
from lanner.ingest_child import MEMORY_BYTES

GENES = tuple(f"GENE{i}" for i in range(8))
EXPECTED = NetworkExpectation(genes=GENES, regulators=("GENE1", "GENE4"), max_edges=6)
SOURCE = "prediction.h5ad"


def weights() -> sp.csr_matrix:
    """Five edges of both candidates."""
    dense = np.zeros((8, 8), np.float32)
    dense[1, [0, 2, 7]], dense[4, [1, 3]] = (0.5, -2.0, 1.0), (3.0, -0.25)
    return sp.csr_matrix(dense)


def write(path: Path, **changed: Any) -> None:
    """A network as HDF5; ``changed`` replaces arrays of it, an entry of None leaves its array out."""
    matrix = weights()
    arrays: dict[str, Any] = {
        "var/_index": np.array(GENES, dtype=object),
        "varp/network/data": matrix.data,
        "varp/network/indices": matrix.indices,
        "varp/network/indptr": matrix.indptr,
        **changed,
    }
    with h5py.File(path / SOURCE, "w") as file:
        for name, array in arrays.items():
            if array is not None:
                text = h5py.string_dtype() if np.asarray(array).dtype == object else None
                file.create_dataset(name, data=array, dtype=text)


def read(folder: Path, expected: NetworkExpectation = EXPECTED) -> IngestResult:
    return ingest(folder / SOURCE, rows=expected, destination=folder / "canonical", timeout_s=30)


def refused(folder: Path, expected: NetworkExpectation = EXPECTED) -> PredictionError:
    with pytest.raises(PredictionError) as caught:
        read(folder, expected)
    assert [path.name for path in folder.iterdir() if "canonical" in path.name] == []
    return caught.value


def of(cells: int, **options: Any) -> anndata.AnnData:
    names = pd.DataFrame(index=[f"c{i}" for i in range(cells)])
    return anndata.AnnData(obs=names, var=pd.DataFrame(index=list(GENES)), **options)


@pytest.mark.parametrize("X", ["absent", "dense", "sparse"])
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_what_anndata_writes_arrives_exactly(tmp_path: Path, X: str, compression: str | None) -> None:
    none = np.zeros((0, 8), np.float32)
    rows = {"absent": {}, "dense": {"X": none}, "sparse": {"X": sp.csr_matrix(none)}}[X]
    of(0, varp={"network": weights()}, **rows).write_h5ad(tmp_path / SOURCE, compression=compression)
    result = read(tmp_path)
    assert (result.kind, result.sizes, result.answered.size) == ("network", {"n_edges": 5}, 0)
    assert abs(result.matrix.block(0, 8) - weights()).max() == 0
    names = {path.name for path in result.folder.iterdir()}
    assert names == {"data.npy", "indices.npy", "indptr.npy"}


def test_an_empty_network_is_a_network(tmp_path: Path) -> None:
    of(0, varp={"network": sp.csr_matrix((8, 8), dtype=np.float32)}).write_h5ad(tmp_path / SOURCE)
    assert read(tmp_path).sizes == {"n_edges": 0}


def test_integers_and_doubles_of_any_width_arrive_as_the_canonical_types(tmp_path: Path) -> None:
    matrix = weights()
    write(
        tmp_path,
        **{
            "varp/network/data": matrix.data.astype("f8"),
            "varp/network/indices": matrix.indices.astype("i8"),
            "varp/network/indptr": matrix.indptr.astype("u4"),
        },
    )
    folder = read(tmp_path).folder
    kinds = {path.stem: np.load(path).dtype for path in folder.glob("i*.npy")}
    assert kinds == {"indices": np.int32, "indptr": np.int64}
    assert np.load(folder / "data.npy").dtype == np.float32


HOSTILE: dict[str, tuple[dict[str, Any], str, str]] = {
    "no network": (
        {f"varp/network/{name}": None for name in ("data", "indices", "indptr")},
        "structure",
        "/varp/network is missing",
    ),
    "dense": (
        {
            **{f"varp/network/{n}": None for n in ("data", "indices", "indptr")},
            "varp/network": np.ones((8, 8)),
        },
        "sparse",
        "is dense; write it as CSR",
    ),
    "not square": ({"varp/network/indptr": np.array([0, 5])}, "shape", "the network is square"),
    "NaN": (
        {"varp/network/data": np.array([1, np.nan, 1, 1, 1], "f4")},
        "non-finite",
        "a NaN or infinite weight, the first from 'GENE1' to 'GENE2'",
    ),
    "infinite as float32": ({"varp/network/data": np.array([1, 1e300, 1, 1, 1])}, "non-finite", "infinite"),
    "a stored zero": (
        {"varp/network/data": np.array([1, 0, 1, 1, 1], "f4")},
        "non-finite",
        "weight 0 (call eliminate_zeros())",
    ),
    "an index below": ({"varp/network/indices": np.array([-1, 2, 7, 1, 3])}, "sparse", "between 0 and 7"),
    "an index above": ({"varp/network/indices": np.array([0, 2, 8, 1, 3])}, "sparse", "between 0 and 7"),
    "a huge index": ({"varp/network/indices": np.array([0, 2, 2**40, 1, 3])}, "sparse", "between 0 and 7"),
    "unsorted": ({"varp/network/indices": np.array([2, 0, 7, 1, 3])}, "sparse", "row 'GENE1' do not rise"),
    "an edge twice": ({"varp/network/indices": np.array([0, 2, 2, 1, 3])}, "sparse", "store each edge once"),
    "indptr that falls": (
        {"varp/network/indptr": np.array([0, 0, 3, 2, 3, 5, 5, 5, 5])},
        "sparse",
        "must rise from 0 to the 5 stored edges",
    ),
    "indptr beyond the edges": (
        {"varp/network/indptr": np.array([0, 0, 3, 3, 3, 9, 9, 9, 9])},
        "sparse",
        "must rise from 0 to the 5",
    ),
    "indptr that starts later": (
        {"varp/network/indptr": np.array([1, 1, 3, 3, 3, 5, 5, 5, 5])},
        "sparse",
        "must rise from 0",
    ),
    "edges of a gene that is no candidate": (
        {"varp/network/indptr": np.array([0, 3, 3, 3, 3, 5, 5, 5, 5])},
        "regulators",
        "1 genes that are no candidate regulators, such as 'GENE0'",
    ),
    "string weights": (
        {"varp/network/data": np.array(["1", "2", "3", "4", "5"], dtype=object)},
        "dtype",
        "/varp/network/data is",
    ),
    "whole weights": ({"varp/network/data": np.arange(1, 6)}, "dtype", "write float32"),
    "fractional indices": ({"varp/network/indices": np.array([0.0, 2, 7, 1, 3])}, "dtype", "expected int32"),
    "data longer than indices": ({"varp/network/data": np.ones(6, "f4")}, "sparse", "they must match"),
    "genes in another order": ({"var/_index": np.array(GENES[::-1], dtype=object)}, "names", "another order"),
    "a gene missing": ({"var/_index": np.array(GENES[1:], dtype=object)}, "shape", "expected 8"),
    "cells": ({"obs/_index": np.array(["a", "b"], dtype=object)}, "shape", "written without cells"),
    "rows of X": ({"X": np.zeros((3, 8), "f4")}, "shape", "written without cells"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_bad_network_is_refused_with_its_sentence(tmp_path: Path, name: str) -> None:
    changed, code, sentence = HOSTILE[name]
    write(tmp_path, **changed)
    error = refused(tmp_path)
    assert error.code == code and sentence in str(error)


def test_a_network_of_too_many_edges_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    few = NetworkExpectation(genes=GENES, regulators=EXPECTED.regulators, max_edges=4)
    error = refused(tmp_path, few)
    assert error.code == "too-many-edges" and "stores 5 edges; task.json allows max_edges = 4" in str(error)


def test_csc_is_told_from_csr_though_both_are_square(tmp_path: Path) -> None:
    of(0, varp={"network": weights().tocsc()}).write_h5ad(tmp_path / SOURCE)
    assert "is CSC; write CSR, with regulators in rows" in str(refused(tmp_path))


@pytest.mark.parametrize("place", ["varp/network", "varp/other", "X", "layers/network"])
def test_a_dense_bomb_is_refused_before_anything_of_it_is_read(tmp_path: Path, place: str) -> None:
    changed: dict[str, Any] = {f"varp/network/{name}": None for name in ("data", "indices", "indptr")}
    write(tmp_path, **(changed if place == "varp/network" else {}))
    with h5py.File(tmp_path / SOURCE, "a") as file:  # 1.6 GB that are 400 bytes on disk
        file.create_dataset(place, (20_000, 20_000), "f4", chunks=(2000, 2000), compression="gzip")
    error = refused(tmp_path)
    assert error.code == "too-large" and "at most 6 edges, stored as CSR" in str(error)


def test_an_edge_list_that_inflates_is_refused_by_its_declared_size(tmp_path: Path) -> None:
    write(tmp_path, **{"varp/network/data": None})
    with h5py.File(tmp_path / SOURCE, "a") as file:
        file.create_dataset("varp/network/data", (MEMORY_BYTES,), "f4", chunks=(1 << 20,), compression="gzip")
    assert refused(tmp_path).code == "too-large"


def _linked(file: h5py.File, target: Any) -> None:
    file["varp/network/data"] = target


@pytest.mark.parametrize(
    "link",
    [
        lambda file: _linked(file, h5py.ExternalLink("/etc/passwd", "/data")),
        lambda file: _linked(file, h5py.SoftLink("/varp/network/indices")),
        lambda file: _linked(file, file["varp/network/indices"]),
    ],
    ids=["external", "soft", "hard"],
)
def test_links_are_refused(tmp_path: Path, link: Callable[[h5py.File], None]) -> None:
    write(tmp_path, **{"varp/network/data": None})
    with h5py.File(tmp_path / SOURCE, "a") as file:
        link(file)
    assert refused(tmp_path).code == "link"


@pytest.mark.parametrize("lie", ["more edges", "a stranger's row", "columns out of order", "dense"])
def test_what_a_reader_that_was_taken_over_leaves_is_checked_again(tmp_path: Path, lie: str) -> None:
    matrix = weights()
    if lie == "more edges":
        matrix = sp.csr_matrix(np.where(np.arange(8)[:, None] == 1, 1.0, 0.0) * np.ones((8, 8)), dtype="f4")
    elif lie == "a stranger's row":
        matrix = sp.csr_matrix(weights().toarray()[::-1])
    elif lie == "columns out of order":
        matrix.indices[:2] = matrix.indices[1::-1]
    if lie == "dense":
        np.save(tmp_path / "X.npy", matrix.toarray())
    else:
        np.save(tmp_path / "data.npy", matrix.data)
        np.save(tmp_path / "indices.npy", matrix.indices.astype(np.int32))
        np.save(tmp_path / "indptr.npy", matrix.indptr.astype(np.int64))
    with pytest.raises(PredictionError, match="what the reader of the file left is wrong"):
        _check_again(tmp_path, EXPECTED, np.ones(8, dtype=bool))
