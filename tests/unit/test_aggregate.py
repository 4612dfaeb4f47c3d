"""Aggregation: filling, intervals, skill, and what may be claimed."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lanner.aggregate import Scored, aggregate, unscored
from lanner.aggregate.intervals import clopper_pearson_lower, interval
from lanner.aggregate.resampling import Resampling
from lanner.metrics import METRICS
from lanner.scoring import score, score_bounds
from scipy.stats import binomtest, bootstrap, ttest_1samp
from truths import predict, simulate

SPLIT = "0" * 64


def frames(
    values,
    *,
    metric="pearson_delta",
    positive=None,
    negatives=None,
    chance=0.0,
    bds=None,
    names=None,
    contexts=None,
    statuses=None,
):
    """A score frame and a bounds frame of one metric, from numbers."""
    n = len(values)
    names = [f"G{i}" for i in range(n)] if names is None else names
    contexts = ["c"] * n if contexts is None else contexts
    base = pd.DataFrame(
        {
            "metric": metric,
            "variant": "",
            "condition": [f"{name}|{context}" for name, context in zip(names, contexts, strict=True)],
            "request_id": [f"r{i:04d}" for i in range(n)],
            "perturbation": names,
            "context": contexts,
            "chance": chance,
            "reason": "",
        }
    )
    scores = base.assign(value=np.asarray(values, dtype=float))
    scores["status"] = (
        np.where(np.isnan(scores["value"]), "undefined", "scored") if statuses is None else statuses
    )
    negatives = {"no-change": np.zeros(n), "train-mean": np.zeros(n)} if negatives is None else negatives
    rows = [
        base.assign(
            value=np.asarray(column, dtype=float), status="scored", bound=name, kind="negative", bds=np.nan
        )
        for name, column in negatives.items()
    ]
    if positive is not None:
        won = np.ones(n) if bds is None else bds
        rows.append(
            base.assign(
                value=positive, status="scored", bound="technical-duplicate", kind="positive", bds=won
            )
        )
    return scores, pd.concat(rows, ignore_index=True)


def one(*arguments, seed=0, residual=None, **options):
    scores, bounds = frames(*arguments, **options)
    return Scored(scores=scores, bounds=bounds, split=SPLIT, seed=seed, residual=residual)


def row(*runs):
    (answer,) = aggregate(runs)
    return answer


def test_a_missing_value_counts_as_the_worst_of_chance_and_the_negative_bounds():
    negatives = {"no-change": [0.3, -0.2, 0.1], "train-mean": [0.2, 0.1, np.nan]}
    answer = row(one([0.9, np.nan, np.nan], negatives=negatives))
    assert answer["value"] == pytest.approx((0.9 - 0.2 + 0.0) / 3)
    assert (answer["n"], answer["n_answered"], answer["n_undefined"]) == (3, 1, 2)
    assert answer["answered_only"] == pytest.approx(0.9)
    assert answer["negative"]["train-mean"] == pytest.approx(0.1)  # undefined stands at chance


def test_where_smaller_is_better_the_worst_is_the_largest():
    negatives = {"no-change": [3.0, 1.0], "train-mean": [2.0, 4.0]}
    assert row(one([0.5, np.nan], metric="mse", chance=np.nan, negatives=negatives))["value"] == 2.25


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**16), metric=st.sampled_from(["mse", "pearson_delta", "de_auprc"]))
def test_abstaining_never_beats_handing_in_a_negative_bound(seed, metric):
    generator = np.random.default_rng(seed)
    values, no_change, train_mean = generator.random((3, 8))
    chance = np.nan if metric == "mse" else generator.random(8)
    options = {
        "metric": metric,
        "negatives": {"no-change": no_change, "train-mean": train_mean},
        "chance": chance,
    }
    sign = METRICS[metric].card.sign
    left_out = generator.random(8) < 0.5
    abstained = row(one(np.where(left_out, np.nan, values), **options))["value"]
    for bound in (no_change, train_mean):
        handed_in = row(one(np.where(left_out, bound, values), **options))["value"]
        assert sign * abstained <= sign * handed_in + 1e-12


def test_a_failed_run_is_a_row_with_the_same_n():
    scores, bounds = frames([0.5] * 8, positive=np.full(8, 0.9), negatives={"no-change": np.full(8, -0.1)})
    failed = unscored(bounds, "the container ran out of memory")
    assert set(failed.columns) == set(scores.columns)
    answer = row(Scored(scores=failed, bounds=bounds, split=SPLIT, seed=0))
    assert (answer["n"], answer["n_answered"], answer["n_unanswered"]) == (8, 0, 8)
    assert answer["value"] == pytest.approx(-0.1) and answer["answered_only"] is None
    assert answer["skill"] == pytest.approx(0.0)


def test_what_the_truth_bars_is_dropped_even_if_the_run_knows_nothing_of_it():
    run = one([0.5, 0.6, 0.7], positive=np.full(3, 0.9))
    run.bounds.loc[run.bounds["condition"] == "G1|c", ["status", "value"]] = ["unscorable", np.nan]
    assert row(run)["n"] == 2 and row(run)["value"] == pytest.approx(0.6)


def test_nothing_scorable_gives_a_row_of_nulls():
    run = one([0.5, 0.6], positive=np.full(2, 0.9))
    run.bounds["status"], run.bounds["value"] = "unscorable", np.nan
    answer = row(run)
    assert answer["status"] == "unscorable" and answer["n"] == 0
    assert answer["value"] is None and answer["skill"] is None and answer["informative"] == "not assessable"


def test_not_applicable_is_a_state_and_not_a_filled_value():
    answer = row(one([np.nan] * 7, positive=np.full(7, 0.9), statuses="not_applicable"))
    assert answer["status"] == "not_applicable"
    assert answer["value"] is None and answer["skill"] is None


def test_intervals_go_from_none_to_t_to_bca_as_conditions_grow():
    generator = np.random.default_rng(0)
    for n, method in ((5, "fewer than 6 conditions"), (6, "t"), (20, "t"), (21, "BCa")):
        values = generator.normal(size=n)
        answer = row(one(values))
        assert answer["interval_method"] == method
        assert (answer["interval"] is None) == (n < 6)
        if method == "t":
            values = np.concatenate([values[: n // 2], -values[: n // 2]])  # symmetric: nothing to correct
            answer = row(one(values))
            theirs = ttest_1samp(values, 0).confidence_interval(0.95)
            assert answer["interval"] == pytest.approx(list(theirs))


def test_bca_of_single_targets_is_that_of_scipy():
    values = np.random.default_rng(1).gamma(1.0, 1.0, 60)
    theirs = bootstrap((values,), np.mean, method="BCa", n_resamples=20_000, rng=0).confidence_interval
    ours = row(one(values))["interval"]
    width = theirs.high - theirs.low
    np.testing.assert_allclose(ours, list(theirs), atol=0.07 * width)


def test_doubles_of_shared_genes_have_a_wider_interval_than_independent_conditions():
    generator = np.random.default_rng(0)
    effect = generator.normal(size=12)
    pairs = [(a, b) for a in range(12) for b in range(a)]
    values = [effect[a] + effect[b] for a, b in pairs]
    nodes = row(one(values, names=[f"G{b}+G{a}" for a, b in pairs]))["interval"]
    independent = row(one(values))["interval"]
    assert nodes[1] - nodes[0] > 1.8 * (independent[1] - independent[0])


def test_all_contexts_of_a_perturbation_are_resampled_together():
    generator = np.random.default_rng(0)
    names = [f"G{g}" for g in range(10) for _ in range(4)]
    contexts = [f"c{c}" for _ in range(10) for c in range(4)]
    values = np.repeat(generator.normal(size=10), 4)
    grid = row(one(values, names=names, contexts=contexts))["interval"]
    independent = row(one(values))["interval"]
    assert grid[1] - grid[0] > 1.5 * (independent[1] - independent[0])


def test_one_perturbation_in_many_contexts_resamples_contexts():
    weights = Resampling(["ifnb"] * 8, [f"c{c}" for c in range(8)], SPLIT)
    assert weights.n_units == 8 and weights.unit == "context"
    assert weights.draws(np.arange(8.0)[:, None]).std() > 0


def test_too_few_genes_to_resample_give_no_interval():
    names = [f"G{i // 8}" for i in range(24)]
    answer = row(
        one(np.random.default_rng(0).random(24), names=names, contexts=[f"c{i % 8}" for i in range(24)])
    )
    assert answer["interval"] is None and answer["interval_method"] == "fewer than 6 resampling units"


def test_the_bootstrap_is_seeded_by_the_split_and_by_nothing_else():
    values = np.random.default_rng(0).random(30)
    run = one(values)
    other = Scored(scores=run.scores, bounds=run.bounds, split="1" * 64, seed=0)
    assert row(run) == row(run)
    assert row(run)["interval"] != row(other)["interval"]


def test_the_order_of_rows_changes_nothing():
    values = np.random.default_rng(0).random(30)
    run = one(values, positive=np.full(30, 0.9))
    shuffled = Scored(
        scores=run.scores.sample(frac=1, random_state=1),
        bounds=run.bounds.sample(frac=1, random_state=2),
        split=SPLIT,
        seed=0,
    )
    assert row(run) == row(shuffled)


def test_skill_is_a_ratio_of_means_against_the_best_negative_and_not_clipped():
    generator = np.random.default_rng(0)
    for n in (10, 40):
        values, positive = 0.8 + 0.05 * generator.random((2, n))
        negatives = {"no-change": 0.1 * generator.random(n), "train-mean": 0.3 + 0.1 * generator.random(n)}
        answer = row(one(values, positive=positive, negatives=negatives))
        best = negatives["train-mean"].mean()
        assert answer["skill"] == pytest.approx((values.mean() - best) / (positive.mean() - best))
        assert answer["skill_interval"][0] < answer["skill"] < answer["skill_interval"][1]
    assert row(one(np.full(10, 1.0), positive=np.full(10, 0.5)))["skill"] == pytest.approx(2.0)


def test_skill_turns_round_where_smaller_is_better():
    negatives = {"no-change": np.full(8, 4.0), "train-mean": np.full(8, 2.0)}
    answer = row(one(np.full(8, 1.5), metric="mse", chance=np.nan, positive=np.ones(8), negatives=negatives))
    assert answer["skill"] == pytest.approx(0.5)
    assert answer["difference_to_reference"]["value"] == pytest.approx(-0.5)


@pytest.mark.parametrize(
    ("n", "positive", "reason"),
    [(5, 0.9, "fewer than 6 conditions"), (8, None, "no positive bound"), (8, -0.5, "bound inverted")],
)
def test_skill_is_null_with_a_reason(n, positive, reason):
    answer = row(one(np.full(n, 0.5), positive=None if positive is None else np.full(n, positive)))
    assert answer["skill"] is None and answer["skill_interval"] is None
    assert answer["skill_reason"] == reason


def test_skill_is_null_where_the_bounds_cannot_be_told_apart():
    positive = np.random.default_rng(0).normal(0, 1, 10)
    assert row(one(np.full(10, 0.5), positive=positive))["skill_reason"] == "bound inverted"


def test_linearised_and_bootstrapped_intervals_of_skill_agree():
    generator = np.random.default_rng(0)
    values, positive = 0.6 + 0.1 * generator.normal(size=(2, 20))
    extra = 0.6 + 0.1 * generator.normal(size=(2, 1))
    t = row(one(values, positive=positive + 0.2))["skill_interval"]
    bca = row(one(np.append(values, extra[0]), positive=np.append(positive, extra[1]) + 0.2))[
        "skill_interval"
    ]
    assert (t[1] - t[0]) == pytest.approx(bca[1] - bca[0], rel=0.35)


def test_a_metric_is_informative_only_if_the_exact_lower_bound_exceeds_one_half():
    def verdict(bds):
        n = len(bds)
        return row(one(np.full(n, 0.5), positive=np.full(n, 0.9), bds=np.array(bds, dtype=float)))

    assert verdict([1.0] * 5)["informative"] == "not assessable"
    assert verdict([1.0] * 6)["informative"] == "informative"
    assert verdict([1.0] * 5 + [0.5])["informative"] == "not informative"
    assert verdict([0.0] * 9)["informative"] == "not informative"
    assert row(one([0.5] * 8))["informative"] == "no positive bound"


@pytest.mark.parametrize(("k", "n"), [(0, 9), (5, 6), (6, 6), (17, 20), (180, 200)])
def test_the_exact_lower_bound_is_that_of_scipy(k, n):
    theirs = binomtest(k, n).proportion_ci(0.95, method="exact").low
    assert clopper_pearson_lower(k, n) == pytest.approx(theirs, abs=1e-9)


def test_seeds_are_averaged_within_conditions_and_their_spread_is_kept_apart():
    first, second = np.full(8, 0.4), np.full(8, 0.6)
    answer = row(one(first, seed=0), one(second, seed=1))
    assert answer["n"] == 8 and answer["value"] == pytest.approx(0.5)
    assert answer["sd_seeds"] == pytest.approx(np.std([0.4, 0.6], ddof=1))
    assert row(one(first))["sd_seeds"] is None


def test_folds_are_pooled_and_repeats_of_a_condition_add_no_n():
    a = one([0.1, 0.2, 0.3], names=["A", "B", "C"])
    b = one([0.5, 0.7], names=["D", "C"])
    other = Scored(scores=b.scores, bounds=b.bounds, split="1" * 64, seed=0)
    answer = row(a, other)
    assert answer["n"] == 4
    assert answer["value"] == pytest.approx((0.1 + 0.2 + 0.5 + 0.5) / 4)


def test_the_paired_difference_to_the_train_mean_has_its_own_interval():
    generator = np.random.default_rng(0)
    reference = generator.normal(0, 5, 12)
    values = reference + 0.1 + 0.01 * generator.normal(size=12)
    answer = row(one(values, negatives={"no-change": np.zeros(12), "train-mean": reference}))
    low, high = answer["difference_to_reference"]["interval"]
    assert 0.08 < low < 0.1 < high < 0.12 or low < answer["difference_to_reference"]["value"] < high
    assert high - low < 0.05


def test_of_a_ratio_the_difference_to_the_train_mean_is_that_of_the_distances_to_one():
    generator = np.random.default_rng(0)
    values, reference = 1.2 + 0.01 * generator.normal(size=12), 0.5 + 0.01 * generator.normal(size=12)
    negatives = {"no-change": np.zeros(12), "train-mean": reference}
    for metric in ("calibration_slope", "de_nsig_ratio"):
        answer = row(one(values, negatives=negatives, metric=metric))
        assert answer["difference_to_reference"]["value"] == pytest.approx(0.2 - 0.5, abs=0.02)


def test_real_frames_give_json_rows_for_every_metric_and_variant(tmp_path):
    truth = simulate(n_conditions=8, n_genes=80)
    bounds = score_bounds(truth, list(METRICS))
    scores = score(truth, predict(tmp_path, truth.full, residual="shift"), list(METRICS))
    rows = aggregate(
        [Scored(scores=scores, bounds=bounds, split=truth.split.sha256, seed=0, residual="shift")]
    )
    assert len(rows) == len(METRICS) * 4
    json.dumps(rows, allow_nan=False)
    by_id = {(r["metric"], r["variant"]): r for r in rows}
    assert by_id["mse", ""]["skill"] > 0.9
    assert by_id["energy", ""]["residual"] == "shift" and by_id["mse", ""]["residual"] is None
    assert by_id["mse", "@all-cells"]["skill_reason"] == "no positive bound"
    assert by_id["pds_cosine", ""]["primary_eligible"] is False  # 8 candidates of the 10 it takes
    failed = Scored(scores=unscored(bounds, "it crashed"), bounds=bounds, split=truth.split.sha256, seed=0)
    for ours, theirs in zip(aggregate([failed]), rows, strict=True):
        assert (ours["metric"], ours["n"]) == (theirs["metric"], theirs["n"])


def test_a_constant_sample_has_an_interval_of_no_width():
    estimate = interval(np.full(30, 0.25), Resampling([f"G{i}" for i in range(30)], ["c"] * 30, SPLIT))
    assert estimate.interval == pytest.approx([0.25, 0.25])


def test_a_slope_loses_by_its_distance_to_the_best_value_on_either_side():
    n = 8
    bounds = {"positive": np.full(n, 0.9), "negatives": {"no-change": np.full(n, 0.2)}}
    noise = np.linspace(-0.01, 0.01, n)
    answers = [
        row(one(np.full(n, value) + noise, metric="calibration_slope", **bounds))
        for value in (1.0, 0.9, 1.1, 0.2, 1.8)
    ]
    skills = [answer["skill"] for answer in answers]
    np.testing.assert_allclose(skills, [0.795 / 0.7, 1, 1, 0, 0], atol=0.01)


def test_a_missing_slope_counts_as_the_one_farthest_from_the_best_value():
    values = np.full(8, 1.0)
    values[3] = np.nan
    negatives = {"no-change": np.full(8, 2.5), "train-mean": np.full(8, 0.4)}
    answer = row(one(values, metric="calibration_slope", negatives=negatives))
    assert answer["value"] == pytest.approx((7 + 2.5) / 8)


def test_information_has_no_skill_and_is_never_informative():
    values = np.full(8, 0.3)
    answer = row(
        one(
            values,
            metric="de_prevalence",
            chance=0.3,
            positive=values,
            negatives={"no-change": values},
            bds=np.zeros(8),
        )
    )
    assert answer["value"] == pytest.approx(0.3)
    assert answer["skill"] is None and answer["skill_reason"] == "it describes the truth"
    assert answer["informative"] == "not informative"


def test_a_negative_bound_that_does_not_exist_here_does_not_stand_at_chance():
    scores, bounds = frames(
        np.full(8, 0.5), negatives={"no-change": np.full(8, -0.5), "shuffled-cells": np.full(8, np.nan)}
    )
    bounds.loc[bounds["bound"] == "shuffled-cells", "status"] = "not_applicable"
    answer = row(Scored(scores=scores, bounds=bounds, split=SPLIT, seed=0))
    assert answer["negative"] == {"no-change": -0.5, "shuffled-cells": None}
    bounds["status"] = "undefined"
    answer = row(Scored(scores=scores, bounds=bounds, split=SPLIT, seed=0))
    assert answer["negative"]["shuffled-cells"] == 0.0
