"""MMD, Wasserstein distance, variances and zeros of drawn cells against loops and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lanner.metrics import METRICS, Comparison
from lanner.metrics.population import Population
from lanner.scoring import marginals
from lanner.scoring.cells import CellSet
from lanner.scoring.marginals import wasserstein
from scipy.spatial.distance import cdist, pdist
from scipy.stats import wasserstein_distance
from truths import comparison

NO_TARGETS = np.array([], dtype=np.int64)


def population(x, y, draws=None, *, masked=None, pca=None):
    t, p = draws if draws is not None else (np.ones((1, len(x))), np.ones((1, len(y))))
    targets = NO_TARGETS if masked is None else np.flatnonzero(masked)
    size = torch.as_tensor(t.sum(axis=1))
    shape = (len(t), x.shape[1])
    arrays = comparison(np.zeros(shape), np.zeros(shape), masked=None if masked is None else masked[None])
    cells = Population(
        truth=CellSet(sp.csr_matrix(x), targets, pca),
        predicted=CellSet(y, targets, pca),
        truth_draws=torch.as_tensor(t),
        predicted_draws=torch.as_tensor(p),
        size=size,
        truth_size=size,
        masked=masked is not None,
    )
    return Comparison(**{**vars(arrays), "population": cells})


@pytest.fixture
def cells():
    generator = np.random.default_rng(0)
    return generator.poisson(1.0, (40, 30)).astype(float), generator.normal(0.8, 1, (40, 30)).round(1)


def slow_mmd(x, y, bandwidth):
    def k(u, v):
        d2 = cdist(u, v, "sqeuclidean")
        return np.mean([np.exp(-d2 / (2 * (s * bandwidth) ** 2)) for s in (0.25, 0.5, 1, 2, 4)], axis=0)

    def off_diagonal(u):
        m = k(u, u)
        return (m.sum() - np.trace(m)) / (len(u) * (len(u) - 1))

    return off_diagonal(x) + off_diagonal(y) - 2 * k(x, y).mean()


def lower_median(values):
    return np.sort(values)[(len(values) - 1) // 2]


def two_draws(seed=3):
    generator = np.random.default_rng(seed)
    t, p = np.zeros((2, 40)), np.zeros((2, 40))
    for b in range(2):
        t[b, generator.choice(40, 25, replace=False)] = 1
        p[b, generator.choice(40, 25, replace=False)] = 1
    return t, p


def test_mmd_is_that_of_loops_with_the_bandwidth_of_all_true_cells(cells):
    x, y = cells
    t, p = two_draws()
    bandwidth = lower_median(pdist(x))
    ours = METRICS["mmd_rbf/gene"](population(x, y, (t, p))).values
    theirs = [slow_mmd(x[t[b] > 0], y[p[b] > 0], bandwidth) for b in range(2)]
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_mmd_in_pca_space_is_that_of_the_projections(cells):
    x, y = cells
    generator = np.random.default_rng(1)
    mean, components = generator.random(30), np.linalg.qr(generator.normal(size=(30, 5)))[0].T.copy()
    u, v = (x - mean) @ components.T, (y - mean) @ components.T
    ours = METRICS["mmd_rbf"](population(x, y, pca=(mean, components))).values.item()
    assert ours == pytest.approx(slow_mmd(u, v, lower_median(pdist(u))), abs=1e-10)


def test_mmd_of_two_samples_of_one_distribution_is_zero_on_average():
    generator = np.random.default_rng(0)
    values = [
        METRICS["mmd_rbf/gene"](population(*generator.normal(size=(2, 25, 8)))).values.item()
        for _ in range(100)
    ]
    assert abs(np.mean(values)) < 4 * np.std(values) / 10


def test_a_saturated_kernel_is_refused():
    x = np.zeros((40, 30))
    x[0] = 1.0  # nearly all cells are equal: no bandwidth tells them apart
    y = np.random.default_rng(0).random((40, 30))
    answer = METRICS["mmd_rbf/gene"](population(x, y))
    assert not answer.scorable.any()
    assert "saturated" in answer.unscorable


@pytest.mark.parametrize("form", [np.asarray, sp.csc_matrix], ids=["dense", "sparse"])
@pytest.mark.parametrize("block", [1 << 17, 7])
def test_wasserstein_by_gene_is_that_of_scipy(cells, form, block, monkeypatch):
    monkeypatch.setattr(marginals, "BLOCK_VALUES", block)
    x, y = cells
    t, p = two_draws()
    ours = wasserstein(form(x), form(y), t, p)
    for b in range(2):
        for g in range(30):
            expected = wasserstein_distance(x[t[b] > 0, g], y[p[b] > 0, g])
            assert ours[b, g] == pytest.approx(expected, abs=1e-13)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**16), n=st.integers(1, 12), shift=st.floats(-3, 3))
def test_wasserstein_is_a_distance_and_sees_a_shift_exactly(seed, n, shift):
    generator = np.random.default_rng(seed)
    x, y = generator.normal(size=(2, n, 4)) * (generator.random((2, n, 4)) < 0.5)
    all_cells = np.ones((1, n))
    assert wasserstein(x, x[::-1].copy(), all_cells, all_cells).max() < 1e-13
    np.testing.assert_allclose(
        wasserstein(x, y, all_cells, all_cells), wasserstein(y, x, all_cells, all_cells), atol=1e-13
    )
    np.testing.assert_allclose(wasserstein(x, x + shift, all_cells, all_cells), abs(shift), atol=1e-12)


def test_w1_gene_is_the_mean_over_unmasked_genes(cells):
    x, y = cells
    masked = np.arange(30) < 4
    ours = METRICS["w1_gene"](population(x, y, masked=masked)).values.item()
    assert ours == pytest.approx(np.mean([wasserstein_distance(x[:, g], y[:, g]) for g in range(4, 30)]))


def test_variance_ratio_and_zero_fractions_are_those_of_numpy(cells):
    x, y = cells
    t, p = two_draws()
    arrays = population(x, y, (t, p), masked=np.arange(30) < 4)
    ratio, zeros = METRICS["variance_ratio"](arrays).values, METRICS["zero_fraction_error"](arrays).values
    for b in range(2):
        u, v = x[t[b] > 0][:, 4:], y[p[b] > 0][:, 4:]
        assert ratio[b].item() == pytest.approx(v.var(axis=0, ddof=1).sum() / u.var(axis=0, ddof=1).sum())
        assert zeros[b].item() == pytest.approx(np.abs((u == 0).mean(axis=0) - (v == 0).mean(axis=0)).mean())


def test_constant_shifted_and_inflated_cells_are_given_away(cells):
    x, _ = cells
    ratio, zeros = METRICS["variance_ratio"], METRICS["zero_fraction_error"]
    constant = np.repeat(x.mean(axis=0)[None], 40, axis=0)
    assert ratio(population(x, constant)).values.item() == pytest.approx(0, abs=1e-12)
    assert ratio(population(x, 3 * x)).values.item() == pytest.approx(9)
    assert zeros(population(x, x + 0.1)).values.item() == pytest.approx((x == 0).mean())


@pytest.mark.parametrize("name", ["mmd_rbf/gene", "w1_gene", "variance_ratio", "zero_fraction_error"])
def test_fewer_than_20_cells_are_not_scorable(cells, name):
    x, y = cells
    few = np.zeros((1, 40))
    few[0, :19] = 1
    answer = METRICS[name](population(x, y, (few, few)))
    assert not answer.scorable.any() and answer.values.isnan().all()
