"""Calls on predicted cells against a slow repetition of the whole procedure with SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from lanner.metrics import METRICS
from lanner.metrics.de_calls import listed
from lanner.scoring import score
from lanner.scoring.parts import ConditionParts
from scipy.stats import false_discovery_control, mannwhitneyu, spearmanr
from truths import predict, simulate

NAMES = [
    name for name in METRICS if name.startswith(("de_overlap", "de_recall", "de_spearman", "de_direction"))
]
NAMES += ["de_nsig_ratio"]


@pytest.fixture(scope="module")
def truth():
    return simulate(n_conditions=2, n_genes=200, n_cells=90, strength=2.0)


@pytest.fixture(scope="module")
def prediction(truth):
    """Half true cells, half controls: 80 of each condition."""
    controls = truth.control_cells(0, "a")[:40]
    return [sp.vstack([truth.cells(i)[:40], controls], format="csr") for i in range(2)]


@pytest.fixture(scope="module")
def scores(truth, prediction, tmp_path_factory):
    rows = sp.vstack(prediction, format="csr")
    return score(truth, predict(tmp_path_factory.mktemp("p"), rows, n_cells=80), NAMES)


def calls(cells, controls, keep):
    x, c = cells.toarray().astype(float)[:, keep], controls.toarray().astype(float)[:, keep]
    p = np.nan_to_num(mannwhitneyu(x, c, method="asymptotic").pvalue, nan=1.0)
    change = x.mean(axis=0) - c.mean(axis=0)
    return change, (false_discovery_control(p) < 0.05) & (np.abs(change) > 0.1)


def slow(name, true_change, true, change, predicted):
    kind, _, option = name.removesuffix("/all").partition("/k")
    if kind == "de_overlap":
        k = min(int(option), true.sum()) if option else true.sum()  # all: as many as the truth has
        first = [
            set(np.argsort(np.where(called, np.abs(of), -1))[::-1][: min(k, called.sum())])
            for of, called in ((true_change, true), (change, predicted))
        ]
        return len(first[0] & first[1]) / k
    return {
        "de_recall": lambda: (true & predicted).sum() / true.sum(),
        "de_spearman_lfc": lambda: spearmanr(true_change[true], change[true]).statistic,
        "de_direction": lambda: np.mean(np.sign(true_change[true]) == np.sign(change[true])),
        "de_nsig_ratio": lambda: predicted.sum() / true.sum(),
    }[kind]()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("variant", ["", "@unmasked"])
def test_values_are_those_of_testing_the_drawn_cells_with_scipy(name, variant, truth, prediction, scores):
    rows = scores[(scores["metric"] == name) & (scores["variant"] == variant)]
    assert (rows["status"] == "scored").all()
    a, b = (truth.control_cells(0, part) for part in "ab")
    for i, ours in enumerate(rows["value"]):
        parts = ConditionParts(truth, i)
        halves, size = parts.members[:40], parts.sizes(full=False)
        t = parts._draw(halves, size, "truth/halves") > 0
        p = parts._draw(np.ones((40, 80), dtype=bool), size, "predicted/halves") > 0
        keep = ~truth.targets[i] | (variant == "@unmasked")
        values = [
            slow(name, *calls(truth.cells(i)[t[r]], b, keep), *calls(prediction[i][p[r]], a, keep))
            for r in range(40)
        ]
        assert ours == pytest.approx(np.mean(values), rel=1e-9)


def test_genes_tied_at_the_last_place_share_it():
    size = torch.tensor([[3.0, 2.0, 2.0, 2.0, 1.0, 9.0]])
    chosen = torch.tensor([[True, True, True, True, True, False]])
    np.testing.assert_allclose(listed(size, chosen, torch.tensor([[2]]))[0], [1, 1 / 3, 1 / 3, 1 / 3, 0, 0])
    np.testing.assert_allclose(listed(size, chosen, torch.tensor([[6]]))[0], [1, 1, 1, 1, 1, 0])


def test_few_changed_genes_are_the_truths_fault_and_few_predicted_cells_the_predictions(tmp_path):
    quiet = simulate(n_conditions=2, n_cells=90, strength=0.0)
    cells = sp.vstack([quiet.cells(i)[:60] for i in range(2)], format="csr")
    frame = score(quiet, predict(tmp_path, cells, n_cells=60), NAMES)
    assert set(frame["status"]) == {"unscorable"}
    loud = simulate(n_conditions=2, n_genes=200, n_cells=90, strength=2.0)
    few = sp.vstack([loud.cells(i)[:19] for i in range(2)], format="csr")
    frame = score(loud, predict(tmp_path, few, n_cells=19), NAMES)
    assert set(frame["status"]) == {"undefined"}


def test_calling_nothing_is_zero_overlap_and_zero_recall(truth, tmp_path):
    controls = truth.control_cells(0, "a")[:60]
    frame = score(truth, predict(tmp_path, sp.vstack([controls] * 2, format="csr"), n_cells=60), NAMES)
    values = frame[frame["variant"] == ""].groupby("metric")["value"].mean()
    assert values["de_overlap/k20"] < 0.05 and values["de_recall"] < 0.05 and values["de_nsig_ratio"] < 0.05
