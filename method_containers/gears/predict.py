"""gears: a graph neural network that knows which genes are perturbed alike and which are expressed alike."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from graphs import coexpression, of_resources

INPUT = Path(os.environ.get("LANNER_INPUT", "/input"))
OUTPUT = Path(os.environ.get("LANNER_OUTPUT", "/output"))


def main() -> None:
    """Read the staged input, predict, write /output/prediction.h5ad."""
    task, train, requests = read()
    profiles, answered = predict(task, train, requests)
    write(train.var_names, requests["request_id"], profiles, answered)


def read():
    """The task, the training data with each row's targets and context, and the requests."""
    task = json.loads((INPUT / "task.json").read_text(encoding="utf-8"))
    train = ad.read_h5ad(INPUT / "train.h5ad")
    requests = pd.read_csv(INPUT / "requests.csv", dtype=str, keep_default_na=False)
    columns = task["columns"]
    labels = train.obs.astype(str)
    train.obs = pd.DataFrame(
        {
            "perturbation": labels[columns["perturbation"]],
            "context": ["|".join(row) for row in labels[columns["context"]].to_numpy()],
        },
        index=train.obs_names,
    )
    requests["context"] = ["|".join(row) for row in requests[columns["context"]].to_numpy()]
    return task, train, requests


def predict(task, train, requests):
    """Mean of the context's control cells + what the network adds for the targets."""
    if not (requests["targets"] != "").any():
        not_applicable("the requests name no target genes, and the perturbation graph is one of genes")
    is_control = (train.obs["perturbation"] == task["control"]).to_numpy()
    controls = train.obs[is_control].groupby("context").indices
    controls = {context: np.flatnonzero(is_control)[members] for context, members in controls.items()}
    usable = train.obs["context"].isin(list(controls)).to_numpy()
    split = task["combination"]
    seen = {n for text in set(train.obs["perturbation"][usable & ~is_control]) for n in text.split(split)}
    asked = [text.split(split) for text in requests["targets"]]
    genes = list(train.var_names)
    nodes = sorted(seen | set(genes) | {name for names in asked for name in names if name})

    similar = coexpression(train.X, genes)
    granted = of_resources(INPUT / "resources", set(nodes))
    edges = similar if granted is None else granted
    linked = neighbours(edges, seen) | seen
    known = np.array([all(name in linked for name in names) for names in asked], dtype=bool)
    answered = known & requests["context"].isin(list(controls)).to_numpy()
    if not seen or not answered.any():
        not_applicable("no request's targets were all seen in training or are linked to one that was")
    for row in np.flatnonzero(~answered):
        reason = "no control cells" if known[row] else "a target was not seen nor is linked to one that was"
        print(f"unanswered: {requests['perturbation'][row]}: {reason}", file=sys.stderr)

    from network import added, trained  # here, for it takes seconds that a refusal need not

    position = {name: index for index, name in enumerate(nodes)}
    model = trained(train, controls, usable, position, (similar, edges), task)
    profiles = np.zeros((len(requests), train.n_vars))
    for row in np.flatnonzero(answered):
        mean = train.X[controls[requests["context"][row]]].mean(axis=0, dtype=np.float64)
        profiles[row] = np.asarray(mean).ravel() + added(model, [position[name] for name in asked[row]])
    if task["dataset"]["scale"] != "lfc":  # a network knows nothing of the border of expression
        profiles = np.maximum(profiles, 0)
    return profiles, answered


def neighbours(edges, names):
    """Nodes with an edge to one of ``names``, whatever its direction."""
    forward = set(edges["target"][edges["source"].isin(names)])
    return forward | set(edges["source"][edges["target"].isin(names)])


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
