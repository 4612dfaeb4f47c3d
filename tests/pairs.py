"""A pair of files in memory, each answer by its most evident formula: ``lanner.pairs`` is held against it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.spatial.distance import cdist
from scipy.stats import mannwhitneyu, wasserstein_distance

Array = np.ndarray[Any, Any]


@dataclass
class MemorySide:
    """``groups`` are dense cells ``(n, G)`` of each perturbation; ``controls`` those of the control."""

    groups: list[Array]
    controls: Array

    def n_cells(self) -> Array:
        return np.array([len(group) for group in self.groups])

    def n_control(self) -> int:
        return len(self.controls)

    def means(self) -> Array:
        return np.stack([group.mean(axis=0, dtype=np.float64) for group in self.groups])

    def variances(self) -> Array:
        return np.stack([group.var(axis=0, ddof=1, dtype=np.float64) for group in self.groups])

    def control_mean(self) -> Array:
        return self.controls.mean(axis=0, dtype=np.float64)

    def control_variance(self) -> Array:
        return self.controls.var(axis=0, ddof=1, dtype=np.float64)

    def cells(self, p: int) -> sp.csr_matrix:
        return sp.csr_matrix(self.groups[p].astype(np.float32))

    def control_cells(self) -> sp.csr_matrix:
        return sp.csr_matrix(self.controls.astype(np.float32))

    def mann_whitney(self) -> tuple[Array, Array]:
        controls = self.controls.astype(np.float64)  # of float32, SciPy returns float32 p-values
        tests = [
            mannwhitneyu(group.astype(np.float64), controls, method="asymptotic", use_continuity=True)
            for group in self.groups
        ]
        p = np.stack([test.pvalue for test in tests])
        return np.stack([test.statistic for test in tests]), np.where(np.isnan(p), 1.0, p)

    def energy_to_control(self) -> Array:
        return np.array([v_energy(group, self.controls) for group in self.groups])


@dataclass
class MemoryPair:
    """Both files, labels and genes; see ``lanner.compat.Pair``."""

    perturbations: tuple[str, ...]
    genes: tuple[str, ...]
    truth: MemorySide
    prediction: MemorySide
    control: str = "control"
    train: MemorySide | None = None
    train_perturbations: tuple[str, ...] = ()

    @property
    def targets(self) -> tuple[tuple[int, ...], ...]:
        column = {gene: g for g, gene in enumerate(self.genes)}
        return tuple(
            tuple(column[part] for part in name.split("+") if part in column) for name in self.perturbations
        )

    def energy(self) -> Array:
        return np.array([v_energy(x, y) for x, y in self._both()])

    def wasserstein_by_gene(self) -> Array:
        return np.array(
            [
                [wasserstein_distance(x[:, g], y[:, g]) for g in range(len(self.genes))]
                for x, y in self._both()
            ]
        )

    def _both(self) -> list[tuple[Array, Array]]:
        return list(zip(self.prediction.groups, self.truth.groups, strict=True))


def v_energy(x: Array, y: Array) -> float:
    x, y = x.astype(np.float64), y.astype(np.float64)
    return float(2 * cdist(x, y).mean() - cdist(x, x).mean() - cdist(y, y).mean())


def simulated_pair(
    seed: int = 0,
    *,
    n_genes: int = 60,
    sizes: tuple[int, ...] = (30, 41, 25, 33, 28, 36),
    n_control: int = 50,
) -> MemoryPair:
    """Sparse log1p expression: perturbation i changes five genes, ``gene_i`` (its own target) among them.

    The prediction is other cells of half the effect, so nothing about it is perfect or empty.
    """
    generator = np.random.default_rng(seed)
    base = generator.gamma(0.8, 1.2, n_genes)

    def cells(n: int, p: int | None, share: float) -> Array:
        mean = base.copy()
        if p is not None:
            changed = [p, *np.random.default_rng(1000 + p).choice(n_genes, 4, replace=False)]
            mean[changed] *= 1 + share * np.array([-0.9, 2.0, 3.0, -0.8, 1.5])
        return np.log1p(generator.poisson(mean * generator.gamma(5, 0.2, (n, 1)))).astype(np.float32)

    labels = tuple(f"gene_{p}" for p in range(len(sizes)))
    return MemoryPair(
        perturbations=labels,
        genes=tuple(f"gene_{g}" for g in range(n_genes)),
        truth=MemorySide([cells(n, p, 1.0) for p, n in enumerate(sizes)], cells(n_control, None, 0)),
        prediction=MemorySide([cells(n, p, 0.5) for p, n in enumerate(sizes)], cells(n_control, None, 0)),
        train=MemorySide([cells(30, p, 1.0) for p in range(20, 28)], cells(n_control, None, 0)),
        train_perturbations=tuple(f"gene_{p}" for p in range(20, 28)),
    )
