"""PEREGGRN's evaluator."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from pairs import MemoryPair
from scipy import stats
from sklearn.metrics import mean_absolute_error

from formulas.slow import (
    REFERENCES,
    Array,
    control,
    each,
    mean,
    pearson,
    reference,
    score_of,
)


def top(change: Array, n: int) -> Array:
    return np.flatnonzero(pd.Series(-np.abs(change)).rank(method="average").to_numpy() <= n)


def both(pair: MemoryPair, p: int) -> tuple[Array, Array]:
    return mean(pair.truth, p) - control(pair), mean(pair.prediction, p) - control(pair)


def mse_top(n: int, pair: MemoryPair, p: int) -> float:
    observed, predicted = both(pair, p)
    return float(sum((observed[g] - predicted[g]) ** 2 for g in top(observed, n)))


def pearson_top(n: int, pair: MemoryPair, p: int) -> float:
    observed, predicted = both(pair, p)
    genes = top(observed, n)
    return pearson(observed[genes], predicted[genes]) if len(genes) > 1 else 0.0


def overlap_top(n: int, pair: MemoryPair, p: int) -> float:
    observed, predicted = both(pair, p)
    return len(set(top(observed, n)) & set(top(predicted, n))) / n


for _n in (20, 100, 200):
    REFERENCES[f"pereggrn/mse_top_{_n}"] = partial(each, partial(mse_top, _n))
    REFERENCES[f"pereggrn/pearson_top_{_n}"] = partial(each, partial(pearson_top, _n))
    REFERENCES[f"pereggrn/overlap_top_{_n}"] = partial(each, partial(overlap_top, _n))
for _id, _score in {
    "pearson": pearson,
    "spearman": lambda o, p: float(stats.spearmanr(o, p)[0]),
    "mae": mean_absolute_error,
    "mse": lambda o, p: float(np.linalg.norm(o - p) ** 2),
    "proportion_correct_direction": lambda o, p: float(np.mean(np.sign(o) == np.sign(p))),
    "pvalue_effect_direction": lambda o, p: float(
        stats.chi2_contingency(pd.crosstab(np.sign(np.round(o, 2)), np.sign(np.round(p, 2)))).pvalue
    ),
}.items():
    REFERENCES[f"pereggrn/{_id}"] = partial(each, score_of(_score, control))


def classes(pair: MemoryPair, p: int) -> dict[str, Array]:
    observed, predicted = both(pair, p)
    sign = np.sign(np.round(predicted, 2))
    found = {"up": observed[sign == 1], "down": observed[sign == -1], "same": observed[sign == 0]}
    return {name: values for name, values in found.items() if len(values)}


@reference("pereggrn/pvalue_targets_vs_non_targets")
def anova(pair: MemoryPair, p: int) -> float:
    groups = classes(pair, p)
    return float(stats.f_oneway(*groups.values()).pvalue) if len(groups) > 1 else np.nan


@reference("pereggrn/fc_targets_vs_non_targets")
def fold_change(pair: MemoryPair, p: int) -> float:
    means = {name: values.mean() for name, values in classes(pair, p).items()}
    if {"up", "down"} <= set(means):
        return float(means["up"] - means["down"])
    if {"down", "same"} <= set(means):
        return float(means["same"] - means["down"])
    return float(means["up"] - means["same"]) if {"up", "same"} <= set(means) else np.nan
