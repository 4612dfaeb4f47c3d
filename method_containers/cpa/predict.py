"""cpa: a perturbation is a vector in a latent space that an adversary keeps ignorant of perturbations."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from codes import Codes

INPUT = Path(os.environ.get("LANNER_INPUT", "/input"))
OUTPUT = Path(os.environ.get("LANNER_OUTPUT", "/output"))


def main() -> None:
    """Read the staged input, predict, write /output/prediction.h5ad."""
    task, train, requests = read()
    cells, answered = predict(task, train, requests)
    write(train.var_names, requests["request_id"], cells, answered)


def read():
    """The task, the training data and the requests, labelled alike."""
    task = json.loads((INPUT / "task.json").read_text(encoding="utf-8"))
    train = ad.read_h5ad(INPUT / "train.h5ad")
    requests = pd.read_csv(INPUT / "requests.csv", dtype=str, keep_default_na=False)
    train.obs = labelled(train.obs.astype(str), task)
    labels = labelled(requests, task)
    labels["request_id"] = requests["request_id"]
    if "dose" in task["columns"]:  # 1 is the largest that was given
        largest = train.obs["dose"][train.obs["perturbation"] != task["control"]].max()
        for frame in (train.obs, labels):
            frame.loc[frame["perturbation"] != task["control"], "dose"] /= largest
    return task, train, labels


def labelled(frame, task):
    """``perturbation``, ``dose``, ``context`` and, of each context column, ``covariate_<i>`` of each row."""
    columns = task["columns"]
    perturbation = frame[columns["perturbation"]]
    found = pd.DataFrame({"perturbation": perturbation, "dose": 1.0}, index=frame.index)
    if "dose" in columns:
        told = frame[columns["dose"]].where(perturbation != task["control"], "1")
        found["dose"] = pd.to_numeric(told, errors="coerce").astype(float)
    found["context"] = ["|".join(row) for row in frame[columns["context"]].to_numpy()]
    for index, name in enumerate(columns["context"]):
        found[f"covariate_{index}"] = frame[name]
    return found


def predict(task, train, requests):
    """Control cells of the context through the autoencoder, the perturbation's vectors in between."""
    if task["dataset"]["kind"] != "cells":
        not_applicable("CPA is trained on cells and the data are profiles")
    if train.obs["dose"].isna().any():
        not_applicable("a dose is not a number, and CPA scales the vector of a perturbation by its dose")
    is_control = (train.obs["perturbation"] == task["control"]).to_numpy()
    controls = train.obs[is_control].groupby("context").indices
    controls = {context: np.flatnonzero(is_control)[members] for context, members in controls.items()}
    split = task["combination"]
    seen = {part for name in set(train.obs["perturbation"][~is_control]) for part in name.split(split)}
    known = np.array([seen.issuperset(name.split(split)) for name in requests["perturbation"]], dtype=bool)
    known &= requests["dose"].notna().to_numpy()
    answered = known & requests["context"].isin(list(controls)).to_numpy()
    if not answered.any():
        not_applicable(
            "no request's perturbations were all seen in training and have control cells in its context"
        )
    for row in np.flatnonzero(~answered):
        reason = "no control cells" if known[row] else "a part of it was not seen in training"
        print(f"unanswered: {requests['perturbation'][row]}: {reason}", file=sys.stderr)

    from network import decoded, trained  # here, for it takes seconds that a refusal need not

    parameters = task["parameters"]
    generator = np.random.default_rng(int(os.environ.get("LANNER_SEED", task["seed"])))
    rows = training_rows(train.obs, parameters.get("cells", 200), generator)
    codes = Codes(train.obs, requests["perturbation"], task)
    network = trained(train.X[rows], train.obs.iloc[rows], codes, task, parameters.get("epochs", 400))
    n_cells = task["n_cells"]
    cells = np.zeros((len(requests), n_cells, train.n_vars), dtype=np.float32)
    for row in np.flatnonzero(answered):
        pool = controls[requests["context"][row]]
        chosen = generator.choice(pool, n_cells, replace=len(pool) < n_cells)
        asked = codes.of(requests.iloc[np.full(n_cells, row)])
        cells[row] = decoded(network, train.X[chosen], asked)
    if task["dataset"]["scale"] != "lfc":  # a network knows nothing of the border of expression
        cells = np.maximum(cells, 0)
    return cells, answered


def training_rows(obs, most, generator):
    """Rows to train on: at most ``most`` of a perturbation, at a dose, in a context."""
    groups = obs.groupby(["perturbation", "dose", "context"]).indices
    return np.sort(np.concatenate([generator.permutation(groups[key])[:most] for key in sorted(groups)]))


def not_applicable(reason: str) -> None:
    """Exit as the contract asks of a method that cannot answer any request."""
    print(reason, file=sys.stderr)
    sys.exit(99)


def write(genes, request_ids, cells, answered) -> None:
    """float32 rows <request_id>/<i>, cells of each request in order, over the training genes, in order."""
    n_cells = cells.shape[1]
    names = [f"{name}/{index}" for name in request_ids for index in range(n_cells)]
    prediction = ad.AnnData(
        X=cells.reshape(len(names), -1),
        obs=pd.DataFrame({"answered": np.repeat(answered, n_cells)}, index=names),
        var=pd.DataFrame(index=genes),
    )
    prediction.write_h5ad(OUTPUT / "prediction.h5ad")


if __name__ == "__main__":
    main()
