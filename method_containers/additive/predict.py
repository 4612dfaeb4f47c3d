"""additive: a combination does what its single perturbations do, added up."""

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
    """Control mean of the context + sum of the deltas of the single perturbations in that context."""
    is_control = (train.obs["perturbation"] == task["control"]).to_numpy()
    control = means(train, is_control, "context")
    centroid = means(train, ~is_control, CONDITION)

    profiles = np.zeros((len(requests), train.n_vars))
    answered = np.zeros(len(requests), dtype=bool)
    unanswered = []
    for row, request in requests.iterrows():
        context = request["context"]
        singles = request["perturbation"].split(task["combination"])
        profiles[row] = control.get(context, 0.0)
        missing = [single for single in singles if (single, request["dose"], context) not in centroid]
        if len(singles) == 1:
            unanswered.append(f"{request['perturbation']} in {context}: not a combination")
        elif context not in control:
            unanswered.append(f"{request['perturbation']} in {context}: no control cells")
        elif missing:
            unanswered.append(
                f"{request['perturbation']} in {context}: no single {' and no single '.join(missing)}"
            )
        else:
            answered[row] = True
            profiles[row] += sum(
                centroid[single, request["dose"], context] - control[context] for single in singles
            )

    if not answered.any():
        not_applicable("no request is a combination whose singles were all measured in its context")
    for reason in unanswered:
        print(f"unanswered: {reason}", file=sys.stderr)
    return profiles, answered


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
