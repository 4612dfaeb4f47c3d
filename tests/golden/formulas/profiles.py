"""Mean profiles, on all genes or lists of them, for all peers that score no more than those."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from pairs import MemoryPair
from scipy import stats
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score
from sklearn.metrics.pairwise import cosine_similarity

from formulas.slow import (
    REFERENCES,
    control,
    cosine,
    each,
    farther,
    gears_20,
    mean,
    no_self,
    non_dropout,
    of,
    pearson,
    pick,
    rank,
    reference,
    rmse,
    score_of,
    train_mean,
    unless_silent,
)

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
