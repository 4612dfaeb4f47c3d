from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from dataset_entries import toy
from lanner.errors import ConfigurationError
from lanner.h5ad import blocks
from lanner.h5ad import source as module
from lanner.h5ad.source import SourceFile, assemble, write_source


def read(path: Path, layer: str | None = None) -> np.ndarray[Any, Any]:
    with SourceFile(path) as source:
        found = [block for _, _, block in source.blocks(layer)]
    return np.vstack([block if isinstance(block, np.ndarray) else block.toarray() for block in found])


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_every_storage_form_reads_the_same(tmp_path: Path, form: Any) -> None:
    expected = toy().X.toarray()
    toy(X=form(expected), layers={"raw": form(expected)}).write_h5ad(tmp_path / "x.h5ad")
    np.testing.assert_array_equal(read(tmp_path / "x.h5ad"), expected)
    np.testing.assert_array_equal(read(tmp_path / "x.h5ad", "raw"), expected)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
def test_blocks_cover_all_rows_once_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Any
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_VALUES", 7)
    expected = toy().X.toarray()
    expected[3:5] = 0  # empty rows must not stall the walk
    toy(X=form(expected)).write_h5ad(tmp_path / "x.h5ad")
    with SourceFile(tmp_path / "x.h5ad") as source:
        spans = [(start, stop) for start, stop, _ in source.blocks()]
    assert spans[0][0] == 0 and spans[-1][1] == 10
    assert all(stop == start for (_, stop), (start, _) in pairwise(spans))
    np.testing.assert_array_equal(read(tmp_path / "x.h5ad"), expected)


def test_a_large_matrix_stored_by_columns_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy(X=sp.csc_matrix(toy().X)).write_h5ad(tmp_path / "x.h5ad")
    monkeypatch.setattr(module, "CSC_LIMIT", 10)
    with pytest.raises(ConfigurationError, match="stored by columns"):
        read(tmp_path / "x.h5ad")


def test_files_that_are_no_anndata_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.h5ad").write_text("no HDF5 at all", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="not an HDF5 file"):
        SourceFile(tmp_path / "text.h5ad")
    with h5py.File(tmp_path / "empty.h5ad", "w") as file:
        file.create_group("obs")
    with pytest.raises(ConfigurationError, match="has no var"):
        SourceFile(tmp_path / "empty.h5ad")


def test_a_matrix_that_disagrees_with_obs_is_refused(tmp_path: Path) -> None:
    toy(X=toy().X.toarray()).write_h5ad(tmp_path / "x.h5ad")
    with h5py.File(tmp_path / "x.h5ad", "r+") as file:
        del file["X"]
        file["X"] = np.zeros((3, 5), np.float32)
    with pytest.raises(ConfigurationError, match=r"shape \(3, 5\), but obs and var say \(10, 5\)"):
        read(tmp_path / "x.h5ad")


def test_a_file_written_in_blocks_is_one_anndata_reads(tmp_path: Path) -> None:
    X = sp.random(50, 20, 0.3, "csr", dtype=np.float32, random_state=0)
    obs = pd.DataFrame({"a": pd.Categorical(["x", "y"] * 25)}, index=[f"c{i}" for i in range(50)])
    genes = [f"g{i}" for i in range(20)]
    blocks = ({None: X[start : start + 7], "raw": X[start : start + 7] * 2} for start in range(0, 50, 7))
    write_source(tmp_path / "x.h5ad", obs, genes, blocks)
    written, whole = anndata.read_h5ad(tmp_path / "x.h5ad"), assemble(X, obs, genes)
    assert (written.X != whole.X).nnz == 0 and (written.layers["raw"] != whole.X * 2).nnz == 0
    assert written.obs.equals(whole.obs) and list(written.var_names) == genes
