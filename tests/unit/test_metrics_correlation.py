"""Errors, correlations, explained variance and slope against SciPy; the invariances cards claim."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lanner.metrics import METRICS, Comparison
from lanner.metrics.correlation import mid_ranks
from scipy.stats import linregress, pearsonr, rankdata, spearmanr
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from truths import comparison

N = 40


def arrays(seed=0, n=4):
    generator = np.random.default_rng(seed)
    # quarters: differences are exact in float64, so that ties are ties on both sides
    p, t = (4 * generator.normal(size=(2, n, N))).round() / 4
    a, b, m = (4 * generator.normal(size=(3, N))).round() / 4
    return p, t, a, b, m, generator.random((n, N)) < 0.2, generator.random((n, N)) < 0.6


SLOW = {
    "rmse": lambda p, t, a, b, m: root_mean_squared_error(t, p),
    "mae": lambda p, t, a, b, m: mean_absolute_error(t, p),
    "spearman_delta": lambda p, t, a, b, m: spearmanr(p - a, t - b).statistic,
    "spearman_delta/train-mean": lambda p, t, a, b, m: spearmanr(p - m, t - m).statistic,
    "cosine_delta": lambda p, t, a, b, m: cosine(p - a, t - b),
    "cosine_delta/train-mean": lambda p, t, a, b, m: cosine(p - m, t - m),
    "r2_delta": lambda p, t, a, b, m: r2_score(t - b, p - a),
    "r2_corr/profile": lambda p, t, a, b, m: pearsonr(p, t).statistic ** 2,
    "r2_corr/delta": lambda p, t, a, b, m: pearsonr(p - a, t - b).statistic ** 2,
    "calibration_slope": lambda p, t, a, b, m: linregress(p - m, t - m).slope,
}


def cosine(x, y):
    return x @ y / np.linalg.norm(x) / np.linalg.norm(y)


@pytest.mark.parametrize("name", list(SLOW))
def test_values_are_those_of_a_slow_reference_on_the_unmasked_genes(name):
    p, t, a, b, m, masked, _ = arrays()
    ours = METRICS[name](comparison(p, t, control=a, sealed_control=b, train_mean=m, masked=masked)).values
    theirs = [SLOW[name](*(x[~masked[i]] for x in (p[i], t[i], a, b, m))) for i in range(len(p))]
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


@pytest.mark.parametrize("name", ["r2_delta", "r2_corr/profile", "r2_corr/delta"])
def test_deg_variants_are_the_same_on_the_unmasked_changed_genes(name):
    p, t, a, b, m, masked, labels = arrays()
    fields = {"control": a, "sealed_control": b, "masked": masked, "labels": labels}
    ours = METRICS[f"{name}/deg"](comparison(p, t, **fields))
    assert ours.scorable.all()
    keep = labels & ~masked
    theirs = [SLOW[name](*(x[keep[i]] for x in (p[i], t[i], a, b, m))) for i in range(len(p))]
    np.testing.assert_allclose(ours.values, theirs, rtol=1e-9)
    few = labels & (labels.cumsum(axis=1) < 10)
    assert not METRICS[f"{name}/deg"](comparison(p, t, **{**fields, "labels": few})).scorable.any()
    assert not METRICS[f"{name}/deg"](comparison(p, t, n_cells=19, **fields)).scorable.any()


@settings(deadline=None, max_examples=50)
@given(values=st.lists(st.integers(-3, 3), min_size=1, max_size=30), seed=st.integers(0, 99))
def test_mid_ranks_are_scipys_among_the_kept(values, seed):
    x = np.array(values, dtype=float)
    keep = np.random.default_rng(seed).random(len(x)) < 0.7
    ours = mid_ranks(torch.as_tensor(x)[None], torch.as_tensor(keep)[None])[0].numpy()
    np.testing.assert_array_equal(ours[keep], rankdata(x[keep]))
    assert (ours[~keep] == 0).all()


@pytest.mark.parametrize("name", ["spearman_delta", "cosine_delta", "r2_corr/delta", "calibration_slope"])
def test_the_reference_handed_back_through_float32_is_undefined(name):
    generator = np.random.default_rng(0)
    a, t = generator.gamma(1.0, 1.0, 3000), generator.gamma(1.0, 1.0, 3000)
    answer = METRICS[name](comparison(a.astype(np.float32), t, control=a, train_mean=a))
    assert answer.values.isnan().all() and answer.scorable.all()


@pytest.mark.parametrize(
    "name", ["spearman_delta", "spearman_delta/train-mean", "cosine_delta", "r2_delta", "r2_corr/profile"]
)
def test_a_truth_that_does_not_change_is_dropped(name):
    p = np.random.default_rng(0).normal(size=N)
    assert not METRICS[name](comparison(p, np.zeros(N))).scorable.any()
    assert not METRICS[name](comparison(p, np.full(N, np.nan))).scorable.any()


def test_the_slope_tells_an_exaggerated_prediction_from_a_shrunken_one():
    t = np.random.default_rng(0).normal(size=N)
    slope = METRICS["calibration_slope"]
    np.testing.assert_allclose(
        [slope(comparison(f * t, t)).values.item() for f in (0.5, 1, 3)], [2, 1, 1 / 3]
    )
    merit = slope.card.merit(np.array([2.0, 1.0, 1 / 3, 0.0]))
    assert merit.argmax() == 1


CLAIMS = {
    "scale of the predicted change": lambda c: c | {"predicted": c["a"] + 2.5 * (c["predicted"] - c["a"])},
    "a shift common to all genes": lambda c: c | {"predicted": c["predicted"] + 0.7},
    "the same gene-wise shift of prediction and truth": lambda c: (
        c | {"predicted": c["predicted"] + c["shift"], "truth": c["truth"] + c["shift"]}
    ),
    "scale and sign of the predicted change": lambda c: (
        c | {"predicted": c["a"] - 2.5 * (c["predicted"] - c["a"])}
    ),
    "any increasing transformation of |p - r|": lambda c: (
        c | {"predicted": c["a"] + (abs(c["predicted"] - c["a"]) ** 3 + 0.1)}
    ),
}
PROFILE = [
    name
    for name in METRICS
    if METRICS[name].card.level in {"centroid", "de"} and METRICS[name].card.requires == "profile"
]


@pytest.mark.parametrize("name", [name for name in PROFILE if not name.endswith("heg1000")])
@pytest.mark.parametrize("claim", list(CLAIMS))
def test_an_invariance_holds_where_the_card_claims_it_and_nowhere_else(name, claim):
    """With one reference for all, 110 genes, and a t statistic that is given; five random cases."""
    same = [unchanged(name, CLAIMS[claim], seed) for seed in range(5)]
    claims = set(METRICS[name].card.invariances)
    if claim in claims:
        assert all(same)
    elif not IMPLIED.get(claim, set()) & claims:
        assert not all(same)


IMPLIED = {
    "scale of the predicted change": {
        "scale and sign of the predicted change",
        "any increasing transformation of |p - r|",
        "the prediction",
    },
    "scale and sign of the predicted change": {"any increasing transformation of |p - r|", "the prediction"},
    "any increasing transformation of |p - r|": {"the prediction"},
    "a shift common to all genes": {"the prediction"},
    "the same gene-wise shift of prediction and truth": {"the prediction"},
}


def unchanged(name, change, seed):
    generator = np.random.default_rng(seed)
    n = 110
    case = {
        "a": generator.gamma(1.0, 1.0, n),
        "predicted": generator.gamma(1.0, 1.0, (1, n)),
        "truth": generator.gamma(1.0, 1.0, (1, n)),
        "shift": generator.normal(size=n),
    }
    labels, t = generator.random((1, n)) < 0.4, torch.as_tensor(generator.random((1, n)))
    components = torch.linalg.qr(torch.as_tensor(generator.normal(size=(n, 2))))[0].T
    statistics = SimpleNamespace(
        t_of_change=lambda: t, t_of_other_half=lambda: t, pca_components=lambda: components
    )

    def value(case):
        arrays = comparison(
            case["predicted"], case["truth"], control=case["a"], train_mean=case["a"], labels=labels
        )
        return METRICS[name](Comparison(**{**vars(arrays), "statistics": statistics})).values.item()

    return value(change(case)) == pytest.approx(value(case), abs=1e-9)
