"""Strata, repeats, and what a row says beside its skill."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from lanner.aggregate import Scored, aggregate
from test_aggregate import SPLIT, frames, one, row


def stratified(*runs, metric="mse"):
    (answer,) = aggregate(runs, [metric])
    return {(item["by"], item["stratum"]): item for item in answer["strata"]}


def doubles(n):
    return [f"A{i:02d}+B{i:02d}" for i in range(n)]


def test_only_named_metrics_carry_strata():
    assert "strata" not in row(one([0.5] * 9))


def test_contexts_are_strata_with_an_interval_from_six_conditions():
    contexts = ["x"] * 8 + ["y"] * 4
    values = np.linspace(0.1, 0.9, 12)
    found = stratified(one(values, metric="mse", contexts=contexts, chance=np.nan))
    assert found["context", "x"]["n"] == 8 and found["context", "x"]["interval"] is not None
    assert found["context", "y"]["n"] == 4 and found["context", "y"]["interval"] is None
    assert found["context", "x"]["value"] == pytest.approx(values[:8].mean())


def test_one_context_is_no_stratum():
    assert not [key for key in stratified(one([0.5] * 9, metric="mse", chance=np.nan)) if key[0] == "context"]


def test_effect_size_is_the_product_of_the_halves_deltas_whatever_the_noise():
    # |t1-c|^2 averages to effect + noise, |t1-t2|^2 to twice the noise: few cells are no strong effect.
    effect, noise = np.arange(12.0), np.arange(12.0)[::-1] * 10
    values = np.where(effect < 4, 1.0, np.where(effect < 8, 2.0, 3.0))
    run = one(
        values,
        metric="mse",
        chance=np.nan,
        negatives={"no-change": effect + noise, "train-mean": np.full(12, 200.0)},
        positive=2 * noise,
    )
    found = stratified(run)
    assert [found["effect size", name]["n"] for name in ("small", "medium", "large")] == [4, 4, 4]
    assert [found["effect size", name]["value"] for name in ("small", "medium", "large")] == [1, 2, 3]


def test_effect_sizes_are_the_same_for_every_method():
    noisy = np.random.default_rng(0).random((2, 12))
    negatives = {"no-change": np.arange(12.0), "train-mean": np.ones(12)}
    found = [stratified(one(v, metric="mse", chance=np.nan, negatives=negatives)) for v in noisy]
    assert [key for key in found[0] if key[0] == "effect size"] == [
        ("effect size", name) for name in ("small", "medium", "large")
    ]
    assert {key: item["n"] for key, item in found[0].items()} == {
        key: item["n"] for key, item in found[1].items()
    }


def test_combinations_are_cut_by_how_many_singles_were_seen():
    names = doubles(10)
    scores, bounds = frames(np.arange(10.0), metric="mse", names=names, chance=np.nan)
    seen = {f"{name}|c": int(i >= 7) + int(i >= 3) for i, name in enumerate(names)}
    found = stratified(Scored(scores=scores, bounds=bounds, split=SPLIT, seed=0, seen=seen))
    assert [found["seen singles", str(count)]["n"] for count in (0, 1, 2)] == [3, 4, 3]
    assert found["seen singles", "1"]["value"] == pytest.approx(4.5)


def test_a_stratum_of_six_has_a_skill_by_the_rules_of_the_whole():
    n = 18
    run = one(
        np.full(n, 1.5) + np.linspace(0, 0.1, n),
        metric="mse",
        chance=np.nan,
        positive=np.ones(n),
        negatives={"no-change": np.linspace(2, 3, n), "train-mean": np.full(n, 4.0)},
    )
    skills = [item["skill"] for item in stratified(run).values()]
    assert len(skills) == 3 and all(0 < skill < 1 for skill in skills)


def test_repeats_have_nadeau_and_bengios_standard_error_and_no_extra_n():
    runs = []
    for repeat, shift in enumerate((0.0, 0.1, 0.3)):
        scores, bounds = frames(np.full(8, 0.5 + shift))
        split = str(repeat) * 64
        runs.append(
            Scored(scores=scores, bounds=bounds, split=split, seed=0, repeat=repeat, test_to_train=0.25)
        )
    answer = row(*runs)
    sd = np.std([0.5, 0.6, 0.8], ddof=1)
    assert answer["n"] == 8
    assert answer["repeats"]["n"] == 3 and answer["repeats"]["sd"] == pytest.approx(sd)
    assert answer["repeats"]["standard_error"] == pytest.approx(np.sqrt(1 / 3 + 0.25) * sd)
    assert row(one([0.5] * 8))["repeats"] is None


def test_a_method_above_the_duplicate_on_most_conditions_is_flagged_where_the_metric_can_tell():
    values = np.where(np.arange(10) < 6, 0.95, 0.5)
    informative = row(one(values, positive=np.full(10, 0.9)))
    assert informative["above_duplicate"] == {"share": 0.6, "n": 10, "flag": True}
    honest = row(one(np.full(10, 0.8), positive=np.full(10, 0.9)))
    assert honest["above_duplicate"] == {"share": 0.0, "n": 10, "flag": False}
    blind = row(one(values, positive=np.full(10, 0.9), bds=np.full(10, 0.3)))
    assert blind["above_duplicate"]["share"] == 0.6 and not blind["above_duplicate"]["flag"]
    assert row(one(values))["above_duplicate"] is None


def test_drf_is_the_share_of_the_way_to_a_perfect_score():
    negatives = {"no-change": np.full(8, 4.0), "train-mean": np.full(8, 2.0)}
    values = np.full(8, 1.5)
    of_mse = row(one(values, metric="mse", chance=np.nan, positive=np.full(8, 0.5), negatives=negatives))
    assert of_mse["drf"] == pytest.approx(0.75)
    of_pearson = row(one(np.full(8, 0.3), positive=np.full(8, 0.6), negatives={"no-change": np.full(8, 0.2)}))
    assert of_pearson["drf"] == pytest.approx(0.5)
    assert row(one([0.5] * 8))["drf"] is None


def test_the_best_negative_is_chosen_in_every_draw():
    # Two negatives that are equally good: the fixed one would leave out how easily the other could have won.
    generator = np.random.default_rng(0)
    n = 60
    noise = generator.normal(0, 1, (2, n))
    base = generator.normal(0, 0.1, n)
    fixed = row(one(base + 2, positive=np.full(n, 3.0), negatives={"no-change": noise[0]}))
    free = row(
        one(base + 2, positive=np.full(n, 3.0), negatives={"no-change": noise[0], "train-mean": noise[1]})
    )
    assert free["skill"] is not None and fixed["skill"] is not None
    best = max(noise.mean(axis=1))
    assert free["skill"] == pytest.approx((base.mean() + 2 - best) / (3 - best))
    assert free["skill_interval"] != fixed["skill_interval"]


def test_a_gene_that_every_condition_has_is_not_resampled():
    names = [f"A+B{i:02d}" for i in range(12)]
    values = np.random.default_rng(0).random(12)
    of_doubles, of_singles = row(one(values, names=names)), row(one(values))
    assert of_doubles["interval"] == pytest.approx(of_singles["interval"])
    assert of_doubles["n_units"] == pytest.approx(12)


def test_values_are_json_ready():
    answer = row(one(np.random.default_rng(0).random(8), positive=np.full(8, 0.9)))
    assert not [value for value in pd.Series(answer).tolist() if isinstance(value, np.generic)]
