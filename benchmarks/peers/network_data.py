"""The small networks CausalBench is run on. NumPy only: the peer's environment imports this file.

Every gene is intervened on, as CausalBench has it. Values are multiples of 2^-12, tied in half of the genes;
groups range from 5 cells (where scipy's rank test is exact) to 30.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
SEED = 11
CONTROL = "non-targeting"
GENES = tuple(f"gene_{g:03d}" for g in (7, 3, 21, 0, 15, *range(30, 61)))
GENERATOR = "benchmarks.peers.network_data.small_networks"


@dataclass(frozen=True)
class SmallNetworks:
    """Cells ``(n, G)`` by intervention, the control among them; edges ``(source, target)`` by network."""

    cells: dict[str, Array]
    networks: dict[str, list[tuple[int, int]]]

    @property
    def sha256(self) -> str:
        """Hash of every value and edge, in order."""
        digest = hashlib.sha256()
        for label, cells in self.cells.items():
            digest.update(label.encode())
            digest.update(np.ascontiguousarray(cells, dtype="<f8").tobytes())
        for name, edges in self.networks.items():
            digest.update(f"{name}{edges}".encode())
        return digest.hexdigest()


def small_networks(seed: int = SEED) -> SmallNetworks:
    """The data and networks; equal for equal seeds."""
    generator, n = np.random.default_rng(seed), len(GENES)
    moved = generator.choice([0.0, 0.0, 0.0, 1.0, -0.8], size=(n, n))

    def block(size: int, shift: Array) -> Array:
        values = np.maximum(generator.normal(1.5 + shift, 0.7, size=(size, n)), 0.0)
        values[:, ::2] = np.round(values[:, ::2] * 4) / 4
        return np.round(values * 4096.0) / 4096.0

    cells = {CONTROL: block(40, np.zeros(n))}
    for g, gene in enumerate(GENES):
        shift = moved[g].copy()
        shift[g] = -1.4
        cells[gene] = block(5 + (7 * g) % 26, shift)
    pairs = [(a, b) for a in range(n) for b in range(n) if a != b]
    strong = [pair for pair in pairs if moved[pair]]
    pick = generator.permutation
    networks = {
        "true edges": [strong[i] for i in pick(len(strong))[:14]],
        "random edges": [pairs[i] for i in pick(len(pairs))[:20]],
        "chain": [(g, g + 1) for g in range(8)],
        "circle": [(0, 1), (1, 2), (2, 0), (2, 9)],
        "with a self loop": [(4, 4), (4, 5), (6, 4)],
        "one edge": [(10, 3)],
    }
    return SmallNetworks(cells, networks)
