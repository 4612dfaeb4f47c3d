"""Wasserstein-2 distance against SciPy in one dimension and against all permutations in more."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lanner.metrics import METRICS, transport
from lanner.metrics.transport import assignment
from scipy.spatial.distance import cdist
from test_metrics_distributions import population

sinkhorn_w2 = METRICS["sinkhorn_w2"]


def identity(n_genes):
    return np.zeros(n_genes), np.eye(n_genes)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**16), n=st.integers(1, 6))
def test_an_assignment_is_the_best_of_all_permutations(seed, n):
    x, y = np.random.default_rng(seed).normal(size=(2, n, 3))
    cost = cdist(x, y, "sqeuclidean")
    best = min(cost[np.arange(n), list(order)].mean() for order in permutations(range(n)))
    assert assignment(cost) == pytest.approx(np.sqrt(best))
    assert assignment(cost) == pytest.approx(assignment(cost.T))


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**16))
def test_in_one_dimension_it_matches_order_statistics_and_a_shift_is_seen_exactly(seed):
    x, y = np.random.default_rng(seed).normal(size=(2, 30, 1))
    expected = np.sqrt(np.mean((np.sort(x[:, 0]) - np.sort(y[:, 0])) ** 2))
    assert sinkhorn_w2(population(x, y, pca=identity(1))).values.item() == pytest.approx(expected)
    wide = np.random.default_rng(seed).normal(size=(30, 4))
    shifted = sinkhorn_w2(population(wide, wide[::-1] + 2.0, pca=identity(4))).values.item()
    assert shifted == pytest.approx(4.0)


def test_more_cells_than_are_matched_are_cut_alike_each_time(monkeypatch):
    x, y = np.random.default_rng(0).normal(size=(2, 60, 3))
    monkeypatch.setattr(transport, "MAX_CELLS", 25)
    first, second = (sinkhorn_w2(population(x, y, pca=identity(3))).values.item() for _ in range(2))
    assert first == second > 0


def test_fewer_than_20_cells_are_not_scorable():
    x, y = np.random.default_rng(0).normal(size=(2, 19, 3))
    answer = sinkhorn_w2(population(x, y, pca=identity(3)))
    assert answer.values.isnan().all() and not answer.scorable.any()
