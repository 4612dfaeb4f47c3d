"""Build the comparison a metric is given: arrays on the device, references of one context."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lanner.bounds import SealedTruth
from lanner.metrics import Comparison, Statistics
from lanner.metrics.population import Population

Array = np.ndarray[Any, Any]


def compare(
    truth: SealedTruth,
    k: int,
    *,
    predicted: Array,
    true: Array,
    masked: Array,
    n_cells: Array,
    device: str,
    labels: Tensor | None = None,
    population: Population | None = None,
    statistics: Statistics | None = None,
    train_candidates: Callable[[], tuple[Tensor, Tensor]] | None = None,
) -> Comparison:
    """A comparison within context ``k``; shapes as ``Comparison`` states them."""

    def tensor(array: Array) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(array), device=device)

    return Comparison(
        predicted=tensor(predicted),
        truth=tensor(true),
        predicted_reference=tensor(truth.control_a[k][None, :]),
        truth_reference=tensor(truth.control_b[k][None, :]),
        train_reference=tensor(truth.train_mean[k][None, :]),
        masked=tensor(masked),
        n_cells=tensor(n_cells),
        labels=labels,
        population=population,
        statistics=statistics,
        train_candidates=train_candidates,
        genes=truth.genes,
    )
