"""network-propagation: a shift spreads along granted edges with ridge coefficients fitted to the cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from by_hand import GENES

EDGES = "source\ttarget\tweight\nA\tB\t1\nB\tC\t1\nD\tC\t-1\nA\tNOWHERE\t1\nE\tE\t1\n"
COMMAS = "regulator,target\nA,B\nB,C\nD,C\n"
LABELS = [("control", 30), ("D", 20), ("A", 20), ("A+D", 10)]


def cells(seed=1):
    """A moves B, B moves C; in one line, with D and E knocked down but never A alone."""
    random = np.random.default_rng(seed)
    obs = pd.DataFrame(
        [(label, "K562") for label, n in LABELS for _ in range(n)], columns=["perturbation", "line"]
    )
    X = random.normal(3.0, 0.3, (len(obs), len(GENES)))
    for column, gene in enumerate(GENES):
        X[
            obs["perturbation"].str.split("+").map(lambda parts, gene=gene: gene in parts).to_numpy(), column
        ] -= 2
    X[:, 1] += 0.8 * (X[:, 0] - 3)
    X[:, 2] += 0.5 * (X[:, 1] - 3)
    return obs, np.maximum(X, 0).astype(np.float32)


@pytest.fixture
def granted(stage):
    def make(requests, network=EDGES, name="mine.network.tsv", **options):
        obs, X = cells()
        staged = stage(obs, requests, X=X, **options)
        if network is not None:
            (staged.folder / "resources").mkdir()
            (staged.folder / "resources" / name).write_text(network)
        return staged

    return make


def expected(staged, target, steps=3, ridge=10.0):
    """The formula of the README, by plain normal equations over explicit cells."""
    X, labels = staged.X, staged.obs["perturbation"].str.split("+")
    Z = X - X.mean(axis=0)
    B = np.zeros((len(GENES), len(GENES)))
    for gene, regulators in {1: [0], 2: [1, 3]}.items():
        free = ~labels.map(lambda parts, gene=gene: GENES[gene] in parts).to_numpy()
        A, b = Z[np.ix_(free, regulators)], Z[free, gene]
        B[regulators, gene] = np.linalg.solve(A.T @ A + ridge * np.eye(len(regulators)), A.T @ b)
    control = X[(staged.obs["perturbation"] == "control").to_numpy()].mean(axis=0)
    share = np.median([staged.mean(gene, "K562")[i] / control[i] for i, gene in ((0, "A"), (3, "D"))])
    shift = np.zeros(len(GENES))
    shift[target] = (share - 1) * control[target]
    change = shift
    for _ in range(steps):
        change = np.clip(control + change @ B, X.min(axis=0), X.max(axis=0)) - control
        change[target] = shift[target]
    return control + change


def test_a_shift_spreads_along_the_edges_as_the_formula_says(granted, predict):
    staged = granted([("A", "K562"), ("B", "K562"), ("H", "K562")])
    result = predict("network-propagation", staged)
    assert result.answered == [True, True, True], result.stderr
    for row, target in enumerate((0, 1, 7)):
        np.testing.assert_allclose(result.rows[row], expected(staged, target), rtol=1e-5)


def test_one_step_reaches_no_further_than_one_edge(granted, predict):
    staged = granted([("A", "K562")], parameters={"steps": 1})
    row = predict("network-propagation", staged).rows[0]
    np.testing.assert_allclose(row, expected(staged, 0, steps=1), rtol=1e-5)
    control = staged.mean("control", "K562")
    moved = np.abs(row - control) > 1e-5
    assert list(np.flatnonzero(moved)) == [0, 1]


def test_an_empty_network_moves_the_target_alone(granted, predict):
    staged = granted([("A", "K562")], network="source\ttarget\tweight\n")
    row = predict("network-propagation", staged).rows[0]
    assert list(np.flatnonzero(np.abs(row - staged.mean("control", "K562")) > 1e-5)) == [0]


def test_commas_and_tabs_say_the_same(granted, predict):
    staged = granted([("A", "K562")], network=COMMAS, name="mine.network.csv")
    np.testing.assert_allclose(predict("network-propagation", staged).rows[0], expected(staged, 0), rtol=1e-5)


@pytest.mark.parametrize(
    ("network", "request_", "reason"),
    [
        (None, ("A", "K562"), "no network is granted"),
        (EDGES, ("NOWHERE", "K562"), "no request targets measured genes"),
        (EDGES, ("A", "RPE1"), "no request targets measured genes"),
        (EDGES, ("IFNB", "K562", ""), "the requests name no target genes"),
    ],
)
def test_it_does_not_apply_without_a_network_a_measured_target_or_controls(
    network, request_, reason, granted, predict
):
    result = predict("network-propagation", granted([request_], network=network))
    assert (result.code, result.prediction) == (99, None)
    assert result.stderr.splitlines()[-1].startswith(reason)
