"""two-factor: least squares on cells, an effect of the context plus one of the perturbation."""

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
    """Context effect + perturbation effect, fitted by least squares on all training cells, per gene."""
    centroid = means(train, np.ones(train.n_obs, dtype=bool), CONDITION)
    n_cells = train.obs.groupby(CONDITION).size()
    if all(perturbation == task["control"] for perturbation, _, _ in centroid):
        not_applicable("the training data hold no perturbed condition")
    contexts = sorted({context for _, _, context in centroid})
    levels = sorted({key[:2] for key in centroid if key[0] != task["control"]})
    columns = {name: column for column, name in enumerate([*contexts, *levels])}

    # Cells of a condition share a row of the design: the mean, weighted by their number, stands for them.
    weight = np.sqrt([n_cells[key] for key in centroid])[:, None]
    A = weight * np.stack([design(key, columns, task["control"]) for key in centroid])
    inverse = np.linalg.pinv(A)
    effects = inverse @ (weight * np.stack(list(centroid.values())))

    profiles = np.zeros((len(requests), train.n_vars))
    answered = np.zeros(len(requests), dtype=bool)
    for row, request in requests.iterrows():
        perturbation, dose, context = key = tuple(request[CONDITION])
        known = context in columns and (perturbation, dose) in columns
        x = design(key, columns, task["control"]) if known else np.zeros(len(columns))
        # Both effects may be seen, and yet only their difference to others: no shared context links them.
        if known and np.allclose(x @ inverse @ A, x):
            answered[row] = True
            profiles[row] = x @ effects
        else:
            reason = "not linked to its context" if known else "the perturbation or its context is in no cell"
            print(f"unanswered: {perturbation} in {context}: {reason}", file=sys.stderr)
    if not answered.any():
        not_applicable("no request combines a seen perturbation with a seen context")
    return profiles, answered


def design(key, columns, control):
    """The row of a condition: 1 for its context, 1 for its perturbation and dose unless it is a control."""
    row = np.zeros(len(columns))
    row[columns[key[2]]] = 1
    if key[0] != control:
        row[columns[key[:2]]] = 1
    return row


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
