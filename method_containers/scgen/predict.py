"""scgen: a perturbation is a vector in the latent space of a variational autoencoder."""

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
BATCH, PATIENCE = 128, 10  # 32 and 25 in the package's tutorial: a step costs a CPU nearly the same


def main() -> None:
    """Read the staged input, predict, write /output/prediction.h5ad."""
    task, train, requests = read()
    cells, answered = predict(task, train, requests)
    write(train.var_names, requests["request_id"], cells, answered)


def read():
    """The task, the training data and the requests, labelled by condition and context."""
    task = json.loads((INPUT / "task.json").read_text(encoding="utf-8"))
    train = ad.read_h5ad(INPUT / "train.h5ad")
    requests = pd.read_csv(INPUT / "requests.csv", dtype=str, keep_default_na=False)
    train.obs = labelled(train.obs.astype(str), task)
    requests[["condition", "context"]] = labelled(requests, task)
    return task, train, requests


def labelled(frame, task):
    """``condition`` and ``context`` of each row."""
    columns = task["columns"]
    condition = frame[columns["perturbation"]].copy()
    if "dose" in columns:
        treated = condition != task["control"]
        condition[treated] += "@" + frame.loc[treated, columns["dose"]]
    context = ["|".join(row) for row in frame[columns["context"]].to_numpy()]
    return pd.DataFrame({"condition": condition, "context": context}, index=frame.index)


def predict(task, train, requests):
    """Control cells of the context, encoded, moved by the perturbation's vector, decoded."""
    if task["dataset"]["kind"] != "cells":
        not_applicable("scGen is trained on cells and the data are profiles")
    is_control = (train.obs["condition"] == task["control"]).to_numpy()
    controls = train.obs[is_control].groupby("context").indices
    controls = {context: np.flatnonzero(is_control)[members] for context, members in controls.items()}
    seen = train.obs[~is_control & train.obs["context"].isin(list(controls)).to_numpy()]
    contexts = {name: sorted(set(part["context"])) for name, part in seen.groupby("condition")}
    known = requests["condition"].isin(list(contexts)).to_numpy()
    answered = known & requests["context"].isin(list(controls)).to_numpy()
    if not answered.any():
        not_applicable("no request's perturbation was seen in training and has control cells in its context")
    for row in np.flatnonzero(~answered):
        reason = "no control cells" if known[row] else "it was not seen in training"
        print(f"unanswered: {requests['perturbation'][row]}: {reason}", file=sys.stderr)

    parameters = task["parameters"]
    model = trained(train, task, parameters.get("epochs", 50))
    generator = np.random.default_rng(int(os.environ.get("LANNER_SEED", task["seed"])))
    cells = np.zeros((len(requests), task["n_cells"], train.n_vars), dtype=np.float32)
    for row in np.flatnonzero(answered):
        condition, context = requests.loc[row, ["condition", "context"]]
        pool = controls[context]
        chosen = generator.choice(pool, task["n_cells"], replace=len(pool) < task["n_cells"])
        arithmetic = parameters.get("arithmetic", "all")
        moved, _ = model.predict(
            ctrl_key=task["control"],
            stim_key=condition,
            adata_to_predict=train[chosen].copy(),
            restrict_arithmetic_to="all" if arithmetic == "all" else {"context": contexts[condition]},
        )
        cells[row] = moved.X
    if task["dataset"]["scale"] != "lfc":  # a network knows nothing of the border of expression
        cells = np.maximum(cells, 0)
    return cells, answered


def trained(train, task, epochs):
    """The package's model, trained on all training cells."""
    import torch  # here, for it takes seconds that a refusal need not
    from of_today import SCGEN
    from scvi import settings

    settings.seed = int(os.environ.get("LANNER_SEED", task["seed"]))
    settings.num_threads = max(1, int(float(os.environ.get("LANNER_CPUS", 1))))
    torch.use_deterministic_algorithms(True)
    SCGEN.setup_anndata(train, batch_key="condition", labels_key="context")
    model = SCGEN(train)
    model.train(
        max_epochs=epochs,
        batch_size=BATCH,
        early_stopping=True,
        early_stopping_patience=PATIENCE,
        accelerator="cpu",
        enable_progress_bar=False,
        default_root_dir=os.environ.get("HOME", "/tmp"),
    )
    return model


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
