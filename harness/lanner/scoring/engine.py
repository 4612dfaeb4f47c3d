"""Evaluate metrics for many sources at once, so that work on the truth is done once.

Two passes: by condition (all truth parts of one condition are in memory, nothing else) and, for retrieval, by
part (all conditions of one context). Everything runs on one thread in fixed order: no bit depends on how many
threads there are.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from lanner.bounds import SealedTruth
from lanner.metrics import LABELS, Metric, Values
from lanner.records import Shard
from lanner.scoring.cells import CellSet
from lanner.scoring.comparisons import compare
from lanner.scoring.parts import ConditionParts
from lanner.scoring.retrieval import score_retrieval
from lanner.scoring.shards import conditions_of, contexts_of
from lanner.scoring.sources import RecentCells, Source
from lanner.scoring.statistics import ConditionStatistics
from lanner.scoring.tables import VARIANTS, Tables

Array = np.ndarray[Any, Any]

_labels: weakref.WeakKeyDictionary[Any, dict[tuple[str, int], Array]] = weakref.WeakKeyDictionary()


@contextmanager
def reproducible(device: str) -> Iterator[None]:
    """Limit BLAS and torch to one thread and a GPU to deterministic algorithms, then restore both."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    on_cpu = torch.device(device).type == "cpu"
    with threadpool_limits(1):
        torch.set_num_threads(1)
        if not on_cpu:  # one CPU thread is deterministic, and the switch costs seconds of imports
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is not without it
            torch.use_deterministic_algorithms(True)
        try:
            yield
        finally:
            if not on_cpu:
                torch.use_deterministic_algorithms(deterministic)
            torch.set_num_threads(threads)


def evaluate(
    sealed: SealedTruth,
    sources: Mapping[str, Source],
    metrics: Sequence[Metric],
    device: str = "cpu",
    *,
    labels: Mapping[tuple[str, int], Array] | None = None,
    shard: Shard | None = None,
) -> Tables:
    """All metrics and variants of all sources on all conditions, or on those of a shard: no other is filled.

    ``labels`` are those known already, by label rule and request: bool ``(parts + 1, n_genes)``, packed by
    ``np.packbits(axis=1)``.
    """
    truth = cast(SealedTruth, RecentCells(sealed))
    kept_labels = _labels.setdefault(sealed, {})
    kept_labels.update(labels or {})
    tables = Tables(
        n_parts=2 * truth.halvings or 1, n_conditions=len(truth.requests), sources=sources, metrics=metrics
    )
    by_part = [metric for metric in metrics if metric.card.level == "retrieval"]
    by_condition = [metric for metric in metrics if metric.card.level != "retrieval"]
    with reproducible(device):
        if by_condition:
            for i in conditions_of(truth, shard or Shard()):
                _score_condition(truth, int(i), sources, by_condition, device, tables, kept_labels)
        if by_part:
            score_retrieval(
                truth, sources, by_part, device, tables, contexts=contexts_of(truth, shard or Shard())
            )
    return tables


def _score_condition(
    truth: SealedTruth,
    i: int,
    sources: Mapping[str, Source],
    metrics: Sequence[Metric],
    device: str,
    tables: Tables,
    kept_labels: dict[tuple[str, int], Array],
) -> None:
    parts = ConditionParts(truth, i)
    targets = np.flatnonzero(truth.targets[i])
    has_cells = truth.kind == "cells"
    metrics = [metric for metric in metrics if has_cells or metric.card.requires_truth != "cells"]
    needs_cells = any(metric.card.requires == "cells" for metric in metrics)
    statistics = ConditionStatistics(truth, parts)
    truth_cells = CellSet(parts.cells, targets, truth.pca, device) if needs_cells else None
    for name, source in sources.items():
        centroid = source.centroid(truth, i, parts.members)
        if centroid is None:
            continue
        pool = source.pool(truth, i, parts.members) if needs_cells else None
        cells = None
        if pool is not None:
            cells = truth_cells if pool.is_truth else CellSet(pool.cells, targets, truth.pca, device)
        for variant, (masked, full) in VARIANTS.items():
            rows = parts.rows(full=full)
            predicted = centroid if len(centroid) == 1 else centroid[rows]
            if not np.isfinite(predicted).any():  # a duplicate of the full truth does not exist
                continue
            drawn = None
            for metric in metrics:
                population = None
                if metric.card.requires == "cells":
                    if pool is None or cells is None or truth_cells is None:
                        continue
                    drawn = drawn or parts.population(truth_cells, cells, pool, full=full, masked=masked)
                    population = drawn
                values = metric(
                    compare(
                        truth,
                        int(truth.context_of[i]),
                        predicted=predicted,
                        true=parts.centroids[rows],
                        masked=truth.targets[i][None, :] & masked,
                        n_cells=parts.members[rows].sum(axis=1),
                        device=device,
                        labels=_part_labels(truth, parts, metric.card.labels, rows, device, kept_labels),
                        population=population,
                        statistics=statistics.rows(rows, device),
                    )
                )
                if population is not None and full:
                    values = _averaged(values)
                tables.put((name, metric.card.id, variant), values, conditions=np.array([i]))


def _part_labels(
    truth: SealedTruth,
    parts: ConditionParts,
    rule: str | None,
    rows: slice,
    device: str,
    kept: dict[tuple[str, int], Array],
) -> Tensor | None:
    """Bool ``(B, n_genes)`` of a label rule; computed once per truth and process, ``kept`` as packed bits."""
    if rule is None:
        return None
    key = (rule, parts.i)
    if key not in kept:
        controls = truth.control_cells(int(truth.context_of[parts.i]), "b")
        kept[key] = np.packbits(LABELS[rule](parts.cells, parts.members, controls), axis=1)
    labels = np.unpackbits(kept[key][rows], axis=1, count=len(truth.genes)).astype(bool)
    return torch.as_tensor(labels, device=device)


def _averaged(values: Values) -> Values:
    """Draws from the full truth as one row: their mean, undefined or unscorable if any is."""
    return Values(
        values=values.values.mean(dim=0, keepdim=True),
        scorable=values.scorable.all(dim=0, keepdim=True),
        undefined=values.undefined,
        unscorable=values.unscorable,
        chance=None if values.chance is None else values.chance.mean(dim=0, keepdim=True),
    )
