"""Centroid metrics against SciPy and scikit-learn, and where they are undefined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lanner.metrics import METRICS
from scipy.stats import pearsonr
from sklearn.metrics import mean_squared_error
from truths import comparison

mse, pearson = METRICS["mse"], METRICS["pearson_delta"]
to_train_mean = METRICS["pearson_delta/train-mean"]


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def test_mse_is_that_of_scikit_learn_on_the_unmasked_genes(generator):
    p, t = generator.normal(size=(2, 4, 30))
    masked = generator.random((4, 30)) < 0.2
    ours = mse(comparison(p, t, masked=masked)).values
    theirs = [mean_squared_error(t[i][~masked[i]], p[i][~masked[i]]) for i in range(4)]
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_pearson_delta_takes_each_sides_own_controls(generator):
    p, t = generator.normal(size=(2, 4, 30))
    a, b = generator.normal(size=(2, 30))
    masked = generator.random((4, 30)) < 0.2
    ours = pearson(comparison(p, t, control=a, sealed_control=b, masked=masked)).values
    theirs = [pearsonr((p[i] - a)[~masked[i]], (t[i] - b)[~masked[i]]).statistic for i in range(4)]
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_pearson_delta_from_the_train_mean_takes_one_reference_for_both(generator):
    p, t = generator.normal(size=(2, 4, 30))
    m = generator.normal(size=30)
    ours = to_train_mean(comparison(p, t, train_mean=m)).values
    np.testing.assert_allclose(ours, [pearsonr(p[i] - m, t[i] - m).statistic for i in range(4)], rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_control_handed_back_has_no_delta_correlation(generator, dtype):
    control = generator.gamma(1.0, 1.0, 5000)
    answer = pearson(comparison(control.astype(dtype), generator.normal(size=5000), control=control))
    assert answer.values.isnan().all()
    assert answer.scorable.all()


def test_a_float32_mean_of_control_cells_has_no_delta_correlation(generator):
    cells = np.log1p(generator.poisson(0.5, (3000, 200))).astype(np.float32)
    naive = np.zeros(200, dtype=np.float32)
    for cell in cells:
        naive += cell
    answer = pearson(
        comparison(naive / np.float32(3000), np.arange(200.0), control=cells.mean(0, dtype=float))
    )
    assert answer.values.isnan().all()


def test_a_small_but_real_change_is_scored(generator):
    control, t = generator.gamma(1.0, 1.0, 500), generator.normal(size=500)
    answer = pearson(comparison((control + 1e-3 * t).astype(np.float32), control + t, control=control))
    assert answer.values.item() > 0.99


def test_a_shift_of_all_genes_is_a_constant_change(generator):
    control = generator.gamma(1.0, 1.0, 100)
    assert pearson(comparison(control + 0.5, control * 2, control=control)).values.isnan().all()


def test_a_constant_true_change_is_the_truths_fault(generator):
    control = generator.gamma(1.0, 1.0, 100)
    answer = pearson(comparison(generator.normal(size=100), control + 1.0, control=control))
    assert not answer.scorable.any()


@pytest.mark.parametrize("metric", [mse, pearson, to_train_mean], ids=lambda m: m.card.id)
def test_a_truth_part_without_cells_is_not_scorable(metric, generator):
    answer = metric(comparison(generator.normal(size=20), np.full(20, np.nan)))
    assert not answer.scorable.any()


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**16), scale=st.floats(0.01, 100), shift=st.floats(-10, 10))
def test_correlation_ignores_scale_shift_and_order_of_genes(seed, scale, shift):
    generator = np.random.default_rng(seed)
    p, t, a = generator.normal(size=(3, 25))
    order = generator.permutation(25)
    plain = pearson(comparison(p, t, control=a)).values.item()
    changed = pearson(
        comparison((a + scale * (p - a) + shift)[order], t[order], control=a[order])
    ).values.item()
    assert changed == pytest.approx(plain, abs=1e-9)
    assert -1 <= plain <= 1


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**16))
def test_the_truth_itself_reaches_the_best_value(seed):
    t = np.random.default_rng(seed).normal(size=(3, 25))
    for metric in (mse, pearson, to_train_mean):
        np.testing.assert_allclose(metric(comparison(t, t)).values, metric.card.best, atol=1e-12)
