"""Simulated cells for benchmarks: negative binomial counts as log1p of counts per 10,000, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Size:
    """``n`` perturbations of 100 cells each, control cells, genes."""

    n: int
    controls: int
    genes: int
    cells: int = 100


SIZES = {
    "T": Size(12, 150, 200, 40),
    "S": Size(100, 2_000, 2_000),
    "M": Size(500, 5_000, 5_000),
    "L": Size(2_000, 10_000, 8_000),
}
"""T is for tests; S, M and L are those of the goals."""

NONZERO = 0.132
DISPERSION = 2.0


def design(shape: Size, seed: int) -> tuple[Array, Array]:
    """Mean counts ``(G,)`` with NONZERO of them above zero, and log fold changes ``(n, G)``."""
    generator = np.random.default_rng([seed, 0])
    base = generator.lognormal(0, 1.6, shape.genes)
    low, high = 1e-6, 1e3
    for _ in range(60):
        middle = np.sqrt(low * high)
        share = 1 - (1 + base * middle / DISPERSION) ** -DISPERSION
        low, high = (middle, high) if share.mean() < NONZERO else (low, middle)
    effects = generator.normal(0, 0.7, (shape.n, shape.genes))
    effects *= generator.random(effects.shape) < 0.05
    effects[np.arange(shape.n), np.arange(shape.n)] = np.log(0.2)
    return base * low, effects


def blocks(
    shape: Size, base: Array, changes: Array, generator: np.random.Generator
) -> Iterator[dict[str | None, sp.csr_matrix]]:
    for p in range(shape.n):
        yield {None: _cells(base * np.exp(changes[p]), shape.cells, generator)}
    for start in range(0, shape.controls, 500):
        yield {None: _cells(base, min(500, shape.controls - start), generator)}


def _cells(mean: Array, n: int, generator: np.random.Generator) -> sp.csr_matrix:
    """Negative binomial counts by inversion, visiting only what is not zero; then log1p of 10,000 each."""
    rate = mean.astype(np.float32) * generator.lognormal(0, 0.25, (n, 1)).astype(np.float32)
    odds = rate / (rate + np.float32(DISPERSION))
    none = (1 - odds) ** np.float32(DISPERSION)
    left = generator.random(rate.shape, dtype=np.float32) - none
    rows, columns = np.nonzero(left > 0)
    left, odds, term = left[rows, columns], odds[rows, columns], none[rows, columns]
    counts = np.ones(len(left))
    active = np.arange(len(left))
    for k in range(1, 500):
        term[active] *= odds[active] * np.float32((k - 1 + DISPERSION) / k)
        left[active] -= term[active]
        active = active[left[active] > 0]
        if not active.size:
            break
        counts[active] += 1
    total = np.bincount(rows, counts, n)
    values = np.log1p(counts * (1e4 / total[rows])).astype(np.float32)
    indptr = np.searchsorted(rows, np.arange(n + 1))
    return sp.csr_matrix((values, columns.astype(np.int32), indptr), shape=rate.shape)
