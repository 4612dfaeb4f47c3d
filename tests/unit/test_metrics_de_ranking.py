"""Readings of a ranking of genes against scikit-learn, SciPy and loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lanner.metrics import METRICS
from lanner.metrics.de_ranking import average_precision, precision_at
from lanner.metrics.differential_expression import adjusted
from scipy.stats import false_discovery_control
from sklearn.metrics import average_precision_score
from truths import comparison


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**16), levels=st.integers(1, 50))
def test_average_precision_is_that_of_scikit_learn_with_any_ties(seed, levels):
    generator = np.random.default_rng(seed)
    score, label = generator.integers(0, levels, (3, 40)).astype(float), generator.random((3, 40)) < 0.4
    label[:, 0] = True
    ours = average_precision(torch.as_tensor(score), torch.as_tensor(label))
    theirs = [average_precision_score(y, s) for s, y in zip(score, label, strict=True)]
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def slow_precision(score, label, recall):
    """Walk down the ranking; within tied genes positives and negatives come in proportion."""
    wanted, true, false = recall * label.sum(), 0.0, 0.0
    for value in np.unique(score)[::-1]:
        gained, lost = label[score == value].sum(), (~label[score == value]).sum()
        if true + gained >= wanted:
            return wanted / (wanted + false + lost * (wanted - true) / gained)
        true, false = true + gained, false + lost
    raise AssertionError


@pytest.mark.parametrize("levels", [1, 3, 1000])
@pytest.mark.parametrize("recall", [0.25, 0.5, 0.75])
def test_precision_at_recall_is_read_off_the_interpolated_curve(levels, recall):
    generator = np.random.default_rng(levels)
    score, label = generator.integers(0, levels, (5, 60)).astype(float), generator.random((5, 60)) < 0.3
    ours = precision_at(torch.as_tensor(score), torch.as_tensor(label), recall)
    theirs = [slow_precision(s, y, recall) for s, y in zip(score, label, strict=True)]
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_one_score_for_many_labels_is_the_same_as_repeating_it():
    generator = np.random.default_rng(0)
    score, label = (
        torch.as_tensor(generator.random((1, 50))),
        torch.as_tensor(generator.random((6, 50)) < 0.3),
    )
    for read in (average_precision, lambda s, y: precision_at(s, y, 0.5)):
        assert torch.equal(read(score, label), read(score.repeat(6, 1), label))


RANKED = ["de_auprc/normalised", "de_ap", *(f"de_precision/recall{r}" for r in (25, 50, 75))]


@pytest.mark.parametrize("name", RANKED)
def test_a_constant_prediction_is_at_chance_and_masked_genes_do_not_count(name):
    generator = np.random.default_rng(0)
    labels, masked, a = generator.random(200) < 0.3, generator.random(200) < 0.2, generator.random(200)
    answer = METRICS[name](comparison(a, a, control=a, labels=labels, masked=masked))
    prevalence = labels[~masked].mean()
    expected = 0.0 if name.endswith("normalised") else prevalence
    assert answer.values.item() == pytest.approx(expected, abs=1e-12)
    perfect = comparison(a + labels, a, control=a, labels=labels, masked=masked)
    assert METRICS[name](perfect).values.item() == pytest.approx(1.0)
    assert METRICS["de_prevalence"](perfect).values.item() == pytest.approx(prevalence)


def test_direction_counts_signs_and_no_change_as_half():
    t = np.r_[np.ones(10), -np.ones(10), np.zeros(80)]
    labels = np.arange(100) < 20
    p = np.r_[np.ones(5), np.zeros(5), -np.ones(5), np.ones(5), np.ones(80)]
    direction = METRICS["direction"]
    assert direction(comparison(p, t, labels=labels)).values.item() == pytest.approx((10 + 2.5) / 20)
    control = np.random.default_rng(0).gamma(1.0, 1.0, 100)
    handed_back = comparison(control.astype(np.float32), control + t, control=control, labels=labels)
    assert direction(handed_back).values.item() == 0.5
    assert not direction(comparison(p, t, labels=labels & (np.arange(100) < 9))).scorable.any()


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**16), n=st.integers(1, 40))
def test_adjusted_p_values_are_those_of_scipy_on_the_tests_that_are_made(seed, n):
    generator = np.random.default_rng(seed)
    p = generator.random((2, n)) ** 3
    made = generator.random((2, n)) < 0.8
    hidden = np.where(made, p, np.inf)
    ours = adjusted(torch.as_tensor(hidden), torch.as_tensor(made.sum(axis=1, keepdims=True))).numpy()
    for i in range(2):
        if made[i].any():
            theirs = false_discovery_control(p[i][made[i]])
            np.testing.assert_allclose(np.minimum(ours[i][made[i]], 1), theirs, rtol=1e-12)
