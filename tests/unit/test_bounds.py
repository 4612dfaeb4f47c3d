"""Bounds and the cells that are drawn for them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from lanner.bounds import BOUNDS, control_pool
from lanner.errors import ConfigurationError
from lanner.residual import MODELS, draw_cells
from lanner.scoring.parts import ConditionParts
from scipy.stats import false_discovery_control, ttest_ind_from_stats
from truths import mean, simulate


@pytest.fixture(scope="module")
def truth():
    return simulate(n_conditions=3, n_contexts=2)


def test_there_is_one_anchor_and_it_is_positive():
    anchors = [name for name in BOUNDS if BOUNDS[name].anchors]
    assert anchors == ["technical-duplicate"]
    assert BOUNDS[anchors[0]].kind == "positive"
    assert {name for name in BOUNDS if BOUNDS[name].kind == "negative"} == {
        "no-change",
        "shuffled-cells",
        "train-mean",
        "train-mean-cells",
    }


@pytest.mark.parametrize("name", ["no-change", "train-mean", "train-mean-cells"])
def test_a_negative_bound_uses_what_its_context_is_staged(truth, name):
    profiles = {
        "no-change": truth.control_a,
        "train-mean": truth.train_mean,
        "train-mean-cells": truth.train_mean_cells,
    }
    for i, k in enumerate(truth.context_of):
        members = np.ones((1, truth.cells(i).shape[0]), dtype=bool)
        np.testing.assert_array_equal(BOUNDS[name].centroid(truth, i, members), profiles[name][k][None])


def test_no_change_cells_are_staged_controls_as_they_are(truth):
    members = np.ones((1, 60), dtype=bool)
    pool = BOUNDS["no-change"].pool(truth, 0, members)
    np.testing.assert_array_equal(pool.cells, truth.control_cells(0, "a").toarray())


def test_the_duplicate_of_the_full_truth_does_not_exist(truth):
    members = np.ones((1, 60), dtype=bool)
    assert BOUNDS["technical-duplicate"].centroid(truth, 0, members) is None
    assert BOUNDS["technical-duplicate"].pool(truth, 0, members) is None


def test_shuffled_cells_are_means_of_train_cells_drawn_anew_for_each_part(truth):
    members = ConditionParts(truth, 0).members
    means = BOUNDS["shuffled-cells"].centroid(truth, 0, members)
    cells = truth.train_cells(0).toarray().astype(float)
    assert len(np.unique(means, axis=0)) == len(members) == 41
    # Means of as many cells as the part has, without replacement: their spread says so.
    n, total = members[0].sum(), len(cells)
    expected = cells.var(axis=0, ddof=1) / n * (1 - n / total)
    assert means[:40].var(axis=0).sum() == pytest.approx(expected.sum(), rel=0.4)
    np.testing.assert_allclose(means[:40].mean(axis=0), cells.mean(axis=0), atol=0.15)
    some = BOUNDS["shuffled-cells"].centroid(truth, 0, members[7:9])
    np.testing.assert_array_equal(some, means[7:9])


def test_the_pool_of_shuffled_cells_holds_train_cells_and_no_controls(truth):
    pool = BOUNDS["shuffled-cells"].pool(truth, 0, np.ones((1, 60), dtype=bool))
    assert pool.cells.shape[0] == 60 and not pool.is_truth
    train = {row.tobytes() for row in truth.train_cells(0).toarray()}
    assert {row.tobytes() for row in pool.cells.toarray()} <= train


def test_the_interpolated_duplicate_trusts_genes_by_their_adjusted_p_value():
    truth = simulate(n_conditions=6, n_contexts=2)
    for i in (0, 7):
        members = ConditionParts(truth, i).members
        ours = BOUNDS["interpolated-duplicate"].centroid(truth, i, members)
        mean, variance = truth.others(i)
        cells = truth.cells(i).toarray().astype(float)
        for row in (0, 1, 39):
            own = cells[~members[row]]
            n = len(own)
            _, p = ttest_ind_from_stats(
                own.mean(0), own.std(0, ddof=1), n, mean, np.sqrt(variance), n, equal_var=False
            )
            trust = 1 - false_discovery_control(np.nan_to_num(p, nan=1.0))
            expected = trust * own.mean(0) + (1 - trust) * truth.train_mean[truth.context_of[i]]
            np.testing.assert_allclose(ours[row], expected, rtol=1e-9)
        assert np.isnan(ours[40]).all()  # no cell is outside the full truth
        assert BOUNDS["interpolated-duplicate"].pool(truth, i, members) is None


def test_the_interpolated_duplicate_needs_five_other_train_perturbations(truth):
    members = ConditionParts(truth, 0).members
    assert truth.others(0) is None
    assert BOUNDS["interpolated-duplicate"].centroid(truth, 0, members) is None


def test_controls_are_drawn_without_replacement_by_a_seed_of_their_own(truth):
    a, again = (control_pool(truth, 0, truth.control_a[0], "shift", 25).cells for _ in range(2))
    other = control_pool(truth, 1, truth.control_a[0], "shift", 25).cells
    assert a.shape[0] == 25
    assert len(np.unique(a, axis=0)) == len(np.unique(truth.control_cells(0, "a").toarray(), axis=0)[:25])
    np.testing.assert_array_equal(a, again)
    assert not np.array_equal(a, other)


def test_shift_moves_the_mean_and_clips_expression_at_zero(truth):
    controls, control = truth.control_cells(0, "a"), truth.control_a[0]
    up = draw_cells("shift", control + 0.5, controls, control, scale="log1p-cp10k")
    np.testing.assert_allclose(up.mean(axis=0), control + 0.5, atol=1e-6)
    down = draw_cells("shift", control - 0.5, controls, control, scale="log1p-cp10k")
    assert down.min() == 0
    unclipped = draw_cells("shift", control - 0.5, controls, control, scale="lfc")
    np.testing.assert_allclose(unclipped.mean(axis=0), control - 0.5, atol=1e-6)


def test_zero_preserving_scale_reaches_the_mean_and_keeps_every_zero(truth):
    controls, control = truth.control_cells(0, "a"), truth.control_a[0]
    profile = control * np.linspace(0.1, 3, len(control))
    cells = draw_cells("zero-preserving-scale", profile, controls, control, scale="log1p-cp10k")
    np.testing.assert_allclose(mean(cells), profile, atol=1e-6)
    np.testing.assert_array_equal(cells.toarray() == 0, controls.toarray() == 0)


def test_a_gene_that_controls_do_not_express_stays_silent():
    controls = sp.csr_matrix(np.array([[1.0, 0.0], [3.0, 0.0]]))
    cells = draw_cells(
        "zero-preserving-scale", np.array([4.0, 2.0]), controls, np.array([2.0, 0.0]), scale="x"
    )
    np.testing.assert_array_equal(cells.toarray(), [[2.0, 0.0], [6.0, 0.0]])


def test_an_unknown_residual_model_is_an_error_that_names_the_known_ones(truth):
    with pytest.raises(ConfigurationError, match=MODELS[1]):
        draw_cells("gaussian", truth.control_a[0], truth.control_cells(0, "a"), truth.control_a[0], scale="x")
