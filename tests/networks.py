"""A simulated regulatory network with known edges, and the sealed truth of held-out cells made from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from lanner.networks import Network, NetworkTruth
from lanner.networks.bounds import correlation, random
from lanner.networks.truth import Gold, Samples, theta_of

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class World:
    """Train cells ``(n, G)`` with the column intervened on (-1: none), and the truth of other cells."""

    train: Array
    train_target: Array
    truth: NetworkTruth


def simulate(
    seed: int = 0, n_genes: int = 56, n_regulators: int = 12, n_cells: int = 60, per_regulator: int = 4
) -> World:
    """Cells of a linear system: a regulator moves its targets, a hidden factor moves many genes together.

    Regulators come first and act on later genes only, so knocking one down moves its descendants. The hidden
    factor correlates genes that no edge connects: what observation alone is misled by.
    """
    generator = np.random.default_rng(seed)
    effects = np.zeros((n_genes, n_genes))
    for regulator in range(n_regulators):
        targets = generator.choice(np.arange(regulator + 1, n_genes), per_regulator, replace=False)
        effects[regulator, targets] = generator.choice([-0.7, 0.7], per_regulator)
    loading = generator.normal(0, 0.8, n_genes)

    def cells(n: int, knocked: int) -> Array:
        x = np.zeros((n, n_genes))
        hidden = generator.normal(0, 1, n)
        for gene in range(n_genes):
            noise = generator.normal(0, 0.7, n)
            x[:, gene] = 3 + (x - 3) @ effects[:, gene] + loading[gene] * hidden + noise
            if gene == knocked:
                x[:, gene] = 0.3
        x[generator.random(x.shape) < 0.1] = 0  # drop-out
        return np.maximum(x, 0).astype(np.float32)

    labels = [-1, *range(n_regulators)]
    train = [cells(3 * n_cells if label < 0 else n_cells, label) for label in labels]
    held = {label: cells(3 * n_cells if label < 0 else n_cells, label) for label in labels}
    genes = tuple(f"G{g:03d}" for g in generator.permutation(n_genes))
    regulators = np.arange(n_regulators)
    references = [random(genes, regulators, 100, f"{seed}/{draw}") for draw in range(3)]
    references.append(correlation(genes, regulators, sp.csr_matrix(train[0]), 100))
    X = np.concatenate(list(held.values()))
    truth = NetworkTruth(
        genes=genes,
        regulators=regulators,
        controls=sp.csr_matrix(held[-1]),
        interventions={genes[r]: sp.csr_matrix(held[r]) for r in range(n_regulators)},
        unseen=frozenset(genes[r] for r in range(0, n_regulators, 3)),
        n_edges=n_regulators * per_regulator,
        seed=f"seed {seed}",
        samples=Samples(
            X=X,
            groups=np.arange(len(X)) % 3,
            target=np.concatenate([np.full(len(block), label) for label, block in held.items()]),
        ),
        theta=theta_of(references),
        gold=Gold(
            signs=sp.csr_matrix(np.sign(effects), dtype=np.float32),
            signed=True,
            regulators=np.arange(n_genes) < n_regulators,
            targets=np.ones(n_genes, dtype=bool),
        ),
        train_sd=train[0].std(axis=0).astype(np.float64),
    )
    of_cell = np.concatenate([np.full(len(block), label) for label, block in zip(labels, train, strict=True)])
    return World(train=np.concatenate(train), train_target=of_cell, truth=truth)


def mean_difference(world: World, max_edges: int) -> Network:
    """What a method can know from interventions: differences of train means, knock-down against control."""
    truth = world.truth
    control = world.train[world.train_target < 0].mean(axis=0)
    weights = np.zeros((len(truth.genes),) * 2)
    for regulator in truth.regulators:
        cells = world.train[world.train_target == regulator]
        spread = np.sqrt(cells.var(axis=0) / len(cells) + 1e-3)
        weights[regulator] = truth.direction * (cells.mean(axis=0) - control) / spread
        weights[regulator, regulator] = 0
    return Network.checked(truth.genes, truth.regulators, weights).top(max_edges)


def observed_correlation(world: World, max_edges: int) -> Network:
    """What a method can know from control cells alone."""
    cells = sp.csr_matrix(world.train[world.train_target < 0])
    return correlation(world.truth.genes, world.truth.regulators, cells, max_edges)


def permuted(network: Network, order: Array) -> Network:
    """The same network with its genes in another order."""
    return Network.checked(
        tuple(network.genes[g] for g in order),
        np.argsort(order)[network.regulators],
        network.weights[order][:, order],
    )
