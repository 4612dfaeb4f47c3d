"""crispr-informed: the mean of perturbed cells, with the target gene switched off or doubled."""

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


FACTORS = {
    **dict.fromkeys(("CRISPRi", "CRISPRko", "Cas13d", "shRNA", "siRNA", "simulated"), 0.0),
    **dict.fromkeys(("CRISPRa", "overexpression"), 2.0),
}


def predict(task, train, requests):
    """Mean of the perturbed training cells of the context (else of all), its targets multiplied by 0 or 2."""
    kind = task["dataset"]["perturbation_kind"]
    if kind not in FACTORS:
        not_applicable(f"a perturbation of kind {kind} neither switches its target off nor on")
    if task["dataset"]["scale"] == "lfc":
        not_applicable("log fold changes cannot be multiplied as expression can")
    is_perturbed = (train.obs["perturbation"] != task["control"]).to_numpy()
    if not is_perturbed.any():
        not_applicable("the training data hold no perturbed condition")
    in_context = means(train, is_perturbed, "context")
    everywhere = np.asarray(train.X[np.flatnonzero(is_perturbed)].mean(axis=0, dtype=np.float64)).ravel()

    genes = {gene: column for column, gene in enumerate(train.var_names)}
    profiles = np.stack([in_context.get(context, everywhere) for context in requests["context"]])
    answered = np.ones(len(requests), dtype=bool)
    for row, request in requests.iterrows():
        targets = request["targets"].split(task["combination"])
        measured = [genes[target] for target in targets if target in genes]
        profiles[row, measured] *= FACTORS[kind]
        if len(measured) < len(targets):  # what is known of such a target is seen in no gene
            print(f"the mean alone for {request['perturbation']}: a target is not measured", file=sys.stderr)
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
