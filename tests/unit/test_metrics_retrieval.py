"""PDS against a slow reference that masks every pair of conditions by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lanner.metrics import METRICS
from truths import comparison

pds = METRICS["pds_cosine"]


def slow(p, t, m, masked):
    """For each i: rank of its own truth by cosine distance, each rival judged on genes neither targets."""
    n, values = len(t), []
    for i in range(n):
        ahead = 0.0
        for j in range(n):
            if j == i:
                continue
            keep = ~(masked[i] | masked[j])

            def distance(x, y, keep=keep):
                x, y = (x - m)[keep], (y - m)[keep]
                return 1 - x @ y / (np.linalg.norm(x) * np.linalg.norm(y))

            own, other = distance(p[i], t[i]), distance(p[i], t[j])
            ahead += 1.0 if other < own - 1e-12 else 0.5 if abs(other - own) <= 1e-12 else 0.0
        values.append(1 - ahead / (n - 1))
    return values


@pytest.mark.parametrize("seed", range(5))
def test_it_matches_pairwise_masking_by_hand(seed):
    generator = np.random.default_rng(seed)
    p, t = generator.normal(size=(2, 8, 20))
    m = generator.normal(size=20)
    masked = generator.random((8, 20)) < 0.1
    ours = pds(comparison(p, t, train_mean=m, masked=masked)).values
    np.testing.assert_allclose(ours, slow(p, t, m, masked), atol=1e-12)


def test_the_knock_down_of_the_target_itself_earns_nothing():
    generator = np.random.default_rng(0)
    n = 30
    t = generator.normal(0, 0.05, (n, 200))
    t[np.arange(n), np.arange(n)] -= 5.0
    masked = np.zeros((n, 200), dtype=bool)
    masked[np.arange(n), np.arange(n)] = True
    p = np.zeros((n, 200))
    p[np.arange(n), np.arange(n)] = -5.0
    p += generator.normal(0, 0.05, p.shape)
    assert pds(comparison(p, t)).values.mean() > 0.99
    assert abs(pds(comparison(p, t, masked=masked)).values.mean() - 0.5) < 0.15


def test_the_reference_handed_back_ties_with_everything():
    generator = np.random.default_rng(0)
    t, m = generator.normal(size=(7, 40)), generator.normal(size=40) + 3
    handed_back = np.tile(m.astype(np.float32), (7, 1))
    np.testing.assert_array_equal(pds(comparison(handed_back, t, train_mean=m)).values, 0.5)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**16), n=st.integers(5, 12))
def test_a_constant_prediction_is_at_chance(seed, n):
    generator = np.random.default_rng(seed)
    t, p = generator.normal(size=(n, 30)), generator.normal(size=30)
    assert pds(comparison(np.tile(p, (n, 1)), t)).values.mean().item() == pytest.approx(0.5, abs=1e-12)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**16), scale=st.floats(1e-2, 1e2))
def test_order_of_conditions_and_genes_and_scale_do_not_matter(seed, scale):
    generator = np.random.default_rng(seed)
    p, t = generator.normal(size=(2, 6, 20))
    masked = generator.random((6, 20)) < 0.1
    rows, genes = generator.permutation(6), generator.permutation(20)
    plain = pds(comparison(p, t, masked=masked)).values.numpy()
    moved = pds(comparison(scale * p[rows][:, genes], t[rows][:, genes], masked=masked[rows][:, genes]))
    np.testing.assert_allclose(moved.values, plain[rows], atol=1e-12)


def test_the_truth_itself_ranks_first():
    t = np.random.default_rng(0).normal(size=(9, 30))
    np.testing.assert_array_equal(pds(comparison(t, t)).values, 1.0)


def test_fewer_than_five_candidates_are_not_scorable():
    t = np.random.default_rng(0).normal(size=(5, 30))
    assert pds(comparison(t, t)).scorable.all()
    assert not pds(comparison(t[:4], t[:4])).scorable.any()
    t[4] = np.nan  # a part without cells is no candidate
    assert not pds(comparison(np.nan_to_num(t), t)).scorable.any()


def test_a_true_change_of_zero_is_not_scorable():
    t = np.random.default_rng(0).normal(size=(6, 30))
    t[2] = 0.0
    assert pds(comparison(t, t)).scorable.tolist() == [True, True, False, True, True, True]
