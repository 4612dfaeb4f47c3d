"""Interpolated duplicate: the other half of the cells where it is sure, the train mean where it is not."""

from __future__ import annotations

import numpy as np
from scipy.special import stdtr

from lanner.bounds import BOUNDS, Array, Bound, CellPool, SealedTruth, bound
from lanner.moments import group_moments


@bound
class InterpolatedDuplicate(Bound):
    """The technical duplicate, each gene pulled to the train mean by its p-value (Miller et al. 2025).

    alpha d + (1 - alpha) m with alpha = 1 - Benjamini-Hochberg p of the duplicate's cells against the other
    train perturbed cells of the context, t-test with overestimated variance. An oracle, not a model: it
    shows what less noise is worth.
    """

    id = "interpolated-duplicate"
    kind = "positive"

    def centroid(self, truth: SealedTruth, i: int, members: Array) -> Array | None:
        """``(P, n_genes)``; None without a duplicate, or fewer than 5 other train perturbations."""
        duplicate = BOUNDS["technical-duplicate"].centroid(truth, i, members)
        others = truth.others(i)
        if duplicate is None or others is None:
            return None
        trust = 1 - adjusted_p(truth, i, ~members, others)
        means: Array = trust * duplicate + (1 - trust) * truth.train_mean[truth.context_of[i]]
        return means

    def pool(self, truth: SealedTruth, i: int, members: Array) -> CellPool | None:
        """None: no cells have this mean."""
        return None


def adjusted_p(truth: SealedTruth, i: int, members: Array, others: tuple[Array, Array]) -> Array:
    """Benjamini-Hochberg p ``(P, n_genes)`` of groups of cells against others; 1 where nothing varies."""
    from scipy.stats import false_discovery_control

    mean, variance = others
    n, own, spread = group_moments(truth.cells(i), members)
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = spread / n, variance / n  # overestimated: the others count as no more cells than these
        t = (own - mean) / np.sqrt(a + b)
        freedom = (a + b) ** 2 / ((a**2 + b**2) / (n - 1))
        p = 2 * stdtr(freedom, -np.abs(t))
    adjusted: Array = false_discovery_control(np.nan_to_num(p, nan=1.0), axis=-1)
    return adjusted
