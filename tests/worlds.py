"""One small simulated truth on which every registered metric is scorable, and what can be done to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from lanner.metrics.gene_sets import gene_sets
from lanner.records import Condition
from truths import MemoryTruth

Array = np.ndarray[Any, Any]
N_GENES, N_CELLS = 1040, 48
"""As many genes as the widest metric wants besides targets."""


def every_metrics_world(
    *,
    seed: int = 0,
    change: Callable[[Array], Array] = lambda cells: cells,
    order: Array | None = None,
    n_cells: int = N_CELLS,
    effect: float = 1.0,
    halvings: int = 1,
    shared: bool = True,
    **options: Any,
) -> MemoryTruth:
    """Doubles of two contexts (5 and 2 of them) and their singles in train, on genes of the shipped sets.

    ``change`` is applied to all cells, dense ``(n, N_GENES)``; ``order`` permutes the genes. Controls are one
    shared reference, so that a perfect prediction is perfect on changes too.
    """
    generator = np.random.default_rng(seed)
    named = list(dict.fromkeys(gene for gene_set in gene_sets() for gene in gene_set.genes))
    genes = [f"T{i}" for i in range(N_GENES - len(named))] + named
    base = generator.gamma(1.0, 1.0, (2, N_GENES)) + 0.2
    own = generator.normal(0, 1.2, (12, N_GENES)) * (generator.random((12, N_GENES)) < 0.15)
    own[np.arange(12), np.arange(12)] = -2.0
    together = generator.normal(0, 1.5, (12, N_GENES)) * (generator.random((12, N_GENES)) < 0.15)
    place = np.arange(N_GENES) if order is None else order

    def draw(targets: tuple[int, ...], n: int, context: int) -> sp.csr_matrix:
        log_rate = np.log(base[context]) + effect * own[list(targets)].sum(axis=0)
        if len(targets) > 1:
            log_rate = log_rate + effect * together[targets[0]]
        programme = generator.normal(0, 0.5, (n, 1)) * np.isin(genes, named[::2])
        counts = generator.poisson(np.exp(log_rate + programme)).astype(float)
        cells = np.log1p(1000 * counts / counts.sum(axis=1, keepdims=True))
        return sp.csr_matrix(change(cells.astype(np.float32).astype(float))[:, place].astype(np.float32))

    def condition(targets: tuple[int, ...], context: int) -> Condition:
        names = tuple(f"T{t}" for t in targets)
        return Condition(
            perturbation="+".join(names), targets=names, context=(f"c{context}",), n_cells=n_cells
        )

    test, train, controls = {}, {}, {}
    for context, n_doubles in enumerate((5, 2)):
        controls[f"c{context}"] = draw((), 2 * N_CELLS, context)
        for c in range(n_doubles):
            test[condition((c, c + 1), context)] = draw((c, c + 1), n_cells, context)
        for c in range(7):
            train[condition((c,), context)] = draw((c,), N_CELLS, context)
    return MemoryTruth(
        genes=tuple(genes[g] for g in place),
        test=test,
        train=train,
        controls=controls,
        halvings=halvings,
        shared=shared,
        seed=seed,
        **options,
    )


def true_cells(truth: MemoryTruth) -> Array:
    """All held-out cells in the order of the requests, dense float64."""
    cells = [truth.cells(i).toarray() for i in range(len(truth.requests))]
    return np.concatenate(cells).astype(float)


def guessed_cells(truth: MemoryTruth, seed: int = 5) -> Array:
    """Neither right nor wrong: true cells on the way to the controls, genes of each cell a little scaled."""
    generator = np.random.default_rng(seed)
    cells = true_cells(truth)
    return cells * generator.uniform(0.8, 1.2, cells.shape[1]) * (generator.random(cells.shape) < 0.97)
