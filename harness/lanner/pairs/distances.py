"""Sums over pairs of cells of Euclidean distances and Gaussian kernels, over all genes.

Matrix products are float32 where the differences that are taken afterwards leave enough of it, and float64
elsewhere: squared distances are differences of large numbers, and little is left of them where two cells
nearly coincide. All sums are float64. Means of distances agree with a float64 computation to 1e-6.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lanner.pairs.points import COLUMNS, Points

__all__ = ["Points", "between", "within"]

Array = np.ndarray[Any, Any]

CLOSE = 1e-3
"""Share of |x|^2 + |y|^2 below which a squared distance from float32 products is computed anew."""
NOTHING = 2.0**-46
"""Share of |x|^2 + |y|^2 below which a squared distance from float64 products is rounding: 64 units."""


def within(points: Points, gammas: Sequence[float] = ()) -> Array:
    """Totals over all ordered pairs of one set, each cell with itself included; as ``between`` summed up."""
    totals = np.zeros(1 + len(gammas))
    for columns in _columns(points):
        squared = _squared(points, points, columns)
        diagonal = torch.arange(columns.start, columns.stop, device=squared.device)
        squared[diagonal, diagonal - columns.start] = 0.0
        totals += _sums(squared, gammas).sum(dim=1).cpu().numpy()
    return totals


def between(left: Points, right: Points, gammas: Sequence[float] = (), *, first: int = 0) -> Array:
    """Sums over the cells of ``right``, for each cell of ``left``; float64 ``(1 + len(gammas), n_left)``.

    The first row sums distances, the others the kernels ``exp(-gamma d^2)``. Cells of ``right`` before
    ``first`` are left out.
    """
    totals = torch.zeros(1 + len(gammas), len(left), dtype=torch.float64, device=left.values.device)
    for columns in _columns(right, first):
        totals += _sums(_squared(left, right, columns), gammas)
    answer: Array = totals.cpu().numpy()
    return answer


def _sums(squared: Tensor, gammas: Sequence[float]) -> Tensor:
    """Row sums of kernels and of distances, float64 ``(1 + len(gammas), n)``; ``squared`` is overwritten."""
    kernels = [(squared * -gamma).exp_().sum(dim=1, dtype=torch.float64) for gamma in gammas]
    return torch.stack([squared.sqrt_().sum(dim=1, dtype=torch.float64), *kernels])


def _columns(points: Points, first: int = 0) -> list[slice]:
    """Up to multiples of COLUMNS, wherever the first is: blocks that are asked for again are the same."""
    edges = [first, *range((first // COLUMNS + 1) * COLUMNS, len(points), COLUMNS), len(points)]
    return [slice(low, high) for low, high in itertools.pairwise(edges) if low < high]


def _squared(left: Points, right: Points, columns: slice) -> Tensor:
    """Squared distances, in the dtype of the points."""
    other_norms = right.norms[columns]
    squared = left.products(right, columns)
    squared *= -2
    dtype = squared.dtype
    squared += left.norms.to(dtype)[:, None]
    squared += other_norms.to(dtype)[None, :]
    if dtype == torch.float64:
        return _without_rounding(squared, left.norms, other_norms)
    # Mostly none is close, which the least of all shows in one pass.
    if bool(squared.min() < CLOSE * float(left.norms.max() + other_norms.max())):
        close = squared < CLOSE * (left.norms.float()[:, None] + other_norms.float()[None, :])
        if bool(close.any()):
            _recompute(squared, close, left, right, columns)
    return squared


def _recompute(squared: Tensor, close: Tensor, left: Points, right: Points, columns: slice) -> None:
    """Squared distances of close pairs anew: few from differences, many from float64 products."""
    rows, places = close.nonzero(as_tuple=True)
    if len(rows) <= 4 * len(left):
        for a, b in zip(torch.split(rows, 4096), torch.split(places, 4096), strict=True):
            squared[a, b] = left.squared_between(a, right, b + columns.start).float()
        return
    for part in torch.split(torch.unique(rows), 256):
        exact = left.products_in_double(part, right, columns).mul_(-2)
        exact += left.norms[part][:, None] + right.norms[columns][None, :]
        squared[part] = _without_rounding(exact, left.norms[part], right.norms[columns]).float()


def _without_rounding(squared: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """What is no larger than rounding, or below zero, is zero."""
    return squared.masked_fill_(squared <= NOTHING * (left[:, None] + right[None, :]), 0.0)
