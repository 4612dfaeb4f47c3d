"""mean-difference: a regulator acts on the genes that change when it is perturbed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

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


SIGNS = {
    **dict.fromkeys(("CRISPRi", "CRISPRko", "Cas13d", "RNAi"), -1.0),
    **dict.fromkeys(("CRISPRa", "overexpression"), 1.0),
}
"""Whether a kind of perturbation lowers or raises its target."""


def predict(task, train, regulators):
    """Mean change (n_regulators, n_genes) from control under each regulator's perturbation, signed."""
    labels = train.obs["perturbation"].to_numpy()
    seen = set(labels) & set(regulators)
    if not seen:
        not_applicable("no candidate regulator is perturbed on its own in the training data")
    if task["control"] not in labels:
        not_applicable("the training data hold no control cells")
    X = sp.csr_matrix(train.X, dtype=np.float64)
    groups = train.obs.groupby(["perturbation", "context"]).indices
    control = {key[1]: rows for key, rows in groups.items() if key[0] == task["control"]}
    weights = np.zeros((len(regulators), train.n_vars))
    for row, regulator in enumerate(regulators):
        conditions = [(key[1], rows) for key, rows in groups.items() if key[0] == regulator]
        compared = [(control[context], rows) for context, rows in conditions if context in control]
        if not compared:
            continue
        n_cells = sum(len(rows) for _, rows in compared)
        change = sum(len(rows) / n_cells * (mean(X[rows]) - mean(X[base])) for base, rows in compared)
        own = np.sign(change[train.var_names.get_loc(regulator)])
        direction = SIGNS.get(task["dataset"]["perturbation_kind"], own or 1.0)
        if task["parameters"].get("statistic", "difference") == "z":
            error = np.sqrt(sum(squared_error(X, pair) * (len(pair[1]) / n_cells) ** 2 for pair in compared))
            change = np.divide(change, error, out=np.zeros_like(change), where=error > 0)
        weights[row] = direction * change
    return weights


def squared_error(X, rows_of_groups):
    """Squared standard error (n_genes,) of the difference of two means (Welch)."""
    return sum(
        np.maximum(mean(X[rows].power(2)) - mean(X[rows]) ** 2, 0.0) / max(len(rows) - 1, 1)
        for rows in rows_of_groups
    )


def mean(X):
    """Mean (n_genes,) of the rows of a sparse matrix."""
    return np.asarray(X.mean(axis=0)).ravel()


def not_applicable(reason: str) -> None:
    """Exit as the contract asks of a method to which the question does not apply."""
    print(reason, file=sys.stderr)
    sys.exit(99)


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
