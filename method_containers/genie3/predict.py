"""genie3: a gene's regulators are those by which randomised trees predict it."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path
from zlib import crc32

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor

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
    """Importance (n_regulators, n_genes) of regulators to genes, with the sign of their correlation."""
    cells, seed = sampled(task, train)
    names = np.array(sorted(regulators))  # one order of the features, whatever the order of the genes
    X, free = centred(cells), without_own(task, cells)
    features = X[:, cells.var_names.get_indexer(names)].astype(np.float32)

    def weights_of(gene):
        """(n_regulators,), of sorted regulators, the gene's own being 0."""
        column, rows, others = cells.var_names.get_loc(gene), free[gene], names != gene
        weights = np.zeros(len(names))
        A, b = features[np.ix_(rows, others)], X[rows, column] - X[rows, column].mean()
        if others.any() and b.std() > 1e-9:
            importance = forest(A, b / b.std(), task["parameters"], seed + crc32(gene.encode()))
            weights[others] = importance * np.where(A.T.astype(np.float64) @ b < 0, -1, 1)
        return weights

    columns = in_parallel(weights_of, list(cells.var_names))
    table = pd.DataFrame(np.stack(columns, axis=1), index=names, columns=cells.var_names)
    return table.loc[regulators, train.var_names].to_numpy()


def forest(A, b, parameters, seed):
    """Mean over trees of the variance of b that splits on each column of A remove: (n_columns,)."""
    by_name = {"extra-trees": ExtraTreesRegressor, "random-forest": RandomForestRegressor}
    model = by_name[parameters.get("ensemble", "extra-trees")](
        parameters.get("trees", 100),
        max_features="sqrt",
        min_samples_leaf=parameters.get("min_cells", 5),
        random_state=seed % 2**32,
    ).fit(A, b)
    return np.mean(
        [tree.tree_.compute_feature_importances(normalize=False) for tree in model.estimators_], axis=0
    )


def in_parallel(function, items):
    """Results in the order of items, on LANNER_CPUS forked processes; each item has a seed of its own."""
    global shared
    shared = function
    n_processes = max(1, int(float(os.environ.get("LANNER_CPUS", 1))))
    if n_processes == 1:
        return [function(item) for item in items]
    with multiprocessing.get_context("fork").Pool(n_processes) as pool:
        return pool.map(call_shared, items, chunksize=1)


def call_shared(item):
    """What a forked process runs."""
    return shared(item)


def centred(train):
    """Expression (n_cells, n_genes), float64, each gene centred within each context."""
    X = sp.csr_matrix(train.X).toarray().astype(np.float64)
    for rows in train.obs.groupby("context").indices.values():
        X[rows] -= X[rows].mean(axis=0)
    return X


def sampled(task, train):
    """At most max_cells training cells, drawn by the seed, with genes in the order of their names."""
    seed = int(os.environ.get("LANNER_SEED", task["seed"]))
    n_cells = min(train.n_obs, task["parameters"].get("max_cells", 1500))
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
