"""Miller's weights and changed genes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from pairs import MemoryPair
from sklearn.metrics import r2_score

from formulas.slow import (
    REFERENCES,
    Array,
    benjamini_hochberg,
    control,
    each,
    group,
    mean,
    of,
    pearson,
    reference,
    remembered,
    score_of,
    t_of,
    train_mean,
    zero,
)


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
