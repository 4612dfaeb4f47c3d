"""Methods that infer a network: what they find in cells of a known one, and what they return."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from lanner.config import bundled_root
from lanner.h5ad.edges import read_edges
from lanner.h5ad.staged import write_train

METHODS = (
    *("correlation", "mean-difference", "sparse-regression", "notears", "genie3", "grnboost"),
    "random-network",
)
INFER = METHODS[:-1]
FAST = {"genie3": {"trees": 30}, "grnboost": {"stages": 60}}
GENES = [f"G{i}" for i in range(12)]
REGULATORS = GENES[:4]
TRUTH = {
    (0, 4): 1.0,
    (0, 5): -1.0,
    (1, 6): 1.0,
    (1, 7): 1.0,
    (2, 8): -1.0,
    (2, 9): 1.0,
    (3, 10): 1.0,
    (3, 11): -1.0,
}


def cells(interventions=True, seed=0):
    """Log expression of 2 contexts; each knock-down lowers a regulator, and its targets follow."""
    random = np.random.default_rng(seed)
    labels = ["control", *(REGULATORS if interventions else [])]
    rows = [(label, line) for line in ("K562", "RPE1") for label in labels for _ in range(80)]
    obs = pd.DataFrame(rows, columns=["perturbation", "line"])
    X = random.normal(3.0, 0.5, (len(obs), len(GENES)))
    X[(obs["line"] == "RPE1").to_numpy(), ::2] += 1.0  # contexts differ where no edge is
    for i, regulator in enumerate(REGULATORS):
        X[(obs["perturbation"] == regulator).to_numpy(), i] -= 1.5
    for (i, j), sign in TRUTH.items():
        X[:, j] += sign * (X[:, i] - 3.0)
    return obs, np.maximum(X, 0.0).astype(np.float32)


@pytest.fixture
def staged(tmp_path):
    def make(obs, X, *, genes=GENES, max_edges=40, parameters=None, kind="CRISPRi", dense=False):
        folder = tmp_path / f"input-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        write_train(
            folder / "train.h5ad",
            obs={name: obs[name].to_numpy(dtype=str) for name in obs},
            genes=genes,
            layers={"X": [X if dense else sp.csr_matrix(X)]},
            sparse=not dense,
        )
        (folder / "regulators.csv").write_text("\n".join(["gene", *REGULATORS]) + "\n")
        task = {
            "task": "network-inference@1",
            "dataset": {"kind": "cells", "perturbation_kind": kind, "scale": "log1p-cp10k"},
            "columns": {"perturbation": "perturbation", "context": ["line"]},
            "control": "control",
            "combination": "+",
            "seed": 0,
            "max_edges": max_edges,
            "parameters": parameters or {},
        }
        (folder / "task.json").write_text(json.dumps(task))
        return folder

    return make


@pytest.fixture
def infer(tmp_path):
    def run(method: str, folder: Path, seed: int = 0, cpus: int = 1):
        output = tmp_path / f"output-{len(list(tmp_path.iterdir()))}"
        output.mkdir()
        done = subprocess.run(
            [sys.executable, "-W", "error::RuntimeWarning", "predict.py"],
            cwd=bundled_root() / "method_containers" / method,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "LANNER_INPUT": str(folder),
                "LANNER_OUTPUT": str(output),
                "LANNER_SEED": str(seed),
                "LANNER_CPUS": str(cpus),
                "OMP_NUM_THREADS": "1",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        return done, output / "prediction.h5ad"

    return run


def network_of(path, genes=GENES):
    """(regulators, genes) weights of a prediction, in the order of REGULATORS and GENES."""
    found = ad.read_h5ad(path)
    assert (found.n_obs, list(found.var_names)) == (0, list(genes))
    network = found.varp["network"]
    assert sp.issparse(network) and network.format == "csr" and network.dtype == np.float32
    assert network.has_sorted_indices and np.isfinite(network.data).all() and (network.data != 0).all()
    table = pd.DataFrame(network.toarray(), index=found.var_names, columns=found.var_names)
    assert not np.diag(table).any()
    assert not table.drop(index=REGULATORS).to_numpy().any()
    return table.loc[REGULATORS, GENES].to_numpy()


@pytest.mark.parametrize("method", INFER)
def test_it_finds_the_planted_edges_and_their_signs(method, staged, infer):
    folder = staged(*cells(), parameters=FAST.get(method))
    done, path = infer(method, folder)
    assert done.returncode == 0, done.stderr
    weights = network_of(path)
    for (regulator, target), sign in TRUTH.items():
        assert np.sign(weights[regulator, target]) == sign
        assert np.abs(weights[:, target]).argmax() == regulator
    strongest = np.argsort(-np.abs(weights), axis=None)[: len(TRUTH)]
    assert {divmod(int(place), len(GENES)) for place in strongest} == set(TRUTH)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_it_keeps_the_strongest_edges_that_are_allowed_and_dense_cells_change_nothing(method, staged, infer):
    obs, X = cells()
    few, many = (staged(obs, X, max_edges=most, parameters=FAST.get(method)) for most in (5, 44))
    kept, everything = (network_of(infer(method, folder)[1]) for folder in (few, many))
    assert np.count_nonzero(kept) == 5
    if method != "random-network":
        assert np.abs(everything[kept == 0]).max() <= np.abs(kept[kept != 0]).min()
        np.testing.assert_array_equal(everything[kept != 0], kept[kept != 0])
    again = infer(method, staged(obs, X, max_edges=5, parameters=FAST.get(method), dense=True))[1]
    np.testing.assert_array_equal(network_of(again), kept)


@pytest.mark.slow
@pytest.mark.parametrize("method", INFER)
def test_the_order_of_genes_changes_nothing(method, staged, infer):
    obs, X = cells()
    order = np.random.default_rng(3).permutation(len(GENES))
    genes = [GENES[i] for i in order]
    first = network_of(infer(method, staged(obs, X, parameters=FAST.get(method)))[1])
    second = network_of(
        infer(method, staged(obs, X[:, order], genes=genes, parameters=FAST.get(method)))[1], genes
    )
    np.testing.assert_allclose(second, first, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["genie3", "grnboost", "random-network"])
def test_a_seed_gives_the_same_bytes_on_one_core_and_on_two(method, staged, infer):
    folder = staged(*cells(), parameters=FAST.get(method))
    first, second = (infer(method, folder, seed=4, cpus=cpus)[1].read_bytes() for cpus in (1, 2))
    assert first == second
    assert infer(method, folder, seed=5)[1].read_bytes() != first


def test_without_interventions_only_the_mean_difference_does_not_apply(staged, infer):
    folder = staged(*cells(interventions=False))
    done, path = infer("mean-difference", folder)
    assert (done.returncode, path.exists()) == (99, False)
    assert done.stderr == "no candidate regulator is perturbed on its own in the training data\n"
    assert infer("correlation", folder)[0].returncode == 0


@pytest.mark.parametrize(("kind", "sign"), [("CRISPRko", -1), ("CRISPRa", 1), ("simulated", -1)])
def test_the_mean_difference_is_the_weighted_change_signed_by_what_the_perturbation_does(
    kind, sign, staged, infer
):
    obs, X = cells()
    drop = np.flatnonzero((obs["perturbation"] == "G1") & (obs["line"] == "RPE1"))[:50]
    obs, X = obs.drop(index=drop).reset_index(drop=True), np.delete(X, drop, axis=0)
    weights = network_of(infer("mean-difference", staged(obs, X, kind=kind, max_edges=1000))[1])

    def mean(label, line):
        rows = ((obs["perturbation"] == label) & (obs["line"] == line)).to_numpy()
        return X[rows].astype(np.float64).mean(axis=0), rows.sum()

    expected, n_cells = np.zeros(len(GENES)), 0
    for line in ("K562", "RPE1"):
        (after, n), (before, _) = mean("G1", line), mean("control", line)
        expected, n_cells = expected + n * (after - before), n_cells + n
    expected = sign * expected / n_cells
    expected[1] = 0
    np.testing.assert_allclose(weights[1], expected, rtol=1e-5, atol=1e-7)


def test_a_correlation_is_that_of_values_centred_in_each_context(staged, infer):
    obs, X = cells()
    X[:, 8] = 0.0
    weights = network_of(infer("correlation", staged(obs, X, max_edges=1000))[1])
    Z = X.astype(np.float64)
    for line in ("K562", "RPE1"):
        rows = (obs["line"] == line).to_numpy()
        Z[rows] -= Z[rows].mean(axis=0)
    Z[:, 8] = np.random.default_rng(0).normal(size=len(Z))
    expected = np.corrcoef(Z.T)[:4]
    expected[:, 8] = 0
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(weights, expected, rtol=1e-4, atol=1e-6)


def test_an_exported_network_lists_its_edges_from_the_strongest(staged, infer):
    path = infer("correlation", staged(*cells(), max_edges=7))[1]
    edges = read_edges(path)
    weights = network_of(path)
    assert len(edges) == 7 and list(edges) == ["regulator", "target", "weight"]
    assert (np.diff(np.abs(edges["weight"])) <= 0).all()
    for edge in edges.itertuples():
        assert weights[REGULATORS.index(edge.regulator), GENES.index(edge.target)] == np.float32(edge.weight)


def test_where_nothing_can_close_a_cycle_notears_is_the_sparse_regression(staged, infer):
    folder = staged(*cells(), max_edges=1000)
    one, other = (network_of(infer(method, folder)[1]) for method in ("sparse-regression", "notears"))
    np.testing.assert_allclose(other[:, 4:], one[:, 4:], atol=1e-4)
    assert np.count_nonzero(one[:, 4:]) >= len(TRUTH)
