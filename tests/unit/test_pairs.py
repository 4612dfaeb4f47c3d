"""Pairs of files: what is read and computed is what the evident formulas say, whatever the files' layout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lanner.errors import ConfigurationError
from lanner.pairs import FilePair, open_pair
from pair_files import write_pair
from pairs import MemoryPair, MemorySide, simulated_pair
from scipy.spatial.distance import cdist


@pytest.fixture(scope="module")
def expected() -> MemoryPair:
    return simulated_pair()


@pytest.fixture(scope="module")
def files(expected: MemoryPair, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_pair(tmp_path_factory.mktemp("pair"), expected)


@pytest.fixture(scope="module")
def opened(files: dict[str, Path]) -> Iterator[FilePair]:
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


def test_float16_and_whole_numbers_are_read_exactly(tmp_path: Path) -> None:
    pair = rounded(simulated_pair(), 0.25)
    with open_pair(**write_pair(tmp_path / "16", pair, dtype=np.float16), control="control") as found:
        assert_same(found, pair)
    whole = rounded(simulated_pair(), 1.0)
    with open_pair(
        **write_pair(tmp_path / "int", whole, dtype=np.int32), control="control", scale="counts"
    ) as found:
        assert_same(found, whole)


def test_no_number_of_threads_changes_a_bit(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    answers = []
    for workers in (1, 3):
        monkeypatch.setattr("lanner.pairs.gene_order.WORKERS", workers)
        monkeypatch.setattr("lanner.pairs.side.WORKERS", workers)
        with open_pair(files["truth"], files["prediction"], control="control") as pair:
            found = (*pair.truth.mann_whitney(), pair.energy(), pair.prediction.energy_to_control())
            answers.append([array.tobytes() for array in (*found, pair.wasserstein_by_gene())])
    assert answers[0] == answers[1]


def test_small_blocks_and_small_budgets_change_no_bit(
    files: dict[str, Path], opened: FilePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lanner.h5ad.cells.BLOCK_VALUES", 500)
    monkeypatch.setattr("lanner.pairs.gene_order.BLOCK_VALUES", 300)
    monkeypatch.setattr("lanner.pairs.gene_order.BUDGET_BYTES", 20_000)
    monkeypatch.setattr("lanner.pairs.side.ROWS_AT_A_TIME", 7)
    monkeypatch.setattr("lanner.pairs.sums.GROUPS_AT_A_TIME", 2)
    with open_pair(files["truth"], files["prediction"], control="control") as pair:
        for one, other in zip(pair.truth.mann_whitney(), opened.truth.mann_whitney(), strict=True):
            assert np.array_equal(one, other)
        assert np.array_equal(pair.wasserstein_by_gene(), opened.wasserstein_by_gene())
        assert np.allclose(pair.truth.means(), opened.truth.means(), rtol=1e-14)
        assert np.allclose(pair.energy(), opened.energy(), atol=1e-9)


def test_a_prediction_without_controls_has_nan_where_they_are_needed(tmp_path: Path) -> None:
    pair = simulated_pair()
    pair.prediction.controls = pair.prediction.controls[:0]
    with open_pair(**write_pair(tmp_path, pair), control="control") as found:
        assert found.prediction.n_control() == 0
        for answer in (found.prediction.energy_to_control(), *found.prediction.mann_whitney()):
            assert np.isnan(answer).all()
        assert np.isnan(found.prediction.control_mean()).all()
        assert np.isfinite(found.energy()).all()


def test_one_cell_has_a_mean_no_variance_and_a_defined_test(tmp_path: Path) -> None:
    pair = simulated_pair(sizes=(1, 30))
    with open_pair(**write_pair(tmp_path, pair), control="control") as found:
        assert np.isnan(found.truth.variances()[0]).all()
        assert np.array_equal(found.truth.mann_whitney()[0], pair.truth.mann_whitney()[0])
        assert np.allclose(found.truth.mann_whitney()[1], pair.truth.mann_whitney()[1], rtol=1e-10)
        assert np.allclose(found.energy(), pair.energy(), atol=1e-6)


def test_genes_that_never_vary_have_variance_zero_and_p_one(tmp_path: Path) -> None:
    pair = simulated_pair()
    for side in (pair.truth, pair.prediction):
        for cells in (*side.groups, side.controls):
            cells[:, 3], cells[:, 4] = 0.0, np.float32(0.7)
    with open_pair(**write_pair(tmp_path, pair), control="control") as found:
        assert (found.truth.variances()[:, 3:5] == 0).all()
        assert (found.truth.mann_whitney()[1][:, 3:5] == 1).all()
        assert (found.wasserstein_by_gene()[:, 3:5] == 0).all()
        assert_same(found, pair)


def test_one_gene_is_enough(tmp_path: Path) -> None:
    pair = simulated_pair(n_genes=30)
    columns = np.array([3])
    with open_pair(**write_pair(tmp_path, pair, columns=columns), control="control") as found:
        assert found.truth.means().shape == (6, 1)
        assert np.array_equal(found.truth.mann_whitney()[0], pair.truth.mann_whitney()[0][:, columns])


def test_cells_that_are_copies_of_controls_have_exact_distances(tmp_path: Path) -> None:
    pair = simulated_pair()
    pair.prediction.groups = [pair.prediction.controls[:n].copy() for n in (30, 41, 25, 33, 28, 36)]
    pair.prediction.groups[1][:] = pair.prediction.controls[0]
    with open_pair(**write_pair(tmp_path, pair), control="control") as found:
        expected = pair.prediction.energy_to_control()
        assert np.allclose(found.prediction.energy_to_control(), expected, rtol=0, atol=1e-6)


def test_constant_cells_have_no_distance_among_themselves(tmp_path: Path) -> None:
    pair = simulated_pair()
    pair.prediction.groups = [np.tile(group.mean(axis=0), (20, 1)) for group in pair.prediction.groups]
    pair.prediction.controls[:] = pair.prediction.controls[0]
    with open_pair(**write_pair(tmp_path, pair), control="control") as found:
        assert np.allclose(found.energy(), pair.energy(), rtol=0, atol=1e-6)
        expected = pair.prediction.energy_to_control()
        assert np.allclose(found.prediction.energy_to_control(), expected, rtol=0, atol=1e-6)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 12))
def test_ranks_and_distances_are_right_whatever_is_tied(
    tmp_path_factory: pytest.TempPathFactory, seed: int, n_values: int, n_control: int
) -> None:
    generator = np.random.default_rng(seed)

    def cells(n: int) -> Any:
        return (generator.integers(0, n_values + 1, (n, 4)) * 0.37).astype(np.float32)

    sizes = (1, 2, 5, 9)
    truth, prediction = (
        MemorySide([cells(n) for n in sizes], cells(n_control)) for _ in ("truth", "prediction")
    )
    pair = MemoryPair(tuple("abcd"), tuple("wxyz"), truth, prediction)
    files = write_pair(tmp_path_factory.mktemp("ties"), pair)
    with open_pair(**files, control="control", scale="log1p") as found:
        statistic, p = found.truth.mann_whitney()
        assert np.array_equal(statistic, truth.mann_whitney()[0])
        assert np.allclose(p, truth.mann_whitney()[1], rtol=1e-10, atol=0)
        assert np.allclose(found.wasserstein_by_gene(), pair.wasserstein_by_gene(), rtol=0, atol=1e-12)
        assert np.allclose(found.energy(), pair.energy(), rtol=0, atol=1e-6)


def test_temporary_files_are_gone_after_closing(
    files: dict[str, Path], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with open_pair(files["truth"], files["prediction"], control="control") as pair:
        pair.energy()
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigurationError):
        open_pair(files["truth"], files["prediction"], control="nothing")
    assert not list(tmp_path.iterdir())


def test_the_median_total_of_each_file_is_what_counts_are_normalised_to(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    truth, prediction = (
        MemorySide(
            [generator.poisson(2, (n, 9)).astype(float) for n in (5, 6)],
            generator.poisson(k, (7, 9)).astype(float),
        )
        for k in (1, 4)
    )
    files = write_pair(tmp_path, MemoryPair(("a", "b"), tuple("abcdefghi"), truth, prediction))
    with open_pair(**files, control="control", normalize="median") as pair:
        for side, found in ((truth, pair.truth), (prediction, pair.prediction)):
            totals = np.concatenate([*side.groups, side.controls]).sum(axis=1)
            first = side.groups[0] * np.median(totals) / side.groups[0].sum(axis=1, keepdims=True)
            assert np.allclose(found.means()[0], np.log1p(first).mean(axis=0), rtol=1e-6)
    with open_pair(**files, control="control", normalize=100) as pair:
        first = truth.groups[0] * 100 / truth.groups[0].sum(axis=1, keepdims=True)
        assert np.allclose(pair.truth.means()[0], np.log1p(first).mean(axis=0), rtol=1e-6)


def rounded(pair: MemoryPair, step: float) -> MemoryPair:
    for side in (pair.truth, pair.prediction, pair.train):
        if side is not None:
            side.groups = [(np.rint(group / step) * step).astype(np.float32) for group in side.groups]
            side.controls = (np.rint(side.controls / step) * step).astype(np.float32)
    return pair


def test_the_mmd_to_controls_is_that_of_its_formula(opened: FilePair, expected: MemoryPair) -> None:
    gammas = (0.001, 1.0)
    energy, *found = opened.truth.distances_to_control(gammas)
    assert np.allclose(energy, expected.truth.energy_to_control(), rtol=0, atol=1e-6)
    for gamma, values in zip(gammas, found, strict=True):
        wanted = [v_mmd(group, expected.truth.controls, gamma) for group in expected.truth.groups]
        assert np.allclose(values, wanted, rtol=0, atol=1e-6)


def v_mmd(x: Any, y: Any, gamma: float) -> float:
    x, y = x.astype(np.float64), y.astype(np.float64)
    means = [np.exp(-gamma * cdist(a, b, "sqeuclidean")).mean() for a, b in ((x, x), (y, y), (x, y))]
    return float(means[0] + means[1] - 2 * means[2])
