"""no-change: a perturbation does nothing; predict the mean of the context's control cells."""

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


def main() -> None:
    """Read the staged input, predict, write /output/prediction.h5ad."""
    task, train, requests = read()
    rows, answered = predict(task, train, requests)
    write(train.var_names, requests["request_id"], rows, answered)


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
    """The control mean of each request's context, or n_cells of its control cells; and what is answered."""
    is_control = (train.obs["perturbation"] == task["control"]).to_numpy()
    answered = requests["context"].isin(train.obs["context"][is_control]).to_numpy()
    if not answered.any():
        not_applicable("no requested context has control cells")
    if task["parameters"].get("output", "profile") == "cells" and task["n_cells"] > 1:
        return control_cells(task, train, requests, is_control), answered
    control = means(train, is_control, "context")
    nothing = np.zeros(train.n_vars)  # rows of unanswered requests are finite and ignored
    return np.stack([control.get(context, nothing) for context in requests["context"]]), answered


def control_cells(task, train, requests, is_control):
    """n_cells control cells per request, drawn without replacement where the context has that many."""
    n_cells = task["n_cells"]
    generator = np.random.default_rng(int(os.environ.get("LANNER_SEED", task["seed"])))
    drawn = []
    for context in requests["context"]:
        rows = np.flatnonzero(is_control & (train.obs["context"] == context).to_numpy())
        rows = rows if rows.size else np.zeros(1, dtype=int)  # unanswered
        drawn.append(generator.choice(rows, n_cells, replace=rows.size < n_cells))
    return train.X[np.concatenate(drawn)]


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


def write(genes, request_ids, rows, answered) -> None:
    """One float32 row per request, or n_cells of them, in order, over the training genes, in order."""
    n_cells = rows.shape[0] // len(request_ids)
    if n_cells == 1:
        names = list(request_ids)
    else:
        names = [f"{request}/{cell}" for request in request_ids for cell in range(n_cells)]
    prediction = ad.AnnData(
        X=rows.astype(np.float32),
        obs=pd.DataFrame({"answered": np.repeat(answered, n_cells)}, index=names),
        var=pd.DataFrame(index=genes),
    )
    prediction.write_h5ad(OUTPUT / "prediction.h5ad")


if __name__ == "__main__":
    main()
