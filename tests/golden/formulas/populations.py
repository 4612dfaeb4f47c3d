"""scPerturBench and L. Li et al., on the cells of a perturbation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from pairs import MemoryPair
from scipy import stats
from sklearn.metrics import mean_squared_error, pairwise_distances
from sklearn.metrics.pairwise import rbf_kernel

from formulas.slow import (
    REFERENCES,
    Array,
    control,
    each,
    everything,
    gears,
    group,
    pearson,
    reference,
    score_of,
)


def gears_100(pair: MemoryPair, p: int) -> list[int]:
    return gears(pair, p)[:100]


def clipped(true: Array, predicted: Array) -> float:
    similarity = 1 - round(1 - pearson(true, predicted), 4)
    return similarity if similarity > 0 or np.isnan(similarity) else 0.0


def energy_on(genes: Callable[[MemoryPair, int], Any], pair: MemoryPair, p: int) -> float:
    chosen = np.array(genes(pair, p))
    x, y = group(pair.prediction, p)[:, chosen], group(pair.truth, p)[:, chosen]
    within = pairwise_distances(x).mean() + pairwise_distances(y).mean()
    return round(float(2 * pairwise_distances(x, y).mean() - within), 4)


def divergence(genes: Callable[[MemoryPair, int], Any], pair: MemoryPair, p: int) -> float:
    total, chosen = 0.0, genes(pair, p)
    for g in chosen:
        x, y = group(pair.prediction, p)[:, g], group(pair.truth, p)[:, g]
        a, s, b, u = x.mean(), x.std() + 1e-8, y.mean(), y.std() + 1e-8
        total += np.log(u / s) + (s**2 + (a - b) ** 2) / (2 * u**2) - 0.5
        total += np.log(s / u) + (u**2 + (a - b) ** 2) / (2 * s**2) - 0.5
    return float(np.log2(round(total / len(chosen), 4) + 1))


for _suffix, _genes in (("", everything), ("_top100", gears_100)):
    REFERENCES[f"scperturbench/mse{_suffix}"] = partial(
        each, score_of(lambda t, p: round(float(mean_squared_error(t, p)), 4), genes=_genes)
    )
    REFERENCES[f"scperturbench/pearson_distance{_suffix}"] = partial(each, score_of(clipped, control, _genes))
    REFERENCES[f"scperturbench/edistance{_suffix}"] = partial(each, partial(energy_on, _genes))
    REFERENCES[f"scperturbench/sym_kldiv{_suffix}"] = partial(each, partial(divergence, _genes))


@reference("l_li/wasserstein")
def wasserstein(pair: MemoryPair, p: int) -> float:
    x, y = group(pair.prediction, p), group(pair.truth, p)
    return float(np.mean([stats.wasserstein_distance(a, b) for a, b in zip(x.T, y.T, strict=True)]))


@reference("l_li/mmd")
def mmd(pair: MemoryPair, p: int) -> float:
    found = []
    for g in range(len(pair.genes)):
        x, y = group(pair.prediction, p)[:, [g]], group(pair.truth, p)[:, [g]]
        kernels = (rbf_kernel(a, b, gamma=1.0).mean() for a, b in ((x, x), (y, y), (x, y)))
        xx, yy, xy = kernels
        found.append(xx + yy - 2 * xy)
    return float(np.mean(found))
