"""latent-additive: in a latent space, a perturbation is added to the unperturbed cell."""

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


STEPS, BATCH, RATE, WIDTH, LATENT = 1500, 128, 1e-3, 128, 64
MOST_CONTROLS = 500  # of a context, from which its predictions are made


class LatentAdditive(nn.Module):
    """decoder(encode cell + encode perturbation), each told the context."""

    def __init__(self, n_genes, n_parts, n_contexts):
        super().__init__()
        self.cell = mlp(n_genes + n_contexts, LATENT)
        self.perturbation = mlp(n_parts + n_contexts, LATENT)
        self.decoder = mlp(LATENT + n_contexts, n_genes)

    def forward(self, cell, done, where):
        """Expression (n, genes) from ``cell`` (n, genes), ``done`` (n, parts), ``where`` (n, contexts)."""
        nothing = self.perturbation(torch.cat([torch.zeros_like(done), where], dim=1))
        added = self.perturbation(torch.cat([done, where], dim=1)) - nothing
        return self.decoder(torch.cat([self.cell(torch.cat([cell, where], dim=1)) + added, where], dim=1))


def predict(task, train, requests):
    """Mean over control cells of the context of what the network makes of them under the perturbation."""
    device, generator = begin(task)
    is_control = (train.obs["perturbation"] == task["control"]).to_numpy()
    contexts, parts = vocabulary(train, task)
    groups = train.obs[is_control].groupby("context").indices
    controls = {context: np.flatnonzero(is_control)[members] for context, members in groups.items()}
    asked = [parts_of(request["perturbation"], request["dose"], task) for _, request in requests.iterrows()]
    answered = np.array([all(part in parts for part in names) for names in asked], dtype=bool)
    answered &= requests["context"].isin(list(controls)).to_numpy()
    if not answered.any():
        not_applicable("no request's targets were all seen in training, in a context with control cells")
    for name in requests["perturbation"][~answered]:
        print(f"unanswered: {name}: a target was not in training, or there are no controls", file=sys.stderr)

    done, where = labels(train.obs, task, contexts, parts)
    usable = np.flatnonzero(train.obs["context"].isin(list(controls)))
    pool = [controls.get(context) for context in train.obs["context"]]
    model = LatentAdditive(train.n_vars, len(parts), len(contexts)).to(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
    for _ in range(task["parameters"].get("steps", STEPS)):
        batch = generator.choice(usable, min(BATCH, usable.size), replace=False)
        paired = [generator.choice(pool[row]) for row in batch]
        inputs = (rows(train.X, paired), done[batch], where[batch])
        predicted = model(*(tensor.to(device) for tensor in inputs))
        loss = nn.functional.mse_loss(predicted, rows(train.X, batch).to(device))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    profiles = np.zeros((len(requests), train.n_vars))
    done, where = labels(requests, task, contexts, parts)
    with torch.no_grad():
        for row in np.flatnonzero(answered):
            cells = rows(train.X, controls[requests["context"][row]][:MOST_CONTROLS])
            inputs = (cells, done[[row]].expand(len(cells), -1), where[[row]].expand(len(cells), -1))
            cells = model(*(tensor.to(device) for tensor in inputs))
            profiles[row] = cells.double().mean(dim=0).cpu().numpy()
    if task["dataset"]["scale"] != "lfc":  # a network knows nothing of the border of expression
        profiles = np.maximum(profiles, 0)
    return profiles, answered


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
