"""Lanner's compatibility metrics on the small data, beside what a peer answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lanner.compat import COMPAT, Pair

from benchmarks.peers import data
from tests.pairs import MemoryPair, MemorySide

FOLDER = Path(__file__).parent.parent.parent / "tests" / "golden" / "peers"
PREFIX = {"cell-eval": "cell_eval", "gge": "gge", "pertpy": "pertpy", "scperteval": "scperteval"}
"""First part of our ids, by peer."""
RTOL, ATOL = 1e-9, 1e-12
"""Peers compute the small data in float64 where they can; where they cannot it says so below."""
TOLERANCE: dict[str, tuple[float, float]] = {
    # The peer takes distances from inner products: that of a cell to itself is up to 1e-7 instead of 0.
    "scperteval/energy_distance_pca_k": (1e-7, 1e-8),
    "pertpy/edistance": (1e-7, 1e-7),
    "pertpy/mean_pairwise": (1e-7, 1e-7),
    # geomloss in float32, from inner products.
    "gge/energy": (1e-6, 2e-8),
}
TIED = {
    "cell_eval/discrimination_score_l1": {"twin_a", "twin_b"},
    "cell_eval/discrimination_score_l2": {"twin_a", "twin_b"},
    "cell_eval/discrimination_score_cosine": {"twin_a", "twin_b", "gene_050"},
}
"""Equal distances, which the peer ranks by an unstable sort: twins, and the cosine of a zero vector."""


@dataclass(frozen=True)
class Agreement:
    """One metric: the greatest differences over perturbations both define, and whether they are allowed."""

    id: str
    relative: float
    absolute: float
    agrees: bool


def metric_id(peer: str, name: str) -> str:
    """Our id of a peer's metric."""
    return f"{PREFIX[peer]}/{name.lower()}"


def small_pair() -> MemoryPair:
    """The small data, perturbations in sorted order."""
    small = data.small()
    labels = tuple(sorted(data.SIZES))
    truth, prediction = (
        MemorySide([side.groups[label] for label in labels], side.controls)
        for side in (small.truth, small.prediction)
    )
    return MemoryPair(labels, data.GENES, truth, prediction, control=data.CONTROL)


def compare(pair: Pair, id: str, expected: Mapping[str, float], *, rtol: float = RTOL) -> Agreement:
    """Our metric against the peer's values by perturbation, ``rtol`` or looser; NaN agrees with NaN only."""
    found = COMPAT[id](pair).values
    found = np.broadcast_to(found, len(pair.perturbations))
    kept = np.array([label not in TIED.get(id, ()) for label in pair.perturbations])
    ours, theirs = found[kept], np.array([expected[label] for label in pair.perturbations])[kept]
    relative, atol = TOLERANCE.get(id, (RTOL, ATOL))
    rtol = max(rtol, relative)
    both = np.isfinite(ours) & np.isfinite(theirs)
    apart = np.abs(ours - theirs)[both]
    scale = np.abs(theirs)[both]
    return Agreement(
        id=id,
        relative=float(
            np.divide(apart, scale, out=np.zeros_like(apart), where=scale > atol).max(initial=0.0)
        ),
        absolute=float(apart.max(initial=0.0)),
        agrees=bool(np.allclose(ours, theirs, rtol=rtol, atol=atol, equal_nan=True)),
    )
