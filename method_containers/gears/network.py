"""The package's network, loss, optimiser and schedule (cell-gears 0.1.2), on the contract's cells."""

from __future__ import annotations

import os

import numpy as np
import torch
from gears.model import GEARS_Model
from gears.utils import GeneSimNetwork, loss_fct
from graphs import with_loops
from torch import nn
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader

HIDDEN, RATE, DECAY, BATCH, DIRECTION = 64, 1e-3, 5e-4, 32, 0.1  # the package's defaults
LEAST_ROWS = 800  # of training data in an epoch: 25 batches; profiles are repeated, they are few


def trained(train, controls, usable, position, graphs, task):
    """The network in evaluation mode.

    ``controls``: rows of the control cells of each context; ``usable``: mask of the rows in such contexts;
    ``position``: of the nodes of the perturbation graph; ``graphs``: edges of co-expression and of it.
    """
    seed = int(os.environ.get("LANNER_SEED", task["seed"]))
    torch.manual_seed(seed)
    torch.set_num_threads(max(1, int(float(os.environ.get("LANNER_CPUS", 1)))))
    torch.use_deterministic_algorithms(True)
    model = built(list(train.var_names), list(position), *graphs)
    generator = np.random.default_rng(seed)
    rows = training_rows(train.obs[usable], np.flatnonzero(usable), task["parameters"], generator)
    cells = cell_graphs(train, rows, controls, position, task, generator)
    fit(model, cells, train, task["control"], task["parameters"].get("epochs", 10))
    return model.eval()


def added(model, targets):
    """What the network adds to a control cell for ``targets``, positions in the perturbation graph: (genes,).

    Its output is the cell plus a term that does not look at the cell, so that a cell of zeros says it all.
    """
    graph = Data(x=torch.zeros(model.num_genes, 1), pert_idx=targets)
    with torch.no_grad():
        return model(Batch.from_data_list([graph])).double().numpy()[0]


def built(genes, nodes, expressed_alike, perturbed_alike):
    """The package's model at its default sizes."""
    expressed = GeneSimNetwork(with_loops(expressed_alike, genes), genes, {g: i for i, g in enumerate(genes)})
    perturbed = GeneSimNetwork(with_loops(perturbed_alike, nodes), nodes, {n: i for i, n in enumerate(nodes)})
    return GEARS_Model(
        {
            "hidden_size": HIDDEN,
            "num_go_gnn_layers": 1,
            "num_gene_gnn_layers": 1,
            "decoder_hidden_size": 16,
            "uncertainty": False,
            "G_go": perturbed.edge_index,
            "G_go_weight": perturbed.edge_weight,
            "G_coexpress": expressed.edge_index,
            "G_coexpress_weight": expressed.edge_weight,
            "device": "cpu",
            "num_genes": len(genes),
            "num_perts": len(nodes),
            "no_perturb": False,
        }
    )


def training_rows(obs, rows, parameters, generator):
    """Rows to train on: at most ``cells`` of a perturbation, all repeated where they are few."""
    most = parameters.get("cells", 200)
    groups = [rows[members] for _, members in sorted(obs.groupby("perturbation").indices.items())]
    chosen = np.concatenate([generator.permutation(group)[:most] for group in groups])
    return np.tile(chosen, max(1, -(-LEAST_ROWS // len(chosen))))


def cell_graphs(train, rows, controls, position, task, generator):
    """One graph per training cell: a random control cell of its context in, the cell itself out."""
    graphs = []
    for row in rows:
        perturbation, context = train.obs.iloc[row][["perturbation", "context"]]
        untreated = perturbation == task["control"]
        basal = row if untreated else generator.choice(controls[context])
        parts = perturbation.split(task["combination"])
        graphs.append(
            Data(
                x=torch.from_numpy(dense(train.X[[basal]]).reshape(-1, 1)),
                y=torch.from_numpy(dense(train.X[[row]])),
                pert_idx=[-1] if untreated else [position[name] for name in parts],
                pert="ctrl" if untreated else perturbation,
            )
        )
    return graphs


def fit(model, cells, train, control, epochs):
    """Adam, its rate halved after each epoch, on the package's loss: without a condition's zero genes."""
    means = {
        name: np.asarray(train.X[members].mean(axis=0), dtype=np.float32).ravel()
        for name, members in train.obs.groupby("perturbation").indices.items()
    }
    basal = torch.from_numpy(means[control])
    nonzero = {name: np.flatnonzero(mean) for name, mean in means.items()}
    loader = DataLoader(cells, batch_size=BATCH, shuffle=True, drop_last=True)
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, step_size=1, gamma=0.5)
    model.train()
    for _ in range(epochs):
        for batch in loader:
            optimiser.zero_grad()
            predicted = model(batch)
            loss = loss_fct(
                predicted, batch.y, batch.pert, ctrl=basal, dict_filter=nonzero, direction_lambda=DIRECTION
            )
            loss.backward()
            nn.utils.clip_grad_value_(model.parameters(), clip_value=1.0)
            optimiser.step()
        schedule.step()


def dense(block):
    """float32 array of a slice of X."""
    return np.asarray(block.todense() if hasattr(block, "todense") else block, dtype=np.float32)
