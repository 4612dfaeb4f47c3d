"""notears: the network without cycles among the regulators that predicts every gene best (linear NOTEARS)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.linalg import expm
from scipy.optimize import minimize

INPUT = Path(os.environ.get("LANNER_INPUT", "/input"))
OUTPUT = Path(os.environ.get("LANNER_OUTPUT", "/output"))


def main() -> None:
    """Read the staged input, infer, write /output/prediction.h5ad."""
    task, train, regulators = read()
    weights = predict(task, train, regulators)
    write(train.var_names, regulators, weights, task["max_edges"])


def read():
    """The task, the training data labelled by perturbation and context, and the candidate regulators."""
    task = json.loads((INPUT / "task.json").read_text(encoding="utf-8"))
    train = ad.read_h5ad(INPUT / "train.h5ad")
    columns = task["columns"]
    labels = train.obs.astype(str)
    context = ["|".join(row) for row in labels[columns["context"]].to_numpy()]
    train.obs = pd.DataFrame(
        {"perturbation": labels[columns["perturbation"]], "context": context}, index=train.obs_names
    )
    regulators = pd.read_csv(INPUT / "regulators.csv", dtype=str, keep_default_na=False)["gene"].tolist()
    return task, train, regulators


def predict(task, train, regulators):
    """Weights (n_regulators, n_genes) between standardised genes, without a cycle among the regulators."""
    cells = train[:, np.argsort(train.var_names.to_numpy(dtype=str))]  # one order, whatever that of the genes
    genes, names = list(cells.var_names), sorted(regulators)
    features = cells.var_names.get_indexer(names)
    X = centred(cells)
    shared, products = correlations(X, features, slice(None))
    G, c = dict.fromkeys(genes, shared), dict(zip(genes, products, strict=True))
    for gene, rows in without_own(task, cells).items():
        G[gene], (c[gene],) = correlations(X[rows], features, [genes.index(gene)])

    def problem(targets):
        allowed = np.array([[name != gene for name in names] for gene in targets])
        products = np.where(allowed, np.stack([c[gene] for gene in targets]), 0.0)
        penalty = task["parameters"].get("penalty", 0.1) * np.abs(products).max(axis=1, keepdims=True)
        return np.stack([G[gene] for gene in targets]), products, penalty, allowed

    weights = pd.DataFrame(0.0, index=names, columns=train.var_names)
    steps = task["parameters"].get("max_iterations", 400)
    G_block, c_block, penalty, allowed = problem(names)
    found = notears(G_block, c_block, penalty, allowed, steps)
    weights[names] = least(G_block, c_block, penalty, without_cycles(found), steps, found).T
    for gene in sorted(set(genes) - set(names)):  # regulates nothing, so it is in no cycle: an ordinary lasso
        weights[gene] = least(*problem([gene]), steps)[0]
    return weights.loc[regulators].to_numpy()


def notears(G, c, penalty, allowed, steps):
    """W (targets, regulators) of least loss with h(W) = 0: the paper's algorithm 1, its c = 1/4, rho x 10."""
    W, h, rho, alpha = np.zeros_like(c), np.inf, 1.0, 0.0
    while h > 1e-8 and rho < 1e16:
        while True:
            new = least(G, c, penalty, allowed, steps, W, rho, alpha)
            if (now := cyclic(new)[0]) <= 0.25 * h or rho >= 1e16:
                break
            rho *= 10
        W, h = new, now
        alpha += rho * h
    return W


