"""gradient-boosting: boosted trees from features of target and context to components of the change."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

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
    """Control mean of the context + what boosted trees make of the targets' and the context's features."""
    is_control = (train.obs["perturbation"] == task["control"]).to_numpy()
    control = means(train, is_control, "context")
    centroid = means(train, ~is_control, CONDITION)
    if not (requests["targets"] != "").any():
        not_applicable("the requests name no target genes")
    if not control or not centroid:
        not_applicable("the training data hold no perturbed condition with control cells of its context")
    parameters = task["parameters"]
    missing = parameters.get("unmeasured", "decline") == "missing"
    table = gene_features(train, control, centroid, parameters.get("rank", 10))
    where = context_features(control)
    targets, changes, contexts = conditions(task, train, control, centroid)
    known = [row for row, names in enumerate(targets) if missing or all(name in table for name in names)]
    if not known:
        not_applicable("no training perturbation with control cells has features")

    asked = [text.split(task["combination"]) for text in requests["targets"]]
    has_features = np.array([missing or all(name in table for name in names) for names in asked], dtype=bool)
    has_control = requests["context"].isin(list(control)).to_numpy()
    answered = has_features & has_control
    if not answered.any():
        not_applicable("no request's targets all have features in a context with control cells")
    for row in np.flatnonzero(~answered):
        reason = "a target has no features" if has_control[row] else "no control cells"
        print(f"unanswered: {requests['perturbation'][row]}: {reason}", file=sys.stderr)

    def features(names, context):
        """Sum of the targets' features, missing where one has none, beside the context's."""
        width = next(iter(table.values())).size if table else 0
        total = sum((table.get(name, np.full(width, np.nan)) for name in names), np.zeros(width))
        return np.concatenate([total, where[context]])

    seen = np.stack([features(targets[row], contexts[row]) for row in known])
    rows = np.flatnonzero(answered)
    new = np.stack([features(asked[row], requests["context"][row]) for row in rows])
    profiles = np.zeros((len(requests), train.n_vars))
    profiles[rows] = boosted(seen, changes[known], new, parameters)
    profiles[rows] += [control[context] for context in requests["context"][rows]]
    return profiles, answered


def boosted(seen, changes, new, parameters):
    """Changes (n, n_genes): boosted trees for each principal component of the changes, and back to genes."""
    mean = changes.mean(axis=0)
    known = ~np.isnan(seen).all(axis=0)  # the trees cannot take a column that is missing everywhere
    seen, new = seen[:, known], new[:, known]
    if not seen.shape[1]:  # an empty table: nothing to split by
        return np.repeat(mean[None], len(new), axis=0)
    _, values, right = np.linalg.svd(changes - mean, full_matrices=False)
    informative = int((values > max(values[0], 1e-300) * max(changes.shape) * np.finfo(float).eps).sum())
    right = right[: min(parameters.get("components", 10), informative)]
    predicted = np.zeros((len(new), len(right)))
    with threadpool_limits(max(1, int(float(os.environ.get("LANNER_CPUS", 1))))):
        for component, scores in enumerate(((changes - mean) @ right.T).T):
            model = HistGradientBoostingRegressor(
                max_iter=parameters.get("trees", 100),
                learning_rate=parameters.get("rate", 0.1),
                max_depth=3,
                min_samples_leaf=parameters.get("leaf", 3),
                early_stopping=False,
                random_state=0,
            )
            predicted[:, component] = model.fit(seen, scores).predict(new)
    return mean + predicted @ right


def context_features(control):
    """Context -> its control mean's scores on the principal components of all contexts' control means."""
    X = np.stack(list(control.values()))
    left, values, _ = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    kept = int((values > values[0] * max(X.shape) * np.finfo(float).eps).sum())
    return dict(zip(control, left[:, :kept] * values[:kept], strict=True))


def conditions(task, train, control, centroid):
    """Training conditions that have features: their targets, changes (n, n_genes) and contexts."""
    keys = [key for key in centroid if key[2] in control]
    targets = [key[0].split(task["combination"]) for key in keys]
    changes = [centroid[key] - control[key[2]] for key in keys]
    return targets, np.array(changes).reshape(len(keys), train.n_vars), [key[2] for key in keys]


def gene_features(train, control, centroid, rank):
    """gene -> its features (n_features,): of the granted tables, else principal component scores of train."""
    paths = sorted((INPUT / "resources").glob("*.features.csv"))
    if paths:
        tables = [
            pd.read_csv(path, index_col="gene", dtype={"gene": str}, keep_default_na=False) for path in paths
        ]
        table = pd.concat(tables, axis=1, join="inner")
        return dict(zip(table.index, table.to_numpy(dtype=np.float64), strict=True))
    X = np.stack([*centroid.values(), *control.values()], axis=1)
    left, values, _ = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    rank = min(rank, int((values > values[0] * max(X.shape) * np.finfo(float).eps).sum()))
    return dict(zip(train.var_names, left[:, :rank] * values[:rank], strict=True))


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
