"""The parts that several peers' metrics share, against libraries and against what they must satisfy."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from lanner.compat.changed_genes import strongest
from lanner.compat.explained import r2_score
from lanner.compat.own_ranks import mid_rank_of_own
from lanner.compat.precision_recall import davis_goadrich, precision_at_recall, trapezoid
from lanner.compat.t_statistics import moderated, overestimated, welch
from lanner.metrics.differential_expression import davis_goadrich as own_area
from scipy import stats
from scipy.integrate import quad
from sklearn.metrics import average_precision_score, precision_recall_curve
from sklearn.metrics import r2_score as sklearn_r2

Array = np.ndarray[Any, Any]
FEW_VALUES = st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0])
NUMBERS = st.floats(-50, 50, allow_subnormal=False)


def labelled(n: int = 12) -> st.SearchStrategy[tuple[Array, Array]]:
    return st.tuples(arrays(bool, n), arrays(np.float64, n, elements=FEW_VALUES))


@settings(deadline=None)
@given(labelled())
def test_the_trapezoid_is_that_of_scikit_learns_curve(drawn: tuple[Array, Array]) -> None:
    labels, scores = drawn
    if not labels.any():
        assert np.isnan(trapezoid(labels, scores))
        return
    precision, recall, _ = precision_recall_curve(labels, scores)
    assert trapezoid(labels, scores) == pytest.approx(-np.trapezoid(precision, recall), abs=1e-12)


@settings(deadline=None)
@given(labelled())
def test_davis_and_goadrichs_area_lies_between_prevalence_of_the_last_block_and_one(
    drawn: tuple[Array, Array],
) -> None:
    labels, scores = drawn
    if not labels.any():
        assert np.isnan(davis_goadrich(labels, scores))
        return
    area = davis_goadrich(labels, scores)
    assert 0 < area <= 1 + 1e-12
    if len(set(scores)) == 1:
        assert area == pytest.approx(labels.mean())
    assert precision_at_recall(labels, scores, 1.0) >= labels.mean() - 1e-12


@settings(deadline=None)
@given(st.permutations(range(12)), arrays(bool, 12).filter(lambda labels: labels.any()))
def test_without_ties_each_positive_adds_the_mean_precision_on_the_way_to_it(
    order: list[int], labels: Array
) -> None:
    scores = np.array(order, dtype=np.float64)
    ranked = labels[np.argsort(-scores)]

    def precision(t: float, before: int, called: int) -> float:
        return (before + t) / (called + t) if called + t else 1.0

    added = [quad(precision, 0, 1, args=(ranked[:i].sum(), i))[0] for i in np.flatnonzero(ranked)]
    assert davis_goadrich(labels, scores) == pytest.approx(sum(added) / labels.sum(), abs=1e-6)
    assert davis_goadrich(labels, scores) <= average_precision_score(labels, scores) + 1e-9


@settings(deadline=None)
@given(labelled())
def test_the_area_is_that_of_lanners_own_metric(drawn: tuple[Array, Array]) -> None:
    labels, scores = drawn
    if labels.any():
        own = own_area(torch.from_numpy(scores)[None], torch.from_numpy(labels)[None])
        assert davis_goadrich(labels, scores) == pytest.approx(float(own[0]), abs=1e-12)


@settings(deadline=None)
@given(labelled(), st.floats(0.01, 1.0))
def test_precision_at_a_recall_is_what_the_calls_up_to_there_give(
    drawn: tuple[Array, Array], recall: float
) -> None:
    labels, scores = drawn
    if labels.any():
        found = precision_at_recall(labels, scores, recall)
        assert 0 < found <= 1 + 1e-12


@settings(deadline=None)
@given(arrays(np.float64, (3, 6), elements=NUMBERS), arrays(np.float64, (3, 6), elements=NUMBERS))
def test_explained_variance_is_scikit_learns(truth: Array, prediction: Array) -> None:
    truth[2] = truth[2, 0]
    with np.errstate(over="ignore"):  # by a spread that is all but 0
        wanted = [sklearn_r2(t, p) for t, p in zip(truth, prediction, strict=True)]
        found = r2_score(truth, prediction)
    spread = ((truth - truth.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    sound = (spread == 0) | (spread > 1e-6)
    np.testing.assert_allclose(found[sound], np.array(wanted)[sound], rtol=1e-6)


def test_weights_count_in_both_sums_as_in_scikit_learn() -> None:
    truth, prediction, weights = np.random.default_rng(0).random((3, 5, 30))
    wanted = [sklearn_r2(t, p, sample_weight=w) for t, p, w in zip(truth, prediction, weights, strict=True)]
    np.testing.assert_allclose(r2_score(truth, prediction, weights), wanted, rtol=1e-10)


@settings(max_examples=30, deadline=None)
@given(arrays(np.float64, (5, 5), elements=FEW_VALUES), st.integers(0, 2**31))
def test_a_middle_rank_is_the_mean_place_in_a_shuffled_order(distances: Array, seed: int) -> None:
    generator, places = np.random.default_rng(seed), np.zeros(5)
    repeats = 400
    for _ in range(repeats):
        shuffled = generator.permutation(5)
        for i in range(5):
            order = shuffled[np.argsort(distances[i, shuffled], kind="stable")]
            places[i] += int(np.flatnonzero(order == i)[0])
    np.testing.assert_allclose(mid_rank_of_own(distances), places / repeats, atol=0.5)


def test_a_distance_that_is_not_a_number_comes_last() -> None:
    distances = np.array([[np.nan, 1.0, 2.0], [3.0, 1.0, np.nan], [np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(mid_rank_of_own(distances), [2.0, 0.0, 1.0])


@settings(deadline=None)
@given(arrays(np.float64, (2, 7), elements=FEW_VALUES), st.permutations(range(7)))
def test_the_strongest_genes_are_the_same_in_any_order_of_columns(values: Array, order: list[int]) -> None:
    genes = tuple("gabfdce")
    named = [[genes[g] for g in row] for row in strongest(genes, values)]
    moved = tuple(genes[i] for i in order)
    assert [[moved[g] for g in row] for row in strongest(moved, values[:, order])] == named


def test_welch_is_scipys_and_nothing_is_found_where_nothing_varies() -> None:
    generator = np.random.default_rng(1)
    x, y = generator.poisson(1.0, (20, 8)).astype(float), generator.poisson(2.0, (31, 8)).astype(float)
    x[:, 0] = y[:, 0] = 3.0
    t, p = welch(x.mean(0), x.var(0, ddof=1), np.array(20), y.mean(0), y.var(0, ddof=1), 31)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = stats.ttest_ind(x, y, equal_var=False)
    assert (t[0], p[0]) == (0.0, 1.0)
    np.testing.assert_allclose(t[1:], wanted.statistic[1:])
    np.testing.assert_allclose(p[1:], wanted.pvalue[1:])
    larger, _ = overestimated(x.mean(0), x.var(0, ddof=1), np.array(20), y.mean(0), y.var(0, ddof=1))
    assert (np.abs(larger[1:]) <= np.abs(t[1:])).all()


def test_moderated_t_recovers_the_prior_that_variances_were_drawn_from() -> None:
    generator = np.random.default_rng(2)
    n, d0, s0, genes = 6, 8.0, 0.5, 20_000
    sigma = np.sqrt(d0 * s0**2 / generator.chisquare(d0, genes))
    x, y = generator.normal(0, sigma, (2, n, genes))
    p = moderated(x.mean(0), x.var(0, ddof=1), n, y.mean(0), y.var(0, ddof=1), n)
    # Without effects p is uniform only if scale and degrees of freedom of the prior are the true ones.
    assert stats.kstest(p, "uniform").pvalue > 0.01
    plain = stats.ttest_ind(x, y).pvalue
    assert (p < 1e-3).mean() == pytest.approx(1e-3, abs=8e-4)
    assert not np.allclose(p, plain, rtol=1e-2)


def test_equal_true_variances_are_pooled_over_all_genes() -> None:
    generator = np.random.default_rng(3)
    x, y = generator.normal(0, 1.0, (2, 5, 4000))
    p = moderated(x.mean(0), x.var(0, ddof=1), 5, y.mean(0), y.var(0, ddof=1), 5)
    z = stats.norm.sf(np.abs(x.mean(0) - y.mean(0)) / np.sqrt(2 / 5)) * 2
    np.testing.assert_allclose(np.log(p), np.log(z), rtol=0.15, atol=0.05)
