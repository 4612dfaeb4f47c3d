"""PerturBench: aggregates, ranks, recall of changed genes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from pairs import MemoryPair, MemorySide
from sklearn.metrics import mean_absolute_error, mean_squared_error, pairwise_distances, r2_score

from formulas.slow import (
    REFERENCES,
    Array,
    control,
    cosine,
    each,
    group,
    mean,
    pearson,
    pick,
    rank,
    reference,
    rmse,
    t_of,
)


def log_ratio(pair: MemoryPair, side: MemorySide, p: int) -> Array:
    return np.nan_to_num(np.log2(mean(side, p) + 0.1) - np.log2(control(pair) + 0.1), posinf=0, neginf=0)


PAIRED: dict[str, Callable[[Array, Array], float]] = {
    "rmse": rmse,
    "mse": mean_squared_error,
    "mae": mean_absolute_error,
    "cosine": cosine,
    "pearson": pearson,
    "r2_score": lambda true, predicted: float(r2_score(predicted, true)),
}


def of_aggregate(name: str, aggregate: str, pair: MemoryPair, p: int) -> float:
    if aggregate == "average":
        return PAIRED[name](mean(pair.truth, p), mean(pair.prediction, p))
    return PAIRED[name](log_ratio(pair, pair.truth, p), log_ratio(pair, pair.prediction, p))


def aggregate_rank(name: str, aggregate: str, direction: str, pair: MemoryPair, p: int) -> float:
    profile = (lambda side, q: mean(side, q)) if aggregate == "average" else partial(log_ratio, pair)
    query, candidates = pair.truth, pair.prediction
    if direction == "transpose":
        query, candidates = candidates, query
    sign = -1 if name == "cosine" else 1
    n = len(pair.perturbations)
    found = [sign * PAIRED[name](profile(query, p), profile(candidates, q)) for q in range(n)]
    found = [np.inf if np.isnan(value) else value for value in found]
    place = rank(found[p], found[:p] + found[p + 1 :])
    return place / n if direction == "old" else place / max(n - 1, 1)


for _aggregate in ("average", "logfc"):
    for _name in PAIRED:
        REFERENCES[f"perturbench/{_name}_{_aggregate}"] = partial(
            each, partial(of_aggregate, _name, _aggregate)
        )
for _name, _aggregate in (("rmse", "average"), ("cosine", "logfc")):
    for _suffix, _direction in (("", "new"), ("_transpose", "transpose"), ("@d357dfa", "old")):
        REFERENCES[f"perturbench/{_name}_rank_{_aggregate}{_suffix}"] = partial(
            each, partial(aggregate_rank, _name, _aggregate, _direction)
        )


@reference("perturbench/mmd")
def half_energy(pair: MemoryPair, p: int) -> float:
    x, y = group(pair.prediction, p), group(pair.truth, p)
    return float(
        pairwise_distances(x, y).mean() - pairwise_distances(x).mean() / 2 - pairwise_distances(y).mean() / 2
    )


def top_recall(k: int, pair: MemoryPair, p: int) -> float:
    base, lists = pair.truth.controls.astype(np.float64), []
    for side in (pair.truth, pair.prediction):
        cells = group(side, p)
        t, _ = t_of(cells, base, len(cells))
        lists.append(set(pick(np.where(np.isinf(t), 0.0, t), pair.genes)[:k]))
    return len(lists[0] & lists[1]) / k


for _k in (50, 20):
    REFERENCES[f"perturbench/top_k_recall_{_k}"] = partial(each, partial(top_recall, _k))
