"""Tests on cells against SciPy, and the area under the precision-recall curve against brute force."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lanner.metrics import LABELS, METRICS
from lanner.metrics.de_labels import mann_whitney, welch
from lanner.metrics.differential_expression import davis_goadrich
from scipy.stats import false_discovery_control, mannwhitneyu, ttest_ind
from truths import comparison

auprc, zhu = METRICS["de_auprc"], METRICS["de_auprc/zhu"]


def counts(seed, n, genes=40, rate=0.8, negative=False):
    generator = np.random.default_rng(seed)
    values = generator.poisson(rate, (n, genes)).astype(np.float32)
    if negative:
        values -= (generator.random((n, genes)) < 0.2) * np.float32(2)
    values[:, 3] = 0
    return values


@pytest.mark.parametrize("transform", [np.asarray, np.log1p], ids=["counts", "log1p"])
@pytest.mark.parametrize("negative", [False, True], ids=["expression", "with negative values"])
def test_mann_whitney_is_that_of_scipy_and_u_is_exact(transform, negative):
    x, c = counts(0, 60, negative=negative), counts(1, 40, negative=negative)
    if transform is np.log1p and not negative:
        x, c = np.log1p(x), np.log1p(c)
    members = np.random.default_rng(2).random((7, 60)) < 0.5
    u, p = mann_whitney(sp.csr_matrix(x), members, sp.csr_matrix(c))
    for k in range(7):
        theirs = mannwhitneyu(x[members[k]].astype(float), c.astype(float), method="asymptotic")
        np.testing.assert_array_equal(u[k], theirs.statistic)
        expected = np.where(np.isnan(theirs.pvalue), 1.0, theirs.pvalue)
        np.testing.assert_allclose(p[k], expected, rtol=1e-11)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**16), n=st.integers(2, 30), m=st.integers(2, 30), rate=st.floats(0.05, 5))
def test_u_is_exact_whatever_the_ties(seed, n, m, rate):
    x, c = counts(seed, n, 10, rate), counts(seed + 1, m, 10, rate)
    u, _ = mann_whitney(sp.csr_matrix(x), np.ones((1, n), dtype=bool), sp.csr_matrix(c))
    brute = (x[:, None] > c[None]).sum((0, 1)) + 0.5 * (x[:, None] == c[None]).sum((0, 1))
    np.testing.assert_array_equal(u[0], brute)


def test_stored_zeros_and_absent_zeros_rank_alike():
    x, c = sp.csr_matrix(counts(0, 30)), sp.csr_matrix(counts(1, 30))
    stored = x.copy()
    stored.data[::3] = 0
    clean = stored.copy()
    clean.eliminate_zeros()
    members = np.ones((1, 30), dtype=bool)
    for one, other in zip(mann_whitney(stored, members, c), mann_whitney(clean, members, c), strict=True):
        np.testing.assert_array_equal(one, other)


def test_welch_is_that_of_scipy():
    x, c = np.log1p(counts(0, 60)), np.log1p(counts(1, 40))
    members = np.random.default_rng(2).random((5, 60)) < 0.5
    difference, p = welch(sp.csr_matrix(x), members, sp.csr_matrix(c))
    for k in range(5):
        theirs = ttest_ind(x[members[k]].astype(float), c.astype(float), equal_var=False)
        np.testing.assert_allclose(p[k], theirs.pvalue, rtol=1e-9)
        np.testing.assert_allclose(difference[k], x[members[k]].mean(0, dtype=float) - c.mean(0, dtype=float))


def test_labels_are_mann_whitney_corrected_within_the_condition():
    x, c = np.log1p(counts(0, 80, rate=1.2)), np.log1p(counts(1, 80))
    x[:, 10:] = np.log1p(counts(5, 80))[:, 10:]
    labels = LABELS["mann-whitney"](sp.csr_matrix(x), np.ones((1, 80), dtype=bool), sp.csr_matrix(c))[0]
    p = mannwhitneyu(x.astype(float), c.astype(float), method="asymptotic").pvalue
    expected = (false_discovery_control(np.nan_to_num(p, nan=1.0)) < 0.05) & (
        np.abs(x.mean(0) - c.mean(0)) > 0.1
    )
    np.testing.assert_array_equal(labels, expected)
    assert 3 < labels.sum() < 11


def test_labels_of_an_empty_part_are_all_negative():
    x, c = sp.csr_matrix(counts(0, 30)), sp.csr_matrix(counts(1, 30))
    for rule in LABELS:
        assert not LABELS[rule](x, np.zeros((1, 30), dtype=bool), c).any()


def brute_force(score, label, steps=200_000):
    """Davis-Goadrich by fine numerical integration of the interpolated precision over recall."""
    area, true, called, total = 0.0, 0.0, 0.0, label.sum()
    for value in np.unique(score)[::-1]:
        block = label[score == value]
        gained, size = block.sum(), len(block)
        if gained:
            x = (np.arange(steps) + 0.5) / steps * gained
            area += np.mean((true + x) / (called + x * size / gained)) * gained
        true, called = true + gained, called + size
    return area / total


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_the_area_is_that_of_brute_force_interpolation(levels):
    generator = np.random.default_rng(levels)
    score = generator.integers(0, levels, (4, 60)).astype(float)
    label = generator.random((4, 60)) < 0.3
    ours = davis_goadrich(torch.as_tensor(score), torch.as_tensor(label))
    np.testing.assert_allclose(
        ours, [brute_force(s, y) for s, y in zip(score, label, strict=True)], rtol=1e-6
    )


def test_one_score_for_many_labels_is_the_same_as_repeating_it():
    generator = np.random.default_rng(0)
    score, label = (
        torch.as_tensor(generator.random((1, 50))),
        torch.as_tensor(generator.random((6, 50)) < 0.3),
    )
    assert torch.equal(davis_goadrich(score, label), davis_goadrich(score.repeat(6, 1), label))


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**16), n=st.integers(2, 60))
def test_a_constant_score_gives_the_prevalence_and_a_perfect_one_gives_1(seed, n):
    label = np.random.default_rng(seed).random(n) < 0.4
    label[0], label[1] = True, False
    y = torch.as_tensor(label)[None]
    assert davis_goadrich(torch.zeros(1, n).double(), y).item() == pytest.approx(label.mean(), abs=1e-12)
    assert davis_goadrich(y.double(), y).item() == pytest.approx(1.0, abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**16))
def test_the_order_of_genes_does_not_matter_even_with_ties(seed):
    generator = np.random.default_rng(seed)
    score, label = generator.integers(0, 4, 30).astype(float), generator.random(30) < 0.4
    label[0] = True
    order = generator.permutation(30)
    plain = davis_goadrich(torch.as_tensor(score)[None], torch.as_tensor(label)[None])
    moved = davis_goadrich(torch.as_tensor(score[order])[None], torch.as_tensor(label[order])[None])
    assert moved.item() == pytest.approx(plain.item(), abs=1e-12)


def test_no_change_read_back_from_float32_scores_the_prevalence():
    generator = np.random.default_rng(0)
    control = generator.gamma(1.0, 1.0, 500)
    labels = control > np.quantile(control, 0.9)  # rounding errors are largest in these genes
    values = auprc(comparison(control.astype(np.float32), control, control=control, labels=labels)).values
    assert values.item() == pytest.approx(0.1)


def test_masked_genes_are_neither_positives_nor_negatives():
    generator = np.random.default_rng(0)
    p, labels = generator.random(100), generator.random(100) < 0.3
    masked = generator.random(100) < 0.2
    whole = auprc(comparison(p, p, labels=labels, masked=masked))
    alone = auprc(comparison(p[~masked], p[~masked], labels=labels[~masked]))
    assert whole.values.item() == pytest.approx(alone.values.item(), abs=1e-12)
    assert whole.chance.item() == pytest.approx(labels[~masked].mean())


@pytest.mark.parametrize(
    ("positives", "n_cells", "default", "by_zhu"),
    [
        (10, 20, True, True),
        (9, 20, False, True),
        (0, 20, False, False),
        (10, 19, False, False),
        (60, 99, False, False),
    ],
)
def test_what_labels_must_be_like(positives, n_cells, default, by_zhu):
    labels = np.arange(60) < positives
    arrays = comparison(np.arange(60.0), np.arange(60.0), labels=labels, n_cells=n_cells)
    assert auprc(arrays).scorable.item() is default
    assert zhu(arrays).scorable.item() is by_zhu
