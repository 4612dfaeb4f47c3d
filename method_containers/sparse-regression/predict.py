"""sparse-regression: a gene's regulators are those a lasso keeps to predict it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.linear_model import Lasso

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
    """Lasso coefficients (n_regulators, n_genes) of each standardised gene on the other regulators."""
    cells, _ = sampled(task, train)
    names = sorted(regulators)  # one order of the features, whatever the order of the genes
    X, free = centred(cells), without_own(task, cells)
    penalty = task["parameters"].get("penalty", 0.1)
    features = cells.var_names.get_indexer(names)
    weights = pd.DataFrame(0.0, index=names, columns=train.var_names)
    for column, gene in enumerate(cells.var_names):
        others = [index for index, name in enumerate(names) if name != gene]
        A, b = standardised(X[np.ix_(free[gene], features[others])]), standardised(X[free[gene], column])
        largest = np.abs(A.T @ b).max(initial=0.0) / len(b)
        if largest > 0:
            model = Lasso(alpha=penalty * largest, fit_intercept=False, precompute=True, max_iter=5000)
            weights.loc[[names[index] for index in others], gene] = model.fit(A, b).coef_
    return weights.loc[regulators].to_numpy()


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


def sampled(task, train):
    """At most max_cells training cells, drawn by the seed, with genes in the order of their names."""
    seed = int(os.environ.get("LANNER_SEED", task["seed"]))
    n_cells = min(train.n_obs, task["parameters"].get("max_cells", 10000))
    rows = np.sort(np.random.default_rng(seed).choice(train.n_obs, n_cells, replace=False))
    return train[rows, np.argsort(train.var_names.to_numpy(dtype=str))].copy(), seed


def without_own(task, train):
    """For each gene the rows in which it was not itself perturbed: elsewhere no regulator sets its level."""
    parts = [set(label.split(task["combination"])) for label in train.obs["perturbation"]]
    perturbed = set().union(*parts)
    return {
        gene: np.array([gene not in targets for targets in parts])
        if gene in perturbed
        else np.ones(train.n_obs, dtype=bool)
        for gene in train.var_names
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
