"""correlation: genes whose expression varies together within contexts are joined."""

from __future__ import annotations

import json
import os
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.stats import rankdata

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
    """Correlation (n_regulators, n_genes) of expression, each gene centred within each context."""
    X = sp.csr_matrix(train.X).toarray().astype(np.float64)
    by_rank = task["parameters"].get("statistic", "pearson") == "spearman"
    for rows in train.obs.groupby("context").indices.values():
        if by_rank:
            X[rows] = rankdata(X[rows], axis=0)
        X[rows] -= X[rows].mean(axis=0)
    norm = np.sqrt((X**2).sum(axis=0))
    X /= np.where(norm > 1e-9 * np.sqrt(len(X)), norm, np.inf)  # a gene that does not vary is joined to none
    return X[:, train.var_names.get_indexer(regulators)].T @ X


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
