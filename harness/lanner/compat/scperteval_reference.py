"""What scPertEval 0.2.0 compares with: who is scored, the other perturbations' mean and cells, Welch's t.

Everything here comes from the truth file, as in its ``score``: controls and all other perturbations are
measured ones, for truth and prediction alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from lanner.compat import Pair, PeerMetric, PeerValues, Side, peer_metric
from lanner.compat.once import once

__all__ = ["FAULTS", "NOT_SCORED", "Effects", "effects", "others_mean", "protocol", "scored"]

Array = np.ndarray[Any, Any]
MIN_CELLS = 30
NOT_SCORED = "fewer than 30 true cells, no gene in the protocol's space, or a constant profile"
FAULTS = (
    "references and gene sets are made of all perturbations, held-out ones too, so a score depends on which "
    "others are in the file; the target gene counts; of more than 8,192 perturbed cells the peer draws 8,192 "
    "for the reference, here all of them serve"
)
protocol: Callable[..., Callable[[Callable[[Pair], PeerValues]], PeerMetric]] = partial(
    peer_metric,
    peer="scPertEval",
    peer_version="0.2.0",
    undefined="NaN; below 30 true cells a perturbation is not scored and in no mean of the others",
    faults=FAULTS,
    citation="scPertEval 0.2.0, table of protocols, in its `score` mode",
)


@dataclass(frozen=True)
class Effects:
    """Welch's t of a side's perturbations against all other true perturbed cells; ``(P, G)`` each."""

    t: Array
    adjusted_p: Array


def scored(pair: Pair) -> list[int]:
    """The perturbations with the 30 true cells scPertEval asks for."""
    return [p for p, n in enumerate(pair.truth.n_cells()) if n >= MIN_CELLS]


@once
def others_mean(pair: Pair) -> Array:
    """Mean of the true means of all other scored perturbations, each weighing the same, ``(P, G)``."""
    kept, means = scored(pair), pair.truth.means()
    total = means[kept].sum(axis=0)
    return np.asarray((total - means) / max(len(kept) - 1, 1))


@once
def effects(pair: Pair) -> tuple[Effects, Effects]:
    """Truth and prediction, each against the same cells: every other perturbation's in the truth."""
    truth = pair.truth
    n = np.asarray(truth.n_cells(), np.float64)[:, None]
    means, variances = truth.means(), np.nan_to_num(truth.variances())
    sums, squares = n * means, (n - 1) * variances + n * means**2
    left = n.sum() - n
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (sums.sum(axis=0) - sums) / left
        spread = (squares.sum(axis=0) - squares) / left - mean**2
        variance = np.maximum(spread * left / np.maximum(left - 1, 1), 0.0)
    return _welch(truth, mean, variance, left), _welch(pair.prediction, mean, variance, left)


def _welch(side: Side, mean: Array, variance: Array, left: Array) -> Effects:
    """t of each gene, 0 where neither group varies; two-sided p, BH-adjusted within the perturbation."""
    from scipy import stats

    n = np.asarray(side.n_cells(), np.float64)[:, None]
    own, other = np.nan_to_num(side.variances()) / n, variance / left
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.nan_to_num((side.means() - mean) / np.sqrt(own + other), nan=0.0, posinf=0.0, neginf=0.0)
        freedom = (own + other) ** 2 / (own**2 / np.maximum(n - 1, 1) + other**2 / np.maximum(left - 1, 1))
    freedom = np.where(np.isfinite(freedom) & (freedom > 0), freedom, 1.0)
    p = np.nan_to_num(2.0 * stats.t.sf(np.abs(t), freedom), nan=1.0)
    return Effects(t, stats.false_discovery_control(np.clip(p, 0.0, 1.0), axis=1))
