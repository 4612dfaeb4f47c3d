"""What peers compute, once more and slowly: one perturbation, one gene, one cell at a time, from the formula.

Nothing here calls ``lanner``. ``REFERENCES[id](pair)`` is what ``COMPAT[id](pair).values`` must be. Tied
genes are taken by name (or in the order of the file, for the highest genes), as the cards say.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from pairs import MemoryPair, MemorySide
from scipy import stats
from scipy.optimize import brentq
from scipy.special import digamma, polygamma
from sklearn.metrics import (
    mean_absolute_error,
    mean_squared_error,
    pairwise_distances,
    precision_recall_curve,
    r2_score,
)
from sklearn.metrics.pairwise import cosine_similarity, rbf_kernel

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


# PerturBench ---------------------------------------------------------------------------------------------


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

# Systema, Csendes, Wong, Ahlmann-Eltze -------------------------------------------------------------------

for _id, _score in {
    "systema/corr_all": score_of(pearson, control),
    "systema/corr_20de": score_of(pearson, control, non_dropout),
    "systema/corr_all_allpert": score_of(pearson, train_mean),
    "systema/corr_20de_allpert": score_of(pearson, train_mean, non_dropout),
    "systema/mse_all": score_of(mean_squared_error, control),
    "systema/mse_20de": score_of(mean_squared_error, control, non_dropout),
    "systema/rmse_all": score_of(rmse, control),
    "systema/rmse_20de": score_of(rmse, control, non_dropout),
    "systema/centroid_accuracy": farther,
    "csendes/pearson": unless_silent(score_of(pearson)),
    "csendes/pearson_delta": unless_silent(score_of(pearson, control)),
    "csendes/pearson_de": unless_silent(score_of(pearson, genes=gears_20)),
    "csendes/pearson_de_delta": unless_silent(score_of(pearson, control, gears_20)),
    "csendes/pearson_de_noself": unless_silent(score_of(pearson, genes=no_self)),
    "csendes/pearson_de_delta_noself": unless_silent(score_of(pearson, control, no_self)),
    "wong/pearson": score_of(pearson),
    "wong/pearson_delta": score_of(pearson, control),
    "wong/pearson_de": score_of(pearson, genes=gears_20),
    "wong/pearson_de_delta": score_of(pearson, control, gears_20),
    "miller/mse": score_of(mean_squared_error),
    "miller/nir": farther,
    "miller/pearson_deltactrl": score_of(pearson, control),
    "miller/pearson_deltapert": score_of(pearson, train_mean),
    "miller/r2_deltactrl": score_of(r2_score, control),
    "miller/r2_deltapert": score_of(r2_score, train_mean),
    "l_li/mse": score_of(mean_squared_error),
    "l_li/rmse": score_of(rmse),
    "l_li/mae": score_of(mean_absolute_error),
    "l_li/l2": score_of(lambda t, p: float(np.linalg.norm(t - p))),
    "l_li/r_squared": score_of(r2_score),
    "l_li/r_squared_delta": score_of(r2_score, control),
    "l_li/pearson_correlation": score_of(pearson),
    "l_li/pearson_correlation_delta": score_of(pearson, control),
    "l_li/cosine_similarity": score_of(lambda t, p: float(cosine_similarity([t], [p])[0, 0])),
    "l_li/cosine_similarity_delta": score_of(lambda t, p: float(cosine_similarity([t], [p])[0, 0]), control),
    "l_li/delta_agreement_acc": score_of(lambda t, p: float(np.mean((t > 0) == (p > 0))), control),
    "openproblems/mean_rowwise_rmse": score_of(rmse),
    "openproblems/mean_rowwise_mae": score_of(mean_absolute_error),
    "openproblems/mean_rowwise_pearson": score_of(lambda t, p: float(np.nan_to_num(pearson(t, p)))),
    "openproblems/mean_rowwise_spearman": score_of(
        lambda t, p: float(np.nan_to_num(stats.spearmanr(t, p)[0]))
    ),
    "openproblems/mean_rowwise_cosine": score_of(lambda t, p: float(np.nan_to_num(cosine(t, p)))),
}.items():
    REFERENCES[_id] = partial(each, _score)


@reference("systema/jaccard")
def jaccard(pair: MemoryPair, p: int) -> float:
    true = set(non_dropout(pair, p))
    predicted = set(pick(mean(pair.prediction, p) - control(pair), pair.genes)[:20])
    return len(true & predicted) / len(true | predicted)


@reference("wong/rank")
def wong_rank(pair: MemoryPair, p: int) -> float:
    found = [-cosine(mean(pair.truth, p), mean(pair.prediction, q)) for q in of(pair)]
    found = [np.inf if np.isnan(value) else value for value in found]
    return rank(found[p], found[:p] + found[p + 1 :]) / len(found)


def highest(pair: MemoryPair, p: int) -> list[int]:
    table = pd.Series(control(pair)).rank(ascending=False, method="first")
    return list(table[table <= 1000].index)


REFERENCES["ahlmann_eltze/l2"] = partial(
    each, score_of(lambda t, p: float(np.sqrt(((t - p) ** 2).sum())), genes=highest)
)
REFERENCES["ahlmann_eltze/pearson"] = partial(each, score_of(pearson, genes=highest))
REFERENCES["ahlmann_eltze/pearson_delta"] = partial(each, score_of(pearson, control, highest))

# Miller ---------------------------------------------------------------------------------------------------


@remembered
def against_rest(pair: MemoryPair, p: int) -> tuple[Array, Array] | None:
    own = group(pair.truth, p)
    if len(own) < 4:
        return None
    rest = [group(pair.truth, q) for q in of(pair) if q != p and len(pair.truth.groups[q]) >= 4]
    if pair.train is not None:
        names = zip(pair.train_perturbations, pair.train.groups, strict=True)
        rest += [x.astype(np.float64) for name, x in names if name != pair.perturbations[p] and len(x) >= 4]
    t, probability = t_of(own, np.concatenate(rest), len(own))
    return t, benjamini_hochberg(probability)


def miller_weights(pair: MemoryPair, p: int) -> Array:
    tested = against_rest(pair, p)
    if tested is None:
        return zero(pair)
    size = np.abs(tested[0])
    return np.square(np.nan_to_num((size - size.min()) / (size.max() - size.min())))


@reference("miller/wmse")
def wmse(pair: MemoryPair, p: int) -> float:
    weight = miller_weights(pair, p)
    error = (mean(pair.truth, p) - mean(pair.prediction, p)) ** 2
    return float(np.sum(weight / weight.sum() * error))


def changed(pair: MemoryPair, p: int) -> list[int]:
    tested = against_rest(pair, p)
    return [] if tested is None else [g for g, q in enumerate(tested[1]) if q < 0.05]


def on_changed(function: Callable[[Array, Array], float]) -> Callable[[Array, Array], float]:
    return lambda true, predicted: function(true, predicted) if len(true) > 2 else np.nan


def weighted_r2(base: Callable[[MemoryPair], Array], pair: MemoryPair, p: int) -> float:
    weight = miller_weights(pair, p)
    true, predicted = mean(pair.truth, p) - base(pair), mean(pair.prediction, p) - base(pair)
    return float(r2_score(true, predicted, sample_weight=weight if weight.sum() else None))


for _suffix, _base in (("deltactrl", control), ("deltapert", train_mean)):
    REFERENCES[f"miller/pearson_{_suffix}_degs"] = partial(
        each, score_of(on_changed(pearson), _base, changed)
    )
    REFERENCES[f"miller/r2_{_suffix}_degs"] = partial(each, score_of(on_changed(r2_score), _base, changed))
    REFERENCES[f"miller/weighted_r2_{_suffix}"] = partial(each, partial(weighted_r2, _base))

# PEREGGRN -------------------------------------------------------------------------------------------------


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


# scPerturBench, L. Li ---------------------------------------------------------------------------------------


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


# Zhu ------------------------------------------------------------------------------------------------------


@remembered
def paper_labels(pair: MemoryPair, p: int) -> Array:
    _, probability = t_of(group(pair.truth, p), pair.truth.controls.astype(np.float64))
    return (probability < 1e-10) & (np.abs(both(pair, p)[0]) > 0.3)


def limma_labels(pair: MemoryPair, p: int) -> Array:
    """lmFit(~ condition), eBayes, BH below 1e-5 and |difference| above 0.3."""
    x, y = group(pair.truth, p), pair.truth.controls.astype(np.float64)
    df = len(x) + len(y) - 2
    residual = [((x[:, g] - x[:, g].mean()) ** 2).sum() for g in range(x.shape[1])]
    other = [((y[:, g] - y[:, g].mean()) ** 2).sum() for g in range(y.shape[1])]
    s2 = (np.array(residual) + np.array(other)) / df
    floored = np.maximum(s2, 1e-5 * (np.median(s2) or 1))
    z = np.log(floored)
    e = z - digamma(df / 2) + np.log(df / 2)
    surplus = ((e - e.mean()) ** 2).sum() / (len(e) - 1) - polygamma(1, df / 2)
    if surplus > 0:
        d0 = 2 * np.exp(brentq(lambda u: polygamma(1, np.exp(u)) - surplus, -20, 20, xtol=1e-13))
        s02 = np.exp(e.mean() + digamma(d0 / 2) - np.log(d0 / 2))
        post, total = (d0 * s02 + df * s2) / (d0 + df), min(d0 + df, df * len(s2))
    else:
        post, total = np.full(len(s2), floored.mean()), df * len(s2)
    t = (x.mean(axis=0) - y.mean(axis=0)) / np.sqrt(post * (1 / len(x) + 1 / len(y)))
    adjusted = benjamini_hochberg(2 * stats.t.cdf(-np.abs(t), total))
    return (adjusted < 1e-5) & (np.abs(both(pair, p)[0]) > 0.3)


def davis_goadrich_curve(labels: Array, scores: Array, steps: int = 4000) -> tuple[Array, Array]:
    """Recall and precision in small steps of true positives; false ones grow in proportion in each block."""
    true, called = [0.0], [0.0]
    for value in sorted(set(scores), reverse=True):
        here = scores == value
        new, false = labels[here].sum(), (~labels[here]).sum()
        parts = np.arange(1, steps + 1) / steps
        true.extend(true[-1] + new * parts)
        called.extend(called[-1] + (new + false) * parts)
    return np.array(true) / labels.sum(), np.array(true)[1:] / np.array(called)[1:]


def davis_goadrich(labels: Array, scores: Array) -> float:
    if not labels.any():
        return np.nan
    recall, precision = davis_goadrich_curve(labels, scores)
    first = precision[0]
    return float((np.diff(recall) * (np.append(first, precision[:-1]) + precision) / 2).sum())


def precision_at(labels: Array, scores: Array, recall: float) -> float:
    if not labels.any():
        return np.nan
    recalls, precision = davis_goadrich_curve(labels, scores)
    return float(precision[np.flatnonzero(recalls[1:] >= recall - 1e-12)[0]])


@remembered
def gated(pair: MemoryPair, p: int) -> Array:
    _, probability = t_of(group(pair.prediction, p), pair.truth.controls.astype(np.float64))
    return np.where(probability < 1e-10, np.abs(both(pair, p)[1]), 0.0)


@reference("zhu/auprc")
def auprc(pair: MemoryPair, p: int) -> float:
    return davis_goadrich(paper_labels(pair, p), gated(pair, p))


@reference("zhu/auprc_ungated")
def auprc_ungated(pair: MemoryPair, p: int) -> float:
    return davis_goadrich(paper_labels(pair, p), np.abs(both(pair, p)[1]))


@reference("zhu/auprc_code")
def auprc_code(pair: MemoryPair, p: int) -> float:
    labels, scores = limma_labels(pair, p), np.abs(both(pair, p)[1])
    if not labels.any():
        return np.nan
    precision, recall, _ = precision_recall_curve(labels, scores)
    return float(-np.trapezoid(precision, recall))


for _percent in (25, 50, 75):
    REFERENCES[f"zhu/precision_at_recall_{_percent}"] = partial(
        each,
        lambda pair, p, at=_percent / 100: precision_at(paper_labels(pair, p), gated(pair, p), at),
    )
for _id, _score in {
    "zhu/r2": score_of(lambda t, p: pearson(t, p) ** 2),
    "zhu/r2_logfc": score_of(lambda t, p: pearson(t, p) ** 2, control),
    "zhu/r2_deg": score_of(
        lambda t, p: pearson(t, p) ** 2, genes=lambda pair, p: np.flatnonzero(paper_labels(pair, p))
    ),
}.items():
    REFERENCES[_id] = partial(each, _score)
