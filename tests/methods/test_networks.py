"""latent-additive and decoder-only: what holds of a network however well it was trained."""

from __future__ import annotations

import numpy as np
import pytest
from by_hand import TWO_LINES

pytestmark = pytest.mark.slow

FEW = {"steps": 60}


@pytest.mark.parametrize(
    ("method", "parameters"),
    [("latent-additive", FEW), ("decoder-only", FEW), ("decoder-only", {**FEW, "perturbation": True})],
)
def test_a_network_gives_the_same_bytes_for_the_same_seed(method, parameters, stage, predict):
    staged = stage(TWO_LINES, [("A+B", "K562"), ("B", "RPE1")], parameters=parameters)
    first = predict(method, staged, seed=5)
    assert first.answered == [True, True]
    np.testing.assert_array_equal(predict(method, staged, seed=5).rows, first.rows)
    assert not np.array_equal(predict(method, staged, seed=6).rows, first.rows)


@pytest.mark.parametrize("method", ["latent-additive", "decoder-only"])
def test_an_unseen_target_is_unanswered_and_if_all_are_it_is_not_applicable(method, stage, predict):
    parameters = {**FEW, **({"perturbation": True} if method == "decoder-only" else {})}
    result = predict(method, stage(TWO_LINES, [("A+D", "K562"), ("B", "RPE1")], parameters=parameters))
    assert result.answered == [False, True]
    assert not result.rows[0].any()
    assert result.stderr.startswith("unanswered: A+D: ")


@pytest.mark.parametrize("method", ["latent-additive"])
def test_it_is_not_applicable_where_no_target_was_seen(method, stage, predict):
    result = predict(method, stage(TWO_LINES, [("D", "K562")]))
    assert (result.code, result.prediction) == (99, None)
    assert result.stderr.count("\n") == 1


def test_the_decoder_that_is_told_nothing_finds_the_mean_perturbed_cell_of_each_context(stage, predict):
    staged = stage(TWO_LINES, [("A", "K562"), ("D", "K562"), ("B", "RPE1")], parameters={"steps": 1500})
    rows = predict("decoder-only", staged).rows
    np.testing.assert_array_equal(rows[0], rows[1])
    perturbed = (staged.obs["perturbation"] != "control").to_numpy()
    for row, line in ((0, "K562"), (2, "RPE1")):
        here = perturbed & (staged.obs["line"] == line).to_numpy()
        np.testing.assert_allclose(rows[row], staged.X[here].mean(axis=0), atol=0.02)


def test_a_latent_additive_network_learns_what_a_perturbation_does(stage, predict):
    staged = stage(TWO_LINES, [("A", "K562"), ("B", "K562"), ("A", "RPE1")], parameters={"steps": 1500})
    rows = predict("latent-additive", staged).rows
    for row, (perturbation, line) in enumerate([("A", "K562"), ("B", "K562"), ("A", "RPE1")]):
        error = np.linalg.norm(rows[row] - staged.mean(perturbation, line))
        assert error < 0.5 * np.linalg.norm(staged.delta(perturbation, line))
