"""Bounds and the cells that are drawn for them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from lanner.bounds import BOUNDS, control_pool
from lanner.errors import ConfigurationError
from lanner.residual import MODELS, draw_cells
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
