"""linear-embedding: genes and perturbations share an embedding, a ridge regression maps between them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

INPUT = Path(os.environ.get("LANNER_INPUT", "/input"))
OUTPUT = Path(os.environ.get("LANNER_OUTPUT", "/output"))
CONDITION = ["perturbation", "dose", "context"]


def main() -> None:
    """Read the staged input, predict, write /output/prediction.h5ad."""
    task, train, requests = read()
    profiles, answered = predict(task, train, requests)
    write(train.var_names, requests["request_id"], profiles, answered)


def read():
    """The task, the training data and the requests, labelled by perturbation, dose and context."""
    task = json.loads((INPUT / "task.json").read_text(encoding="utf-8"))
    train = ad.read_h5ad(INPUT / "train.h5ad")
    requests = pd.read_csv(INPUT / "requests.csv", dtype=str, keep_default_na=False)
    columns = task["columns"]
    labels = train.obs.astype(str)
    train.obs = pd.DataFrame(
        {
            "perturbation": labels[columns["perturbation"]],
            "dose": labels[columns["dose"]] if "dose" in columns else "",
            "context": ["|".join(row) for row in labels[columns["context"]].to_numpy()],
        },
        index=train.obs_names,
    )
    requests["context"] = ["|".join(row) for row in requests[columns["context"]].to_numpy()]
    if "dose" not in requests:
        requests["dose"] = ""
    return task, train, requests


def predict(task, train, requests):
    """Control mean of the context + b + G K P, the linear model of Ahlmann-Eltze, Huber and Anders."""
    is_control = (train.obs["perturbation"] == task["control"]).to_numpy()
    control = means(train, is_control, "context")
    centroid = means(train, ~is_control, CONDITION)
    conditions = [key for key in centroid if key[2] in control]
    gene_row = {gene: row for row, gene in enumerate(train.var_names)}

    def target_rows(targets):
        """Rows of the target genes; None unless every one of them is a measured gene."""
        names = targets.split(task["combination"])
        return [gene_row[name] for name in names] if all(name in gene_row for name in names) else None

    trained = {key: target_rows(key[0]) for key in conditions}
    trained = {key: rows for key, rows in trained.items() if rows is not None}
    asked = [target_rows(targets) for targets in requests["targets"]]
    has_control = requests["context"].isin(list(control)).to_numpy()
    answered = np.array([rows is not None for rows in asked], dtype=bool) & has_control
    if not (requests["targets"] != "").any():
        not_applicable("the requests name no target genes")
    if not trained:
        not_applicable("no training perturbation with control cells is named after a measured gene")
    if not answered.any():
        not_applicable("no request targets a measured gene in a context with control cells")

    # One column per training condition, and one of zeros for the control of each context.
    G = gene_embedding(
        np.stack([*(centroid[key] for key in conditions), *control.values()], axis=1),
        task["parameters"].get("rank", 10),
    )
    Y = np.zeros((train.n_vars, len(trained) + len(control)))
    P = np.zeros((G.shape[1], len(trained) + len(control)))
    for column, (key, rows) in enumerate(trained.items()):
        Y[:, column] = centroid[key] - control[key[2]]
        P[:, column] = G[rows].sum(axis=0)
    b, K = fit(Y, G, P, task["parameters"].get("ridge", 0.1))

    profiles = np.zeros((len(requests), train.n_vars))
    for row, request in requests.iterrows():
        if answered[row]:
            profiles[row] = control[request["context"]] + b + G @ (K @ G[asked[row]].sum(axis=0))
        else:
            reason = "a target is not a measured gene" if has_control[row] else "no control cells"
            print(f"unanswered: {request['perturbation']} in {request['context']}: {reason}", file=sys.stderr)
    return profiles, answered


def fit(Y, G, P, ridge):
    """b = row means of Y; K = (G'G + ridge I)^-1 G'(Y - b)P' (PP' + ridge I)^-1."""
    b = Y.mean(axis=1)
    penalty = ridge * np.eye(G.shape[1])
    left = np.linalg.solve(G.T @ G + penalty, G.T @ (Y - b[:, None]) @ P.T)
    return b, np.linalg.solve(P @ P.T + penalty, left.T).T


def gene_embedding(X, rank):
    """Scores of the genes on the first principal components of X, genes x conditions: (n_genes, <= rank)."""
    left, values, _ = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    informative = int((values > values[0] * max(X.shape) * np.finfo(float).eps).sum())
    rank = min(rank, informative)
    return left[:, :rank] * values[:rank]


def means(train, selected, by):
    """Mean profile, in float64, of the selected rows of each group: group label(s) -> (n_genes,)."""
    rows = np.flatnonzero(selected)
    groups = train.obs.iloc[rows].groupby(by).indices
    return {
        group: np.asarray(train.X[rows[members]].mean(axis=0, dtype=np.float64)).ravel()
        for group, members in groups.items()
    }


def not_applicable(reason: str) -> None:
    """Exit as the contract asks of a method that cannot answer any request."""
    print(reason, file=sys.stderr)
    sys.exit(99)


def write(genes, request_ids, profiles, answered) -> None:
    """One float32 row per request, in order, over the training genes, in order."""
    prediction = ad.AnnData(
        X=np.asarray(profiles, dtype=np.float32),
        obs=pd.DataFrame({"answered": answered}, index=list(request_ids)),
        var=pd.DataFrame(index=genes),
    )
    prediction.write_h5ad(OUTPUT / "prediction.h5ad")


if __name__ == "__main__":
    main()
