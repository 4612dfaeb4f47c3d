"""notears: the optimum it is meant to find, against brute force and a slow reading of the paper."""

from __future__ import annotations

import importlib.util
import itertools
from math import factorial

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from lanner.config import bundled_root
from scipy.optimize import minimize

PENALTY, STEPS = 0.05, 400
EDGES = {(0, 1): 0.9, (0, 2): -0.6, (1, 2): 0.8, (1, 3): -0.9, (3, 4): 0.8}
"""Of a linear structural equation model of five genes; the last regulates nothing and is no candidate."""


@pytest.fixture(scope="module")
def notears():
    path = bundled_root() / "method_containers" / "notears" / "predict.py"
    spec = importlib.util.spec_from_file_location("notears_predict", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cells(edges, d, seed=0, n=400, order=None):
    """Cells of a linear model, controls and an intervention on each gene; names do not follow its order."""
    generator = np.random.default_rng(seed)
    names = [f"G{i}" for i in (order or range(d))]
    labels = np.repeat(["control", *names[: min(d, 4)]], n)
    X = np.zeros((len(labels), d))
    for j in range(d):  # parents come before their children
        X[:, j] = generator.normal(size=len(X)) + sum(w * X[:, i] for (i, k), w in edges.items() if k == j)
        cut = labels == names[j]
        X[cut, j] = generator.normal(-2.0, 0.5, cut.sum())
    obs = pd.DataFrame({"perturbation": labels, "context": "one"}, index=[f"c{i}" for i in range(len(X))])
    return ad.AnnData(X, obs=obs, var=pd.DataFrame(index=names)), names


def task(penalty=PENALTY, max_iterations=STEPS):
    return {"combination": "+", "parameters": {"penalty": penalty, "max_iterations": max_iterations}}


def inferred(notears, train, regulators, **options):
    """Weights as a table of regulators by genes."""
    found = notears.predict(task(**options), train, regulators)
    return pd.DataFrame(found, index=regulators, columns=train.var_names)


def free_of(train, names, target):
    """Standardised values (cells, names) of the cells that leave a gene free."""
    X = np.asarray(train.to_df()[names]) - np.asarray(train.to_df()[names]).mean(axis=0)
    X = X[(train.obs["perturbation"] != target).to_numpy()]
    return (X - X.mean(axis=0)) / X.std(axis=0)


def loss(views, W):
    """The paper's loss and l1 norm, a target at a time from its cells; W is (targets, regulators)."""
    total = 0.0
    for t, Z in enumerate(views):
        others = [r for r in range(len(views)) if r != t]
        penalty = PENALTY * max(abs(np.mean(Z[:, r] * Z[:, t])) for r in others)
        total += np.mean((Z[:, t] - Z @ W[t]) ** 2) / 2 + penalty * np.abs(W[t]).sum()
    return total


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (3, 1, 4, 0, 2)])
def test_it_finds_the_edges_and_signs_of_a_known_acyclic_model(notears, order):
    train, names = cells(EDGES, 5, order=order)
    found = inferred(notears, train, sorted(names[:4]))
    edges = {(names.index(r), names.index(t)): w for (r, t), w in found.stack().items() if abs(w) > 0.1}
    assert {edge: np.sign(w) for edge, w in edges.items()} == {e: np.sign(w) for e, w in EDGES.items()}


def test_units_of_expression_change_nothing_so_that_marginal_variance_gives_no_order_away(notears):
    train, names = cells(EDGES, 5)
    scaled = train.copy()
    scaled.X = train.X * np.array([100.0, 10.0, 1.0, 0.1, 7.0])
    one, other = (inferred(notears, each, names[:4]) for each in (train, scaled))
    np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_three_genes_get_the_least_loss_of_all_twenty_five_acyclic_graphs(notears, seed):
    train, names = cells({(0, 1): 0.8, (1, 2): 0.7}, 3, seed=seed)
    found = inferred(notears, train, names).to_numpy().T
    pairs = list(itertools.permutations(range(3), 2))
    views = [free_of(train, names, target) for target in names]
    best, graphs = np.inf, 0
    for kept in itertools.product([False, True], repeat=6):
        free = np.zeros((3, 3), dtype=bool)
        for (t, r), keep in zip(pairs, kept, strict=True):
            free[t, r] = keep
        if np.linalg.matrix_power(free.astype(float), 3).any():
            continue
        graphs += 1
        W = np.zeros((3, 3))
        for t, Z in enumerate(views):  # coordinate descent, each graph's own lasso
            C = Z.T @ Z / len(Z)
            penalty = PENALTY * np.abs(np.delete(C[t], t)).max()
            for _ in range(60):
                for r in np.flatnonzero(free[t]):
                    rest = C[r, t] - C[r] @ W[t] + W[t, r]
                    W[t, r] = np.sign(rest) * max(abs(rest) - penalty, 0.0)
        best = min(best, loss(views, W))
    assert graphs == 25
    assert loss(views, found) == pytest.approx(best, abs=1e-4)


