"""Expected values over the orders of ties, against every order there is."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lanner.networks.judged import membership
from lanner.networks.ranking import area_under_roc, average_precision, precision_at
from sklearn.metrics import average_precision_score, roc_auc_score

ITEMS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), min_size=2, max_size=7)


def blocks(scores, labels):
    """Sizes and positives of the runs of equal scores, highest first."""
    levels = sorted(set(scores), reverse=True)
    n = [sum(s == level for s in scores) for level in levels]
    t = [sum(y for s, y in zip(scores, labels, strict=True) if s == level) for level in levels]
    return np.array(n, dtype=float), np.array(t, dtype=float)


def over_all_orders(scores, labels):
    """Mean of scikit-learn's average precision over all orders that agree with the scores."""
    found = [
        average_precision_score(labels, -np.argsort(order))
        for order in permutations(range(len(scores)))
        if [scores[i] for i in order] == sorted(scores, reverse=True)
    ]
    return np.mean(found)


@given(ITEMS)
@settings(max_examples=40, deadline=None)
def test_average_precision_is_the_mean_over_all_orders_of_ties(items):
    scores, labels = (list(part) for part in zip(*items, strict=True))
    if sum(labels) > 0:
        expected = over_all_orders(scores, labels)
        assert average_precision(*blocks(scores, labels)) == pytest.approx(expected, rel=1e-12)


@given(ITEMS)
@settings(max_examples=60, deadline=None)
def test_the_area_under_roc_is_scikit_learns(items):
    scores, labels = zip(*items, strict=True)
    if 0 < sum(labels) < len(labels):
        expected = roc_auc_score(labels, scores)
        assert area_under_roc(*blocks(scores, labels)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("n", [3, 40, 5000, 2_000_000])
def test_long_tied_blocks_lose_no_precision(n):
    """After 900 single pairs, a block of n with 7 positives: summed place by place."""
    singles = np.zeros(900)
    singles[::3] = 1
    i = np.arange(1, n + 1, dtype=np.float64)
    t = min(7, n)
    tail = t / n * ((singles.sum() + 1 + (i - 1) * (t - 1) / (n - 1)) / (900 + i)).sum()
    head = (np.cumsum(singles) / np.arange(1, 901))[singles > 0].sum()
    expected = (head + tail) / (singles.sum() + t)
    found = average_precision(np.append(np.ones(900), n), np.append(singles, t))
    assert found == pytest.approx(expected, rel=1e-10)


def test_a_ranking_without_ties_has_scikit_learns_average_precision():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 200)
    scores = generator.permutation(200)
    found = average_precision(*blocks(scores.tolist(), labels.tolist()))
    assert found == pytest.approx(average_precision_score(labels, scores), rel=1e-12)


def test_precision_at_k_counts_a_tied_block_in_proportion():
    assert precision_at(np.array([1.0, 4.0]), np.array([1.0, 2.0]), 3) == pytest.approx((1 + 2 * 0.5) / 3)


def test_edges_tied_at_the_cut_are_in_with_equal_probability():
    assert membership(np.array([0, 1, 1, 1, 2]), 2).tolist() == pytest.approx([1, 1 / 3, 1 / 3, 1 / 3, 0])
    assert membership(np.array([], dtype=int), 2).tolist() == []
