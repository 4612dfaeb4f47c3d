"""A simulated truth whose genes belong to the shipped gene sets: programmes that cells switch on together."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from lanner.metrics.gene_sets import gene_sets
from lanner.records import Condition
from truths import MemoryTruth

PER_SET = 8
"""Genes of each set that are measured; none is in two sets."""


def simulate_programmes(
    *,
    n_conditions: int = 3,
    n_contexts: int = 2,
    n_cells: int = 80,
    n_controls: int = 200,
    seed: int = 0,
    **options: Any,
) -> MemoryTruth:
    """Poisson counts of programmes: each perturbation moves some, couples others and arrests the cycle.

    Two contexts differ in their base expression; half of the conditions of each are train.
    """
    generator = np.random.default_rng(seed)
    sets: dict[str, list[str]] = {}
    for gene_set in gene_sets():
        taken = {gene for genes in sets.values() for gene in genes}
        sets[gene_set.name] = [gene for gene in gene_set.genes if gene not in taken][:PER_SET]
    genes = (*(f"T{i}" for i in range(30)), *(gene for group in sets.values() for gene in group))
    member = np.array([[gene in group for gene in genes] for group in sets.values()], dtype=float)
    cycle = np.array([name.startswith("cell-cycle") for name in sets])
    base = generator.gamma(2.0, 1.0, (n_contexts, len(genes))) + 0.3

    def draw(
        context: int, shift: np.ndarray[Any, Any], spread: np.ndarray[Any, Any], phases: Any, n: int
    ) -> sp.csr_matrix:
        activity = shift + spread * generator.normal(size=(n, len(sets)))
        phase = generator.choice(3, n, p=phases)
        activity[:, cycle] += 1.5 * (phase[:, None] == [1, 2])
        counts = generator.poisson(np.exp(np.log(base[context]) + activity @ member))
        total = counts.sum(axis=1, keepdims=True)
        return sp.csr_matrix(np.log1p(counts / total * 300).astype(np.float32))

    none, usual = np.zeros(len(sets)), np.full(len(sets), 0.2)
    test, train, controls = {}, {}, {}
    for context in range(n_contexts):
        controls[f"c{context}"] = draw(context, none, usual, (0.5, 0.25, 0.25), n_controls)
        for c in range(2 * n_conditions):
            shift, spread = generator.normal(0, 0.7, len(sets)), generator.choice([0.1, 1.0], len(sets))
            cells = draw(context, shift, spread, generator.dirichlet((1, 1, 1)), n_cells)
            name = f"T{c}"
            condition = Condition(
                perturbation=name, targets=(name,), context=(f"c{context}",), n_cells=n_cells
            )
            (test if c < n_conditions else train)[condition] = cells
    return MemoryTruth(genes=genes, test=test, train=train, controls=controls, seed=seed, **options)