def test_it_equals_a_slow_reading_of_the_paper(notears):
    train, names = cells({(0, 1): 0.8, (1, 2): 0.7, (0, 2): 0.4}, 3, n=60)
    views = [free_of(train, names, target) for target in names]
    off = [(t, r) for t, r in itertools.permutations(range(3), 2)]

    def weights(halves):
        W = np.zeros((3, 3))
        for k, (t, r) in enumerate(off):
            W[t, r] = halves[k] - halves[k + 6]
        return W

    def h(W):
        return sum(np.trace(np.linalg.matrix_power(W * W, k)) / factorial(k) for k in range(1, 15))

    halves, rho, alpha, before = np.zeros(12), 1.0, 0.0, np.inf
    while before > 1e-8 and rho < 1e16:
        while True:
            start = halves

            def lagrangian(v, rho=rho, alpha=alpha):
                W = weights(v)
                return loss(views, W) + rho / 2 * h(W) ** 2 + alpha * h(W)

            tries = minimize(lagrangian, start, method="SLSQP", bounds=[(0, None)] * 12, tol=1e-12)
            if h(weights(tries.x)) <= 0.25 * before or rho >= 1e16:
                break
            rho *= 10
        halves, before = tries.x, h(weights(tries.x))
        alpha += rho * before
    slow = weights(halves)
    fast = inferred(notears, train, names).to_numpy().T
    np.testing.assert_allclose(fast, slow, atol=0.01)
    assert loss(views, fast) == pytest.approx(loss(views, slow), abs=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_the_cells_no_cycle_is_left_among_the_regulators(notears, seed):
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(60, 3)) @ generator.normal(size=(3, 9)) + generator.normal(size=(60, 9))
    names = [f"G{i}" for i in range(9)]
    obs = pd.DataFrame({"perturbation": "control", "context": "one"}, index=[f"c{i}" for i in range(60)])
    train = ad.AnnData(X, obs=obs, var=pd.DataFrame(index=names))
    block = inferred(notears, train, names[:7], penalty=0.02, max_iterations=50)[names[:7]].to_numpy()
    assert np.count_nonzero(block) >= 7
    assert not np.linalg.matrix_power((block != 0).astype(float), 7).any()


def test_of_edges_that_close_a_cycle_the_weakest_go(notears):
    W = np.array([[0.0, 0.5, 0.1], [-0.2, 0.0, 0.7], [0.3, 0.15, 0.0]])
    kept = {(0, 1), (1, 2)}  # 0.3 closes 2 -> 1 -> 0 -> 2, 0.2 and 0.15 the pairs of stronger ones
    assert set(zip(*np.nonzero(notears.without_cycles(W)), strict=True)) == {*kept, (0, 2)}
    np.testing.assert_array_equal(notears.without_cycles(np.triu(W)), np.triu(W) != 0)


def test_the_measure_of_cycles_is_that_of_the_paper_and_so_is_its_gradient(notears):
    W = np.random.default_rng(0).normal(0, 0.5, (4, 4))
    value, gradient = notears.cyclic(W)
    series = sum(np.trace(np.linalg.matrix_power(W * W, k)) / factorial(k) for k in range(1, 40))
    assert value == pytest.approx(series, rel=1e-12)
    for t, r in itertools.product(range(4), repeat=2):
        step = np.zeros((4, 4))
        step[t, r] = 1e-6
        slope = (notears.cyclic(W + step)[0] - notears.cyclic(W - step)[0]) / 2e-6
        assert gradient[t, r] == pytest.approx(slope, rel=1e-6, abs=1e-8)
    assert notears.cyclic(np.triu(W, 1))[0] == pytest.approx(0.0, abs=1e-12)
