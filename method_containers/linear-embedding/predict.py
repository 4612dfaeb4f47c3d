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
    if not control:
        not_applicable("the training data hold no control cells")
    G = gene_embedding(
        np.stack([*(centroid[key] for key in conditions), *control.values()], axis=1),
        task["parameters"].get("rank", 10),
    )
    embedding = dict(zip(train.var_names, G, strict=True))
    if task["parameters"].get("perturbations", "train") == "resource":
        embedding = granted_embedding()

    def embedded(targets):
        """Sum of the targets' rows of the embedding; None unless every one of them has a row."""
        names = targets.split(task["combination"])
        return sum(embedding[name] for name in names) if all(name in embedding for name in names) else None

    trained = {key: embedded(key[0]) for key in conditions}
    trained = {key: p for key, p in trained.items() if p is not None}
    asked = [embedded(targets) for targets in requests["targets"]]
    has_control = requests["context"].isin(list(control)).to_numpy()
    answered = np.array([p is not None for p in asked], dtype=bool) & has_control
    if not (requests["targets"] != "").any():
        not_applicable("the requests name no target genes")
    if not trained:
        not_applicable("no training perturbation with control cells is named after a measured gene")
    if not answered.any():
        not_applicable("no request targets a measured gene in a context with control cells")

    # One column per training condition, and one of zeros for the control of each context.
    Y = np.zeros((train.n_vars, len(trained) + len(control)))
    P = np.zeros((next(iter(trained.values())).size, Y.shape[1]))
    for column, (key, p) in enumerate(trained.items()):
        Y[:, column] = centroid[key] - control[key[2]]
        P[:, column] = p
    b, K = fit(Y, G, P, task["parameters"].get("ridge", 0.1))

    profiles = np.zeros((len(requests), train.n_vars))
    for row, request in requests.iterrows():
        if answered[row]:
            profiles[row] = control[request["context"]] + b + G @ (K @ asked[row])
        else:
            reason = "a target is not a measured gene" if has_control[row] else "no control cells"
            print(f"unanswered: {request['perturbation']} in {request['context']}: {reason}", file=sys.stderr)
    return profiles, answered


def fit(Y, G, P, ridge):
    """b = row means of Y; K = (G'G + ridge I)^-1 G'(Y - b)P' (PP' + ridge I)^-1."""
    b = Y.mean(axis=1)
    left = np.linalg.solve(G.T @ G + ridge * np.eye(G.shape[1]), G.T @ (Y - b[:, None]) @ P.T)
    return b, np.linalg.solve(P @ P.T + ridge * np.eye(P.shape[0]), left.T).T


def gene_embedding(X, rank):
    """Scores of the genes on the first principal components of X, genes x conditions: (n_genes, <= rank)."""
    left, values, _ = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    informative = int((values > values[0] * max(X.shape) * np.finfo(float).eps).sum())
    rank = min(rank, informative)
    return left[:, :rank] * values[:rank]


def granted_embedding():
    """gene -> its row (n_features,) of the tables in /input/resources, joined on the genes they share."""
    paths = sorted((INPUT / "resources").glob("*.features.csv"))
    if not paths:
        not_applicable("the leaderboard grants no embedding (a table in /input/resources)")
    tables = [
        pd.read_csv(path, index_col="gene", dtype={"gene": str}, keep_default_na=False) for path in paths
    ]
    table = pd.concat(tables, axis=1, join="inner")
    return dict(zip(table.index, table.to_numpy(dtype=np.float64), strict=True))


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
