"""network-propagation: the change of a target spreads along a granted network, regression by regression."""

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
NAMES = {"source": "regulator", "tf": "regulator"}


def main() -> None:
    """Read the staged input, predict, write /output/prediction.h5ad."""
    task, train, requests = read()
    profiles, answered = predict(task, train, requests)
    write(train.var_names, requests["request_id"], profiles, answered)


def read():
    """The task, the training data and the requests, labelled by perturbation and context."""
    task = json.loads((INPUT / "task.json").read_text(encoding="utf-8"))
    train = ad.read_h5ad(INPUT / "train.h5ad")
    requests = pd.read_csv(INPUT / "requests.csv", dtype=str, keep_default_na=False)
    columns = task["columns"]
    labels = train.obs.astype(str)
    context = ["|".join(row) for row in labels[columns["context"]].to_numpy()]
    train.obs = pd.DataFrame(
        {"perturbation": labels[columns["perturbation"]], "context": context}, index=train.obs_names
    )
    requests["context"] = ["|".join(row) for row in requests[columns["context"]].to_numpy()]
    return task, train, requests


def predict(task, train, requests):
    """Control mean of the context, plus the change that spreads from the targets in a number of steps."""
    regulators = granted_network(train.var_names)
    X = sp.csr_matrix(train.X, dtype=np.float64)
    is_control = (train.obs["perturbation"] == task["control"]).to_numpy()
    by_context = train.obs[is_control].groupby("context").indices
    control = {context: mean(X[np.flatnonzero(is_control)[rows]]) for context, rows in by_context.items()}
    if not (requests["targets"] != "").any():
        not_applicable("the requests name no target genes")
    level_of = levels(task, train, X, control)
    B = coefficients(task, train, X, regulators)
    lowest, highest = X.min(axis=0).toarray().ravel(), X.max(axis=0).toarray().ravel()

    profiles, answered = np.zeros((len(requests), train.n_vars)), np.zeros(len(requests), dtype=bool)
    for row, request in requests.iterrows():
        names, context = request["targets"].split(task["combination"]), request["context"]
        targets = train.var_names.get_indexer(names)
        revealed = request.get("target_levels", "").split(task["combination"])
        start = control.get(context)
        reached = [] if start is None or (targets < 0).any() else level_of(start[targets], revealed)
        if not len(reached):
            print(f"unanswered: {request['perturbation']} in {context}", file=sys.stderr)
            continue
        # Repeated, so that each step passes on what the one before brought; targets stay where they are put.
        change = np.zeros(train.n_vars)
        change[targets] = reached - start[targets]
        for _ in range(task["parameters"].get("steps", 3)):
            change = np.clip(start + change @ B, lowest, highest) - start
            change[targets] = reached - start[targets]
        profiles[row], answered[row] = start + change, True
    if not answered.any():
        not_applicable("no request targets measured genes in a context with control cells")
    return profiles, answered


def granted_network(genes):
    """Positions of the regulators of each gene with any: target -> sorted (n,), of all granted networks."""
    paths = sorted((INPUT / "resources").glob("*.network.*"))
    if not paths:
        not_applicable("no network is granted (a table *.network.tsv or .csv in /input/resources)")
    found = set()
    for path in paths:
        separator = "," if path.suffix == ".csv" else "\t"
        table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False).rename(columns=NAMES)
        pairs = zip(genes.get_indexer(table["regulator"]), genes.get_indexer(table["target"]), strict=True)
        found |= {(target, regulator) for regulator, target in pairs if regulator != target}
    known = pd.DataFrame(sorted(pair for pair in found if min(pair) >= 0), columns=["target", "regulator"])
    return {target: group.to_numpy() for target, group in known.groupby("target")["regulator"]}


def coefficients(task, train, X, regulators):
    """B (n_genes, n_genes), row regulator: ridge of each gene on its regulators, within contexts."""
    ridge = task["parameters"].get("ridge", 10.0)
    parts = [set(label.split(task["combination"])) for label in train.obs["perturbation"]]
    centred = np.zeros(X.shape)
    for rows in train.obs.groupby("context").indices.values():
        centred[rows] = X[rows].toarray()
        centred[rows] -= centred[rows].mean(axis=0)
    gram = centred.T @ centred
    B = np.zeros((train.n_vars, train.n_vars))
    perturbed = set().union(*parts)
    for target, columns in regulators.items():
        gene = train.var_names[target]
        own = centred[[gene in targets for targets in parts]] if gene in perturbed else centred[:0]
        A = gram[np.ix_(columns, columns)] - own[:, columns].T @ own[:, columns]
        b = gram[columns, target] - own[:, columns].T @ own[:, target]
        B[columns, target] = np.linalg.solve(A + ridge * np.eye(len(columns)), b)
    return B


def levels(task, train, X, control):
    """What says where targets end: function of control levels and revealed texts, [] where nothing tells."""
    seen = []
    for (gene, context), rows in train.obs.groupby(["perturbation", "context"]).indices.items():
        if gene in train.var_names and context in control:
            column = train.var_names.get_loc(gene)
            seen.append((X[rows, column].mean(), control[context][column]))
    after, before = np.array(seen).reshape(-1, 2).T
    shift = np.median(after - before) if len(seen) else np.nan
    share = np.median(after[before > 0] / before[before > 0]) if (before > 0).any() else np.nan
    is_lfc = task["dataset"]["scale"] == "lfc"
    if not len(seen) and task["dataset"]["perturbation_kind"] in {"CRISPRi", "CRISPRko", "Cas13d", "RNAi"}:
        shift, share = (np.nan, np.nan) if is_lfc else (-np.inf, 0.0)

    def level_of(start, revealed):
        assumed = start * share if shift <= 0 and not is_lfc else start + shift
        given = [float(text) if text else np.nan for text in revealed]
        given = np.array(given if len(given) == len(start) else [np.nan] * len(start))
        reached = np.where(np.isnan(given), assumed, given)
        return reached if np.isfinite(reached).all() else []

    return level_of


def mean(X):
    """Mean (n_genes,) of the rows of a sparse matrix."""
    return np.asarray(X.mean(axis=0)).ravel()


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
