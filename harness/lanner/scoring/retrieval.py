"""The pass for retrieval metrics: all requested conditions of a context at once, one truth part at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lanner.bounds import SealedTruth
from lanner.metrics import Metric
from lanner.scoring.comparisons import compare
from lanner.scoring.parts import ConditionParts
from lanner.scoring.sources import Source
from lanner.scoring.tables import VARIANTS, Tables

Array = np.ndarray[Any, Any]

CHUNK_BYTES = 256 << 20
"""Centroids kept in memory at a time; more parts are done in more passes over the cells."""


def score_retrieval(
    truth: SealedTruth,
    sources: Mapping[str, Source],
    metrics: Sequence[Metric],
    device: str,
    tables: Tables,
    *,
    contexts: Sequence[int],
) -> None:
    """Put the values of every source, variant and part into ``tables``, for the contexts of those numbers."""
    n_rows = tables.n_parts + 1
    for k in contexts:
        seen = _seen(truth, k, device)
        conditions = np.flatnonzero(truth.context_of == k)
        per_row = 8 * len(conditions) * len(truth.genes) * (1 + len(sources))
        step = max(CHUNK_BYTES // max(per_row, 1), 1)
        for start in range(0, n_rows, step):
            rows = range(start, min(start + step, n_rows))
            true, predicted = _centroids(truth, conditions, sources, rows)
            for position, row in enumerate(rows):
                for name, profiles in predicted.items():
                    _score_row(
                        truth,
                        k,
                        conditions,
                        profiles[0 if len(profiles) == 1 else position],
                        true[position],
                        metrics,
                        device,
                        tables,
                        source=name,
                        row=row,
                        seen=seen,
                    )


def _score_row(
    truth: SealedTruth,
    k: int,
    conditions: Array,
    predicted: Array,
    true: Array,
    metrics: Sequence[Metric],
    device: str,
    tables: Tables,
    *,
    source: str,
    row: int,
    seen: Callable[[], tuple[Tensor, Tensor]],
) -> None:
    exists: Array = np.asarray(np.isfinite(predicted).all(axis=1))
    if not exists.any():
        return
    for variant, (masked, full) in VARIANTS.items():
        if full != (row == tables.n_parts):
            continue
        comparison = compare(
            truth,
            k,
            predicted=np.where(exists[:, None], predicted, truth.train_mean[k]),
            true=true,
            masked=truth.targets[conditions] & masked,
            n_cells=np.array([truth.requests[i].condition.n_cells for i in conditions]),
            device=device,
            train_candidates=seen,
        )
        for metric in metrics:
            values = metric(comparison)
            tables.put(
                (source, metric.card.id, variant),
                values,
                conditions=conditions,
                row=0 if full else row,
                exists=exists,
            )


def _seen(truth: SealedTruth, k: int, device: str) -> Callable[[], tuple[Tensor, Tensor]]:
    """Train centroids of a context and their targets, read when a metric first asks for them."""

    @cache
    def read() -> tuple[Tensor, Tensor]:
        centroids, targets = truth.train_centroids(k)
        return torch.as_tensor(centroids, device=device), torch.as_tensor(targets, device=device)

    return read


def _centroids(
    truth: SealedTruth, conditions: Array, sources: Mapping[str, Source], rows: range
) -> tuple[Array, dict[str, Array]]:
    """Centroids ``(len(rows), N, n_genes)`` of the truth and of each source (1 row if constant)."""
    wanted = slice(rows.start, rows.stop)
    true: list[Array] = []
    predicted: dict[str, list[Array]] = {name: [] for name in sources}
    missing = np.full((1, len(truth.genes)), np.nan)
    for i in conditions:
        parts = ConditionParts(truth, int(i))
        true.append(parts.centroids_of(wanted))
        for name, source in sources.items():
            centroid = source.centroid(truth, int(i), parts.members[wanted])
            predicted[name].append(missing if centroid is None else centroid)
    return _stack(true), {name: _stack(stack) for name, stack in predicted.items()}


def _stack(stack: Sequence[Array]) -> Array:
    depth = max(len(item) for item in stack)
    return np.stack([np.broadcast_to(item, (depth, item.shape[1])) for item in stack], axis=1)
