"""Pairs of files: what is read and computed is what the evident formulas say, whatever the files' layout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lanner.pairs import FilePair, open_pair
from pair_files import write_pair
from pairs import MemoryPair, simulated_pair


@pytest.fixture(scope="module")
def expected() -> MemoryPair:
    return simulated_pair()


@pytest.fixture(scope="module")
def opened(expected: MemoryPair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FilePair]:
    files = write_pair(tmp_path_factory.mktemp("pair"), expected)
    with open_pair(**files, control="control") as pair:
        yield pair


def assert_same(found: FilePair, expected: MemoryPair, tolerance: float = 1e-6) -> None:
    """All answers of all sides."""
    assert found.perturbations == expected.perturbations
    for name in ("truth", "prediction", "train"):
        side, other = getattr(found, name), getattr(expected, name)
        assert np.array_equal(side.n_cells(), other.n_cells())
        assert side.n_control() == other.n_control()
        for what in ("means", "variances", "control_mean", "control_variance", "energy_to_control"):
            assert np.allclose(getattr(side, what)(), getattr(other, what)(), rtol=0, atol=tolerance), what
        statistic, p = side.mann_whitney()
        assert np.array_equal(statistic, other.mann_whitney()[0])
        assert np.allclose(p, other.mann_whitney()[1], rtol=1e-10, atol=0)
    assert np.allclose(found.energy(), expected.energy(), rtol=0, atol=tolerance)
    assert np.allclose(found.wasserstein_by_gene(), expected.wasserstein_by_gene(), rtol=0, atol=1e-12)


def test_a_pair_of_files_answers_as_the_evident_formulas_do(opened: FilePair, expected: MemoryPair) -> None:
    assert_same(opened, expected)
    assert opened.genes == expected.genes
    assert opened.targets == expected.targets
    assert opened.train_perturbations == expected.train_perturbations


def test_cells_are_those_of_the_file_in_its_order(opened: FilePair, expected: MemoryPair) -> None:
    for p in range(len(expected.perturbations)):
        assert np.array_equal(opened.truth.cells(p).toarray(), expected.truth.groups[p])
    assert np.array_equal(opened.prediction.control_cells().toarray(), expected.prediction.controls)


@pytest.mark.parametrize(
    "options",
    [
        {"layout": "csc"},
        {"layout": "dense"},
        {"dtype": np.float64},
        {"layout": "dense", "dtype": np.float64, "compression": "gzip"},
        {"compression": "lzf"},
        {"seed": 3},
        {"seed": 4, "layout": "dense"},
        {"columns": np.random.default_rng(0).permutation(60)},
    ],
    ids=str,
)
def test_no_layout_order_of_rows_or_order_of_genes_changes_a_number(
    options: dict[str, Any], tmp_path: Path, expected: MemoryPair
) -> None:
    columns = options.get("columns")
    with open_pair(**write_pair(tmp_path, expected, **options), control="control") as pair:
        if columns is None:
            assert_same(pair, expected)
            return
        assert pair.genes == tuple(expected.genes[g] for g in columns)
        assert np.allclose(pair.truth.means(), expected.truth.means()[:, columns], rtol=0, atol=1e-12)
        assert np.allclose(pair.energy(), expected.energy(), rtol=0, atol=1e-6)
