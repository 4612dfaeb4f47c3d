"""Deviation from additivity against NumPy and SciPy, on a truth of doubles."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from lanner.metrics import METRICS
from lanner.metrics.interaction_classes import CLASSES, interaction_class
from lanner.scoring import score
from lanner.scoring.parts import ConditionParts
from scipy.stats import false_discovery_control, norm, pearsonr
from sklearn.metrics import average_precision_score
from truths import mean, predict, simulate

NAMES = ["gi/correlation", "gi/auprc"]
SIGNED = ["gi/auprc/positive", "gi/auprc/negative", *(f"gi/auprc/{name}" for name in CLASSES), "gi/class"]


@pytest.fixture(scope="module")
def truth():
    return simulate(n_conditions=4, n_genes=250, n_cells=80, strength=1.5, doubles=True)


def singles(truth, i):
    cells = {condition.perturbation: cells for condition, cells in truth._train.items()}
    return [cells[name] for name in truth.requests[i].condition.perturbation.split("+")]


def values(frame, name, variant="@all-cells"):
    return frame[(frame["metric"] == name) & (frame["variant"] == variant)]["value"].to_numpy()


def test_correlation_is_of_the_deviations_from_the_sum_of_both_singles(truth, tmp_path):
    guess = truth.full + np.random.default_rng(0).normal(0, 0.1, truth.full.shape)
    guess = guess.astype(np.float32).astype(float)
    ours = values(score(truth, predict(tmp_path, guess), NAMES), "gi/correlation")
    a, b = truth.control_a[0], truth.control_b[0]
    for i in range(4):
        keep = ~truth.targets[i]
        both = sum(mean(cells) - a for cells in singles(truth, i))
        expected = pearsonr(((guess[i] - a) - both)[keep], ((truth.full[i] - b) - both)[keep]).statistic
        assert ours[i] == pytest.approx(expected, rel=1e-9)


def test_interacting_genes_are_those_of_a_z_test_with_all_four_means_in_it(truth, tmp_path):
    guess = truth.full + np.random.default_rng(0).normal(0, 0.05, truth.full.shape)
    guess = guess.astype(np.float32).astype(float)
    frame = score(truth, predict(tmp_path, guess), NAMES)
    ours = values(frame, "gi/auprc")
    a, b = (truth.control_cells(0, part).toarray().astype(float) for part in "ab")

    def error(cells, times=1):
        return times * cells.var(axis=0, ddof=1) / len(cells)

    for i in range(4):
        cells = [x.toarray().astype(float) for x in singles(truth, i)]
        own = truth.cells(i).toarray().astype(float)
        expected = sum(x.mean(0) for x in cells) - a.mean(0)
        deviation = own.mean(0) - b.mean(0) - (expected - a.mean(0))
        variance = error(own) + error(a, 4) + error(b) + sum(map(error, cells))
        keep = ~truth.targets[i]
        p = np.nan_to_num(2 * norm.sf(np.abs(deviation) / np.sqrt(variance)), nan=1.0)[keep]
        labels = (false_discovery_control(p) < 0.05) & (np.abs(deviation[keep]) > 0.1)
        score_of = np.abs(guess[i] - expected)[keep]
        assert labels.sum() >= 10
        # untied scores: average precision and the interpolated area differ by little
        assert ours[i] == pytest.approx(average_precision_score(labels, score_of), abs=0.03)
        chance = frame[(frame["metric"] == "gi/auprc") & (frame["variant"] == "@all-cells")]["chance"]
        assert chance.to_numpy()[i] == pytest.approx(labels.mean())


def test_an_additive_prediction_deviates_nowhere(truth, tmp_path):
    additive = np.stack([truth.additive(i)[0] for i in range(4)])
    frame = score(truth, predict(tmp_path, additive), NAMES)
    assert set(frame[frame["metric"] == "gi/correlation"]["status"]) == {"undefined"}
    rows = frame[(frame["metric"] == "gi/auprc") & (frame["status"] == "scored")]
    np.testing.assert_allclose(rows["value"], rows["chance"])


def test_singles_and_doubles_of_unmeasured_singles_are_the_truths_affair(tmp_path):
    for truth in (simulate(n_conditions=3), simulate(n_conditions=3, doubles=True)):
        truth._train = {c: x for c, x in truth._train.items() if c.perturbation != "G1"}
        frame = score(truth, predict(tmp_path, truth.full), NAMES)
        involved = frame["perturbation"].str.split("+").map(lambda names: "G1" in names or len(names) == 1)
        assert (frame[involved]["status"] == "unscorable").all()


def test_the_variance_counts_shared_controls_once():
    from lanner.scoring.statistics import ConditionStatistics

    truth = simulate(n_conditions=2, n_genes=40, doubles=True, shared=True)
    parts = ConditionParts(truth, 0)
    profile, variance = ConditionStatistics(truth, parts).additive
    controls = truth.control_cells(0, "a").toarray().astype(float)
    own = sp.csr_matrix(truth.cells(0)).toarray().astype(float)
    expected = own.var(0, ddof=1) / len(own) + truth.additive(0)[1] + controls.var(0, ddof=1) / len(controls)
    np.testing.assert_allclose(variance[-1], expected, rtol=1e-9)
    assert profile.shape == (1, 40)


def test_the_cards_name_the_noise_both_sides_share():
    assert all("noise is in both sides" in METRICS[name].card.reference for name in NAMES)


def test_classes_go_by_the_sign_of_what_the_singles_add_up_to():
    additive = torch.tensor([[1.0, 1.0, 1.0, -1.0, -1.0, -1.0, 1.0]])
    change = torch.tensor([[1.5, 0.5, -0.5, -1.5, -0.5, 0.5, 1.0]])
    kinds = interaction_class(change - additive, additive)
    assert kinds.tolist() == [[0, 1, 2, 0, 1, 2, -1]]
    assert list(CLASSES) == ["synergistic", "buffering", "opposite"]


def test_the_right_deviations_have_the_right_classes_and_additive_ones_none(truth, tmp_path):
    right = score(truth, predict(tmp_path, truth.full + truth.control_a - truth.control_b), SIGNED)
    assert values(right, "gi/class") == pytest.approx(1.0)
    additive = np.stack([truth.additive(i)[0] for i in range(4)])
    none = score(truth, predict(tmp_path, additive), SIGNED)
    assert (values(none, "gi/class") == 0).all()
    areas = none[(none["metric"] != "gi/class") & (none["status"] == "scored")]
    np.testing.assert_allclose(areas["value"], areas["chance"])


def test_the_opposite_deviations_find_interactions_of_neither_sign(truth, tmp_path):
    additive = np.stack([truth.additive(i)[0] for i in range(4)])
    deviation = truth.full + truth.control_a - truth.control_b - additive
    names = ["gi/auprc", "gi/auprc/positive", "gi/auprc/negative"]
    right = score(truth, predict(tmp_path, additive + deviation), names)
    wrong = score(truth, predict(tmp_path, additive - deviation), names)
    np.testing.assert_allclose(values(right, "gi/auprc"), values(wrong, "gi/auprc"), rtol=1e-3)
    for name in names[1:]:
        rows = wrong[(wrong["metric"] == name) & (wrong["variant"] == "@all-cells")]
        found = (rows["status"] == "scored").to_numpy()  # a double may have no interactions of a sign
        assert found.sum() >= 3 and (values(right, name)[found] > 0.8).all()
        assert (rows["value"] < rows["chance"] + 0.05)[found].all()


def test_signed_and_classed_chances_add_up_to_that_of_all_interactions(truth, tmp_path):
    frame = score(truth, predict(tmp_path, truth.full), ["gi/auprc", *SIGNED])
    rows = frame[frame["variant"] == "@all-cells"].pivot(index="condition", columns="metric", values="chance")
    rows = rows[rows.drop(columns="gi/class").notna().all(axis=1)]
    whole = rows["gi/auprc"]
    assert len(whole)
    np.testing.assert_allclose(rows["gi/auprc/positive"] + rows["gi/auprc/negative"], whole)
    np.testing.assert_allclose(rows[[f"gi/auprc/{name}" for name in CLASSES]].sum(axis=1), whole)
