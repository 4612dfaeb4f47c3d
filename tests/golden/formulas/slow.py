"""What the slow formulas share: means, tests, lists of genes, ranks; nothing here calls ``lanner``."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from pairs import MemoryPair, MemorySide
from scipy import stats
from sklearn.metrics import (
    mean_squared_error,
)

Array = np.ndarray[Any, Any]
Reference = Callable[[MemoryPair], Array]
REFERENCES: dict[str, Reference] = {}


def reference(*ids: str) -> Callable[[Callable[..., float]], Callable[..., float]]:
    """Register ``f(pair, p) -> float`` for every perturbation in turn."""

    def register(function: Callable[..., float]) -> Callable[..., float]:
        for id in ids:
            REFERENCES[id] = partial(each, function)
        return function

    return register


def remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    """Asked for by many formulas, slow to answer. Pairs live as long as the tests do."""
    answers: dict[tuple[int, int], Any] = {}

    def answer(pair: MemoryPair, p: int) -> Any:
        key = id(pair), p
        if key not in answers:
            answers[key] = function(pair, p)
        return answers[key]

    return answer


def each(function: Callable[[MemoryPair, int], float], pair: MemoryPair) -> Array:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return np.array([function(pair, p) for p in range(len(pair.perturbations))])


def group(side: MemorySide, p: int) -> Array:
    return side.groups[p].astype(np.float64)


def of(pair: MemoryPair) -> range:
    return range(len(pair.perturbations))


def mean(side: MemorySide, p: int) -> Array:
    return group(side, p).mean(axis=0)


def control(pair: MemoryPair) -> Array:
    return pair.truth.controls.astype(np.float64).mean(axis=0)


def train_mean(pair: MemoryPair) -> Array:
    assert pair.train is not None
    return np.mean([cells.astype(np.float64).mean(axis=0) for cells in pair.train.groups], axis=0)


def zero(pair: MemoryPair) -> Array:
    return np.zeros(len(pair.genes))


def everything(pair: MemoryPair, p: int) -> Array:
    return np.arange(len(pair.genes))


def pearson(x: Array, y: Array) -> float:
    return float(stats.pearsonr(x, y)[0]) if len(x) > 1 else np.nan


def cosine(x: Array, y: Array) -> float:
    norms = np.sqrt((x * x).sum()) * np.sqrt((y * y).sum())
    return float((x * y).sum() / norms) if norms else np.nan


def rmse(x: Array, y: Array) -> float:
    return float(mean_squared_error(x, y) ** 0.5)


def pick(values: Array, names: tuple[str, ...]) -> list[int]:
    return sorted(range(len(names)), key=lambda g: (-abs(values[g]), names[g]))


def t_of(x: Array, y: Array, n_other: int | None = None) -> tuple[Array, Array]:
    """Welch per gene as scanpy does it; ``n_other`` pretends another size of the second group."""
    t, p = [], []
    for g in range(x.shape[1]):
        a, b = x[:, g], y[:, g]
        test = stats.ttest_ind_from_stats(
            a.mean(), a.std(ddof=1), len(a), b.mean(), b.std(ddof=1), n_other or len(b), equal_var=False
        )
        t.append(0.0 if np.isnan(test.statistic) else test.statistic)
        p.append(1.0 if np.isnan(test.pvalue) else test.pvalue)
    return np.array(t), np.array(p)


def benjamini_hochberg(p: Array) -> Array:
    order = sorted(range(len(p)), key=lambda g: p[g], reverse=True)
    adjusted, least = np.ones(len(p)), 1.0
    for step, g in enumerate(order):
        least = min(least, p[g] * len(p) / (len(p) - step))
        adjusted[g] = least
    return adjusted


@remembered
def gears(pair: MemoryPair, p: int) -> list[int]:
    t, _ = t_of(group(pair.truth, p), pair.truth.controls.astype(np.float64))
    return pick(t, pair.genes)


def gears_20(pair: MemoryPair, p: int) -> list[int]:
    return gears(pair, p)[:20]


def non_dropout(pair: MemoryPair, p: int) -> list[int]:
    true, base = mean(pair.truth, p), control(pair)
    return [g for g in gears(pair, p) if true[g] != 0 or (true[g] == 0 and base[g] == 0)][:20]


def no_self(pair: MemoryPair, p: int) -> list[int]:
    own = pair.perturbations[p].split("+")
    return [g for g in gears(pair, p) if pair.genes[g] not in own][:20]


def score_of(
    function: Callable[[Array, Array], float],
    base: Callable[[MemoryPair], Array] = zero,
    genes: Callable[[MemoryPair, int], Any] = everything,
) -> Callable[[MemoryPair, int], float]:
    """``function(truth, prediction)`` of profiles less ``base`` over ``genes``."""

    def score(pair: MemoryPair, p: int) -> float:
        chosen = np.array(genes(pair, p), dtype=int)
        true, predicted = mean(pair.truth, p) - base(pair), mean(pair.prediction, p) - base(pair)
        return function(true[chosen], predicted[chosen])

    return score


def unless_silent(score: Callable[[MemoryPair, int], float]) -> Callable[[MemoryPair, int], float]:
    return lambda pair, p: score(pair, p) if mean(pair.truth, p).any() else np.nan


def farther(pair: MemoryPair, p: int) -> float:
    predicted = mean(pair.prediction, p)
    own = np.sqrt(((predicted - mean(pair.truth, p)) ** 2).sum())
    others = [
        np.sqrt(((predicted - mean(pair.truth, q)) ** 2).sum())
        for q in range(len(pair.perturbations))
        if q != p
    ]
    return float(np.mean([own < other for other in others])) if others else np.nan


def rank(own: float, others: list[float]) -> float:
    """Expected place of the own value among all when ties are shuffled."""
    return sum(other < own for other in others) + sum(other == own for other in others) / 2