def least(G, c, penalty, allowed, steps, start=0.0, rho=0.0, alpha=0.0):
    """W (targets, regulators) that minimises loss + penalty |W| + rho h^2 / 2 + alpha h, from a start.

    The loss of target t is w G[t] w / 2 - c[t] w: half the mean squared residual less what is constant.
    """

    def value(halves):
        W = np.subtract(*halves.reshape(2, *c.shape))  # both at least 0, so that |W| is their sum
        GW = (G @ W[:, :, None])[:, :, 0]
        total, slope = (GW / 2 - c).ravel() @ W.ravel(), GW - c
        if rho:
            h, gradient = cyclic(W)
            total, slope = total + (rho * h / 2 + alpha) * h, slope + (rho * h + alpha) * gradient
        l1 = (penalty * halves.reshape(2, *c.shape)).sum()
        return total + l1, np.stack([penalty + slope, penalty - slope]).ravel()

    begin = np.stack([np.maximum(start, 0) * allowed, np.maximum(-np.asarray(start), 0) * allowed]).ravel()
    bounds = [(0.0, None if free else 0.0) for free in np.tile(allowed.ravel(), 2)]
    options = {"maxiter": steps, "ftol": 1e-9, "gtol": 1e-6}
    found = minimize(value, begin, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return np.subtract(*found.x.reshape(2, *c.shape))


def cyclic(W):
    """h(W) = tr(exp(W o W)) - d, which is 0 exactly if W has no cycle, and its gradient."""
    E = expm(W * W)
    return np.trace(E) - len(W), 2 * W * E.T


def without_cycles(W):
    """Which edges of W (targets, regulators), from the strongest, close no cycle with those kept before."""
    reach, kept = np.eye(len(W), dtype=bool), np.zeros(W.shape, dtype=bool)  # reach[a, b]: a path from a to b
    for place in np.argsort(-np.abs(W), axis=None, kind="stable")[: np.count_nonzero(W)]:
        target, regulator = divmod(int(place), len(W))
        if not reach[target, regulator]:
            kept[target, regulator] = True
            reach |= np.outer(reach[:, regulator], reach[target])
    return kept


def correlations(X, features, targets):
    """Of the regulators with each other (r, r) and with the targets (n_targets, r), over given cells."""
    A, B = standardised(X[:, features]), standardised(X[:, targets])
    return A.T @ A / len(A), B.T @ A / len(A)


def standardised(X):
    """Columns with mean 0 and variance 1; zeros where a column does not vary."""
    X = X - X.mean(axis=0)
    deviation = X.std(axis=0)
    return X / np.where(deviation > 1e-9, deviation, np.inf)


def centred(train):
    """Expression (n_cells, n_genes), float64, each gene centred within each context."""
    X = sp.csr_matrix(train.X).toarray().astype(np.float64)
    for rows in train.obs.groupby("context").indices.values():
        X[rows] -= X[rows].mean(axis=0)
    return X


def without_own(task, train):
    """For each perturbed gene the rows in which it was not: elsewhere no regulator sets its level."""
    parts = [set(label.split(task["combination"])) for label in train.obs["perturbation"]]
    return {
        gene: np.array([gene not in targets for targets in parts])
        for gene in set().union(*parts).intersection(train.var_names)
    }


def write(genes, regulators, weights, max_edges) -> None:
    """The strongest edges of weights (n_regulators, n_genes) as varp["network"] of a file without cells."""
    row_of = genes.get_indexer(regulators)
    weights = np.asarray(weights, dtype=np.float32)
    weights[np.arange(len(regulators)), row_of] = 0  # no gene regulates itself
    rows, columns = np.nonzero(weights)
    values, rows = weights[rows, columns], row_of[rows]
    rank = np.argsort(np.argsort(genes.to_numpy(dtype=str)))  # equal weights in the order of names
    kept = np.lexsort((rank[columns], rank[rows], -np.abs(values)))[:max_edges]
    network = sp.csr_matrix((values[kept], (rows[kept], columns[kept])), shape=(len(genes), len(genes)))
    network.sort_indices()
    prediction = ad.AnnData(obs=pd.DataFrame(index=[]), var=pd.DataFrame(index=genes))
    prediction.varp["network"] = network
    prediction.write_h5ad(OUTPUT / "prediction.h5ad")


if __name__ == "__main__":
    main()
