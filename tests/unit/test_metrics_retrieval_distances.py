"""Retrieval by L1 and L2, from the truth, and among train centroids, against loops over pairs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lanner.metrics import METRICS, Comparison
from lanner.scoring import score
from truths import comparison, predict, simulate


def case(seed=0, n=8, seen=6):
    generator = np.random.default_rng(seed)
    p, t = generator.normal(size=(2, n, 20))
    train = generator.normal(size=(seen, 20))
    masked, targets = generator.random((n, 20)) < 0.1, generator.random((seen, 20)) < 0.1
    return p, t, generator.normal(size=20), masked, train, targets


def with_train(arrays, train, targets):
    candidates = torch.as_tensor(train), torch.as_tensor(targets)
    return Comparison(**{**vars(arrays), "train_candidates": lambda: candidates})


def slow(own_profile, own_candidates, others, distance):
    """Mid-rank of candidate i for profile i; ``others``: (i) -> iterable of (rival, genes to keep)."""
    values = []
    for i, profile in enumerate(own_profile):
        ahead, n = 0.0, 0
        for rival, keep in others(i):
            own, other = (distance(profile[keep], x[keep]) for x in (own_candidates[i], rival))
            ahead, n = ahead + (other < own) + 0.5 * (other == own), n + 1
        values.append(1 - ahead / n)
    return values


DISTANCES = {
    "pds_l1": lambda x, y: np.abs(x - y).sum(),
    "pds_l2": lambda x, y: ((x - y) ** 2).sum(),
    "centroid_accuracy": lambda x, y: ((x - y) ** 2).sum(),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", list(DISTANCES))
def test_ranks_are_those_of_loops_over_pairs(name, seed):
    p, t, m, masked, train, targets = case(seed)

    def others(i):
        for j in range(len(t)):
            if j != i:
                yield t[j], ~(masked[i] | masked[j])
        for j in range(len(train) if name == "centroid_accuracy" else 0):
            yield train[j], ~(masked[i] | targets[j])

    arrays = with_train(comparison(p, t, train_mean=m, masked=masked), train, targets)
    np.testing.assert_allclose(METRICS[name](arrays).values, slow(p, t, others, DISTANCES[name]), atol=1e-12)


def test_retrieval_transpose_ranks_predictions_seen_from_the_truth():
    p, t, m, masked, *_ = case()

    def cosine(x, y):
        return -(x @ y) / np.linalg.norm(x) / np.linalg.norm(y)

    def others(i):
        for j in range(len(p)):
            if j != i:
                yield p[j] - m, ~(masked[i] | masked[j])

    ours = METRICS["retrieval_transpose"](comparison(p, t, train_mean=m, masked=masked)).values
    np.testing.assert_allclose(ours, slow(t - m, p - m, others, cosine), atol=1e-12)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**16), n=st.integers(5, 12))
def test_one_prediction_for_all_conditions_is_at_chance(seed, n):
    p, t, m, masked, *_ = case(seed, n)
    arrays = comparison(np.tile(p[0], (n, 1)), t, train_mean=m, masked=masked)
    for name in ("pds_l1", "pds_l2"):
        assert METRICS[name](arrays).values.mean().item() == pytest.approx(0.5, abs=1e-12)
    arrays = comparison(np.tile(p[0], (n, 1)), t, train_mean=m)
    np.testing.assert_array_equal(METRICS["retrieval_transpose"](arrays).values, 0.5)


def test_equal_candidates_tie_by_either_distance():
    p, t, m, *_ = case()
    t = np.tile(t[0], (8, 1))
    for name in ("pds_l1", "pds_l2"):
        np.testing.assert_array_equal(METRICS[name](comparison(p, t, train_mean=m)).values, 0.5)


@pytest.mark.parametrize("name", ["pds_l1", "pds_l2", "retrieval_transpose"])
def test_fewer_than_five_candidates_are_not_scorable(name):
    p, t, *_ = case(n=4)
    assert not METRICS[name](comparison(p, t)).scorable.any()


def test_train_centroids_count_as_candidates():
    p, t, _, _, train, targets = case(n=2)
    assert METRICS["centroid_accuracy"](with_train(comparison(p, t), train, targets)).scorable.all()
    assert not METRICS["centroid_accuracy"](
        with_train(comparison(p, t), train[:2], targets[:2])
    ).scorable.any()


def test_shrinking_a_prediction_costs_by_l2_and_not_by_cosine():
    generator = np.random.default_rng(0)
    t = generator.normal(size=(30, 100))
    p = t + 3 * generator.normal(size=t.shape)
    full, shrunk = comparison(p, t), comparison(0.05 * p, t)
    assert METRICS["pds_cosine"](full).values.mean() == METRICS["pds_cosine"](shrunk).values.mean()
    assert METRICS["pds_l2"](shrunk).values.mean() < METRICS["pds_l2"](full).values.mean() - 0.05


def test_not_answering_does_not_make_the_answered_easier_to_retrieve(tmp_path):
    """An unanswered row holds zeros, which would be the farthest of all candidates."""
    truth = simulate(n_conditions=6)
    guess = np.random.default_rng(0).gamma(1.0, 1.0, truth.full.shape)
    answered = np.arange(6) < 3
    stand_in = np.where(answered[:, None], guess, truth.train_mean[0])
    one = score(
        truth,
        predict(tmp_path, np.where(answered[:, None], guess, 0), answered=answered),
        ["retrieval_transpose"],
    )
    other = score(truth, predict(tmp_path, stand_in), ["retrieval_transpose"])
    kept = one["status"] == "scored"
    np.testing.assert_allclose(one[kept]["value"], other[kept]["value"])
    assert set(one["status"]) == {"scored", "unanswered"}


@pytest.mark.parametrize("name", ["pds_l1", "pds_l2", "pds_cosine"])
def test_a_common_mask_ranks_on_the_genes_that_are_nobodys_target(name):
    generator = np.random.default_rng(0)
    p, t = generator.normal(size=(2, 6, 80))
    masked = np.eye(6, 80, dtype=bool)
    free = ~masked.any(axis=0)
    ours = METRICS[f"{name}/common-mask"](comparison(p, t, masked=masked)).values
    plain = METRICS[name](comparison(p[:, free], t[:, free])).values
    np.testing.assert_allclose(ours, plain, atol=1e-12)
    np.testing.assert_allclose(
        METRICS[f"{name}/common-mask"](comparison(p, t)).values, METRICS[name](comparison(p, t)).values
    )


@pytest.mark.parametrize("name", ["pds_l1", "pds_l2", "pds_cosine"])
def test_a_common_mask_of_more_than_a_tenth_of_the_genes_is_refused(name):
    generator = np.random.default_rng(0)
    p, t = generator.normal(size=(2, 6, 50))
    answer = METRICS[f"{name}/common-mask"](comparison(p, t, masked=np.eye(6, 50, dtype=bool)))
    assert not answer.scorable.any() and "more than 10 %" in answer.unscorable
    narrow = METRICS[f"{name}/common-mask"](
        comparison(p, t, masked=np.eye(6, 50, dtype=bool) & (np.arange(50) < 5))
    )
    assert narrow.scorable.all()
