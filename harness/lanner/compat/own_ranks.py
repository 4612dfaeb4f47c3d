"""Where each perturbation's own profile comes among all of them."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["mid_rank_of_own"]

Array = np.ndarray[Any, Any]


def mid_rank_of_own(distances: Array) -> Array:
    """Rank from 0 of the diagonal entry within its row of ``(P, P)`` by rising distance, float64 ``(P,)``.

    Ties share their middle rank, which is what a random order gives on average. NaN comes last.
    """
    found = np.where(np.isnan(distances), np.inf, distances)
    own = np.diag(found)[:, None]
    ranks: Array = (found < own).sum(axis=1) + 0.5 * ((found == own).sum(axis=1) - 1)
    return ranks
