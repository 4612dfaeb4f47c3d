"""decoder-only: a network that is told the context, and no cell; by default not the perturbation."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import torch
from torch import nn

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


STEPS, BATCH, RATE, WIDTH = 1500, 128, 1e-3, 128


def predict(task, train, requests):
    """decoder(context), or decoder(context, perturbation), trained on perturbed cells."""
    device, generator = begin(task)
    told = task["parameters"].get("perturbation", False)
    contexts, parts = vocabulary(train, task)
    usable = np.flatnonzero(train.obs["perturbation"] != task["control"])
    if not usable.size:
        not_applicable("the training data hold no perturbed condition")
    asked = [parts_of(request["perturbation"], request["dose"], task) for _, request in requests.iterrows()]
    answered = np.array([not told or all(part in parts for part in names) for names in asked], dtype=bool)
    seen = contexts if told else set(train.obs["context"].iloc[usable])
    answered &= requests["context"].isin(list(seen)).to_numpy()
    if not answered.any():
        not_applicable("no request is about a context, or a target, that was perturbed in training")
    for name in requests["perturbation"][~answered]:
        print(f"unanswered: {name}: its context or a target was not in training", file=sys.stderr)

    if told:
        usable = np.arange(train.n_obs)  # controls tell a context apart where nothing else was seen of it
    done, where = (tensor.to(device) for tensor in labels(train.obs, task, contexts, parts))
    decoder = mlp(len(contexts) + (len(parts) if told else 0), train.n_vars).to(device)
    optimiser = torch.optim.Adam(decoder.parameters(), lr=RATE)
    for _ in range(task["parameters"].get("steps", STEPS)):
        batch = generator.choice(usable, min(BATCH, usable.size), replace=False)
        given = torch.cat([where[batch], done[batch]], dim=1) if told else where[batch]
        loss = nn.functional.mse_loss(decoder(given), rows(train.X, batch).to(device))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    done, where = (tensor.to(device) for tensor in labels(requests, task, contexts, parts))
    with torch.no_grad():
        predicted = decoder(torch.cat([where, done], dim=1) if told else where).double().cpu().numpy()
    if task["dataset"]["scale"] != "lfc":  # a network knows nothing of the border of expression
        predicted = np.maximum(predicted, 0)
    return np.where(answered[:, None], predicted, 0.0), answered


def labels(frame, task, contexts, parts):
    """Multi-hot rows of what was done (n, parts) and one-hot rows of the contexts (n, contexts), float32."""
    done = np.zeros((len(frame), len(parts)), dtype=np.float32)
    where = np.zeros((len(frame), len(contexts)), dtype=np.float32)
    for row, (perturbation, dose, context) in enumerate(frame[CONDITION].to_numpy()):
        for part in parts_of(perturbation, dose, task):
            done[row, parts.get(part, ())] = 1
        where[row, contexts.get(context, ())] = 1
    return torch.from_numpy(done), torch.from_numpy(where)


def parts_of(perturbation, dose, task):
    """What a perturbation consists of: its targets, with the dose where there is one; nothing for control."""
    names = [] if perturbation == task["control"] else perturbation.split(task["combination"])
    return [f"{name}@{dose}" if dose else name for name in names]


def vocabulary(train, task):
    """Positions of the contexts and of the parts of perturbations seen in training."""
    seen = train.obs[["perturbation", "dose"]].drop_duplicates().to_numpy()
    parts = sorted({part for perturbation, dose in seen for part in parts_of(perturbation, dose, task)})
    contexts = sorted(set(train.obs["context"]))
    return {name: i for i, name in enumerate(contexts)}, {name: i for i, name in enumerate(parts)}


def mlp(n_in, n_out):
    """Two hidden layers."""
    layers = [nn.Linear(n_in, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, n_out)]
    return nn.Sequential(*layers)


def rows(X, chosen):
    """Dense float32 rows of X."""
    block = X[chosen]
    return torch.from_numpy(np.asarray(block.todense() if hasattr(block, "todense") else block, np.float32))


def begin(task):
    """Seed everything; the device to compute on, and a generator of the same draws on every device."""
    seed = int(os.environ.get("LANNER_SEED", task["seed"]))
    torch.manual_seed(seed)
    torch.set_num_threads(max(1, int(float(os.environ.get("LANNER_CPUS", 1)))))
    torch.use_deterministic_algorithms(True)
    wanted = int(os.environ.get("LANNER_GPUS", 0)) > 0 and torch.cuda.is_available()
    return torch.device("cuda" if wanted else "cpu"), np.random.default_rng(seed)


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
