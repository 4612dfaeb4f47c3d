"""Top genes, highest genes and weights against NumPy and scikit-learn."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lanner.metrics import METRICS, Comparison
from lanner.scoring.engine import ConditionParts
from lanner.scoring.statistics import ConditionStatistics
from scipy.stats import pearsonr, ttest_ind_from_stats
from sklearn.metrics import r2_score
from truths import comparison, mean, simulate


def given(plain, *, t=None, other=None):
    statistics = SimpleNamespace(
        t_of_change=lambda: torch.as_tensor(t),
        t_of_other_half=lambda: None if other is None else torch.as_tensor(other),
    )
    return Comparison(**{**vars(plain), "statistics": statistics})


@pytest.fixture
def case():
    generator = np.random.default_rng(0)
    p, t_ = generator.normal(size=(2, 3, 150))
    return p, t_, generator.normal(size=150), generator.random((3, 150)) < 0.1, generator.random((3, 150))


@pytest.mark.parametrize("k", [20, 50, 100])
def test_top_k_takes_the_unmasked_genes_of_largest_t(case, k):
    p, truth, a, masked, t = case
    plain = comparison(p, truth, control=a, masked=masked)
    r = METRICS[f"pearson_delta/top{k}"](given(plain, t=t))
    e = METRICS[f"mse/top{k}"](given(plain, t=t))
    assert r.scorable.all() and e.scorable.all()
    for i in range(3):
        genes = np.argsort(np.where(masked[i], -1, t[i]))[::-1][:k]
        assert r.values[i].item() == pytest.approx(pearsonr((p[i] - a)[genes], (truth[i] - a)[genes])[0])
        assert e.values[i].item() == pytest.approx(np.mean((p[i] - truth[i])[genes] ** 2))


def test_top_k_needs_k_genes_with_a_statistic_and_20_cells(case):
    p, truth, a, _masked, t = case
    few = np.where(np.arange(150) < 19, t, np.nan)
    for name in ("pearson_delta/top20", "mse/top20"):
        assert not METRICS[name](given(comparison(p, truth, control=a), t=few)).scorable.any()
        assert not METRICS[name](given(comparison(p, truth, control=a, n_cells=19), t=t)).scorable.any()


def test_genes_tied_at_the_last_place_all_count(case):
    p, truth, *_ = case
    t = np.where(np.arange(150) < 30, 1.0, 0.5)[None].repeat(3, axis=0)
    ours = METRICS["mse/top20"](given(comparison(p, truth), t=t)).values
    np.testing.assert_allclose(ours, ((p - truth)[:, :30] ** 2).mean(axis=1))


def test_heg1000_takes_the_genes_highest_in_sealed_controls_and_needs_as_many():
    generator = np.random.default_rng(0)
    p, t, a, b = generator.normal(size=(4, 1200))
    masked = generator.random(1200) < 0.05
    genes = np.argsort(np.where(masked, -np.inf, b))[::-1][:1000]
    plain = comparison(p, t, control=a, sealed_control=b, masked=masked)
    assert METRICS["mse/heg1000"](plain).values.item() == pytest.approx(np.mean((p - t)[genes] ** 2))
    expected = pearsonr((p - a)[genes], (t - b)[genes]).statistic
    assert METRICS["pearson_delta/heg1000"](plain).values.item() == pytest.approx(expected)
    short = comparison(p[:1040], t[:1040], control=a[:1040], masked=np.arange(1040) < 41)
    for name in ("mse/heg1000", "pearson_delta/heg1000"):
        assert not METRICS[name](short).scorable.any()


def test_weighted_errors_are_those_of_min_max_squared_weights(case):
    p, truth, m, masked, t = case
    plain = comparison(p, truth, train_mean=m, masked=masked)
    wmse, r2 = (METRICS[name](given(plain, other=t)) for name in ("wmse", "weighted_r2_delta"))
    for i in range(3):
        keep = ~masked[i]
        w = ((t[i][keep] - t[i][keep].min()) / np.ptp(t[i][keep])) ** 2
        x, y = p[i][keep], truth[i][keep]
        assert wmse.values[i].item() == pytest.approx(np.average((x - y) ** 2, weights=w))
        expected = r2_score(y - m[keep], x - m[keep], sample_weight=w)
        assert r2.values[i].item() == pytest.approx(expected)


def test_weights_need_other_perturbations_cells_and_a_spread_of_t(case):
    p, truth, _m, _masked, t = case
    for name in ("wmse", "weighted_r2_delta"):
        assert not METRICS[name](given(comparison(p, truth))).scorable.any()
        assert not METRICS[name](given(comparison(p, truth, n_cells=19), other=t)).scorable.any()
        assert not METRICS[name](given(comparison(p, truth), other=np.ones((3, 150)))).scorable.any()


@pytest.fixture(scope="module")
def truth():
    return simulate(n_conditions=6, n_genes=30)


def test_t_statistics_are_those_of_scipy_with_the_other_group_no_larger(truth):
    parts = ConditionParts(truth, 1)
    statistics = ConditionStatistics(truth, parts).rows(slice(None), "cpu")
    change, other = statistics.t_of_change().numpy(), statistics.t_of_other_half().numpy()
    controls = truth.control_cells(0, "b").toarray().astype(float)
    rest_mean, rest_variance = truth.others(1)
    cells = truth.cells(1).toarray().astype(float)
    for row, members in enumerate(parts.members):
        for ours, group, against in (
            (change[row], cells[members], (controls.mean(axis=0), controls.std(axis=0, ddof=1))),
            # of the half that is not scored; the full truth, the last row, has no other cells than its own
            (other[row], cells[~members] if row < 40 else cells, (rest_mean, np.sqrt(rest_variance))),
        ):
            n = len(group)
            t, _ = ttest_ind_from_stats(
                group.mean(axis=0), group.std(axis=0, ddof=1), n, *against, n, equal_var=False
            )
            np.testing.assert_allclose(ours, np.abs(t), rtol=1e-8)
    assert mean(truth.cells(1)).shape == change[0].shape


def test_fewer_than_five_other_perturbations_give_no_weights():
    truth = simulate(n_conditions=2, n_genes=30, n_cells=40)
    assert len(truth._train) < 5
    statistics = ConditionStatistics(truth, ConditionParts(truth, 0)).rows(slice(0, 40), "cpu")
    assert statistics.t_of_other_half() is None
