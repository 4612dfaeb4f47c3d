"""Means and variances of groups of cells, gene by gene, without visiting zeros."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

Array = np.ndarray[Any, Any]


def group_moments(cells: sp.csr_matrix, members: Array) -> tuple[Array, Array, Array]:
    """Size ``(P, 1)``, mean and unbiased variance ``(P, n_genes)`` of groups of cells, float64."""
    groups = members.T.astype(np.float64)
    wide = sp.csr_matrix(cells, dtype=np.float64)
    sizes = groups.sum(axis=0)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (wide.T @ groups).T / sizes
        squares = (wide.multiply(wide).T @ groups).T
        variance = np.maximum(squares - sizes * mean**2, 0.0) / (sizes - 1)
    return sizes, mean, variance
