"""Tests of paired differences: what is flipped or drawn, what is corrected, what is said of it."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lanner.aggregate.comparing import across_datasets, compare
from lanner.aggregate.pooling import Pooled
from lanner.aggregate.resampling import DRAWS, Resampling
from lanner.aggregate.significance import Plan, difference, first_shares, holm, p_value, planned, sign_flip
from scipy.stats import permutation_test

SPLIT = "0" * 64


def singles(n: int, contexts: int = 1) -> Resampling:
    names = [f"G{i:02d}" for i in range(n) for _ in range(contexts)]
    return Resampling(names, [f"c{j}" for _ in range(n) for j in range(contexts)], SPLIT)


def pooled(values: Any, *, metric: str = "mse", reference: Any = None) -> Pooled:
    values = np.asarray(values, dtype=float)
    n = len(values)
    return Pooled(
        metric=metric,
        variant="",
        status="scored",
        conditions=tuple(f"G{i:02d}|c" for i in range(n)),
        perturbations=tuple(f"G{i:02d}" for i in range(n)),
        contexts=("c",) * n,
        values=values,
        answered_only=values,
        n_answered=n,
        n_undefined=0,
        n_unanswered=0,
        sd_seeds=np.nan,
        chance=np.full(n, np.nan),
        negative={"train-mean": np.ones(n) if reference is None else reference},
        positive={},
        bds=np.full(n, np.nan),
        residual=None,
        repeats=None,
    )


@pytest.mark.parametrize("n", [6, 9])
def test_the_exact_sign_flip_tries_every_sign(n: int) -> None:
    totals = np.random.default_rng(n).normal(0.4, 1, n)
    sums = [abs(np.dot(signs, totals)) for signs in product((-1, 1), repeat=n)]
    assert sign_flip(totals, SPLIT) == pytest.approx(np.mean(np.array(sums) >= abs(totals.sum()) - 1e-12))


def test_the_exact_sign_flip_is_scipys_permutation_test() -> None:
    totals = np.random.default_rng(3).normal(0.4, 1, 10)
    theirs = permutation_test((totals, np.zeros(10)), lambda a, b: np.mean(a - b), permutation_type="samples")
    assert sign_flip(totals, SPLIT) == pytest.approx(theirs.pvalue)


def test_drawn_signs_agree_with_all_signs_and_never_give_zero() -> None:
    totals = np.random.default_rng(1).normal(0.3, 1, 17)
    exact = np.mean(
        np.abs((1 - 2 * ((np.arange(2**17)[:, None] >> np.arange(17)) & 1)) @ totals) >= abs(totals.sum())
    )
    assert sign_flip(totals, SPLIT) == pytest.approx(exact, abs=0.015)
    assert 0 < sign_flip(np.ones(40), SPLIT) < 2e-4


def test_the_unit_is_the_target_gene_however_many_conditions_it_has() -> None:
    few, many = singles(8), singles(8, contexts=5)
    gains = np.random.default_rng(0).normal(0.5, 1, 8)
    assert p_value(np.repeat(gains, 5), many, SPLIT) == pytest.approx(p_value(gains, few, SPLIT))
    plan = planned(many, 40)
    assert isinstance(plan, Plan)
    assert (plan.name, plan.unit, plan.n_units) == ("exact sign-flip", "target gene", 8)


def test_one_perturbation_in_many_contexts_flips_contexts() -> None:
    plan = planned(Resampling(["ifnb"] * 7, [f"c{i}" for i in range(7)], SPLIT), 7)
    assert isinstance(plan, Plan) and (plan.unit, plan.n_units) == ("context", 7)


def test_doubles_share_genes_and_are_bootstrapped() -> None:
    pairs = [(a, b) for a in range(24) for b in range(a)]
    of = Resampling([f"G{b:02d}+G{a:02d}" for a, b in pairs], ["c"] * len(pairs), SPLIT)
    plan = planned(of, len(pairs))
    assert isinstance(plan, Plan) and plan.name == "bootstrap"
    noise = np.random.default_rng(0).normal(size=24)
    values = np.array([noise[a] + noise[b] for a, b in pairs])
    p = p_value(values - values.mean() + 0.1, of, SPLIT)
    assert p is not None and p > 0.5  # were the 276 doubles independent, p would be near 0.25
    certain = p_value(values - values.mean() + 5, of, SPLIT)
    assert certain is not None and certain < 0.005


def test_too_few_conditions_or_units_have_no_test_and_say_why() -> None:
    assert planned(singles(5), 5) == "fewer than 6 conditions"
    assert planned(singles(3, contexts=4), 12) == "fewer than 6 resampling units"


@settings(deadline=None, max_examples=40)
@given(p=st.dictionaries(st.text("abc", min_size=1, max_size=4), st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_lowers_a_p_value_never_swaps_two_and_spares_the_largest(p: dict[str, float]) -> None:
    adjusted = holm(p)
    for name, value in p.items():
        found = adjusted[name]
        assert found is not None and value <= found <= 1
        assert all(found <= (adjusted[other] or 0.0) for other in p if p[other] > value)
    least = min(p, key=lambda name: p[name])
    assert adjusted[least] == min(1.0, p[least] * len(p))


def test_holm_of_a_textbook_family() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": None}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06, "d": None}
    )


def test_what_float32_rounding_can_explain_is_no_difference() -> None:
    a = np.array([1.0, 2.0, 3.0])
    assert not difference(a * (1 + 1e-6), a).any()
    assert difference(a * 1.001, a).all()


def test_a_correlation_near_0_is_rounded_as_those_beside_it_are() -> None:
    correlations = np.array([0.4, -0.3, 1e-9, 0.2])
    rounded = correlations + 1e-8
    assert not difference(rounded, correlations).any()
    answer = compare(
        [{"a": pooled(correlations, metric="pearson_delta"), "b": pooled(rounded, metric="pearson_delta")}],
        SPLIT,
    )
    assert answer["between"][0]["p"] is None and answer["between"][0]["gain"] == 0.0


def test_a_method_that_equals_the_training_mean_is_not_tested_and_costs_the_others_nothing() -> None:
    generator = np.random.default_rng(0)
    better = pooled(1 - 0.5 * generator.random(12))
    alone = compare([{"better": better}], SPLIT)["against_reference"]["better"]
    answer = compare([{"better": better, "same": pooled(np.ones(12) * (1 + 1e-7))}], SPLIT)
    assert answer["against_reference"]["better"] == alone and alone["better"]
    same = answer["against_reference"]["same"]
    assert same["p"] is None and same["gain"] == 0.0 and not same["better"]


def test_gains_are_positive_where_the_first_method_is_better_whatever_the_metric() -> None:
    for metric, good, bad in (("mse", 0.2, 0.9), ("pearson_delta", 0.9, 0.2)):
        spread = np.linspace(-0.05, 0.05, 10)
        methods = {"a": pooled(good + spread, metric=metric), "b": pooled(bad - spread, metric=metric)}
        (pair,) = compare([methods], SPLIT)["between"]
        assert pair["methods"] == ["a", "b"] and pair["gain"] == pytest.approx(0.7)
        assert pair["p"] == pytest.approx(2 / 2**10)


def test_each_kind_of_comparison_is_a_family_of_its_own() -> None:
    generator = np.random.default_rng(0)
    methods = {name: pooled(generator.random(14)) for name in "abcd"}
    answer = compare([methods], SPLIT)
    singles_p = [item["p"] for item in answer["against_reference"].values()]
    least = min(answer["against_reference"].values(), key=lambda item: item["p"])
    assert least["p_holm"] == min(1.0, 4 * min(singles_p))
    pair = min(answer["between"], key=lambda item: item["p"])
    assert len(answer["between"]) == 6 and pair["p_holm"] == pytest.approx(min(1.0, 6 * pair["p"]))


def test_a_composite_is_better_only_where_every_component_is() -> None:
    good, bad = pooled(np.linspace(0.1, 0.3, 10)), pooled(np.linspace(1.1, 1.3, 10))
    both = compare([{"m": good}, {"m": good}], SPLIT)["against_reference"]["m"]
    one = compare([{"m": good}, {"m": bad}], SPLIT)["against_reference"]["m"]
    assert both["better"] and not one["better"]
    assert one["p"] == 1.0 and one["gain"] < 0


def test_the_method_that_is_always_best_is_first_in_every_draw_and_ties_are_shared() -> None:
    base = np.random.default_rng(0).random(9)
    shares = first_shares(np.stack([base + 1, base, base + 1], axis=1), singles(9))
    assert shares == pytest.approx([0.5, 0.0, 0.5])


def test_methods_scored_on_different_conditions_are_not_compared() -> None:
    with pytest.raises(ValueError, match="different conditions"):
        compare([{"a": pooled(np.ones(8)), "b": pooled(np.ones(9))}], SPLIT)


def test_over_datasets_the_dataset_is_the_unit_and_fewer_than_six_are_said() -> None:
    five = across_datasets({"a": {f"d{i}": 0.5 for i in range(5)}}, SPLIT)["above_best_negative"]["a"]
    assert five["p"] is None and five["reason"] == "5 datasets of the 6 it takes"
    skills = {"a": {f"d{i}": 0.5 + i / 10 for i in range(6)}, "b": {f"d{i}": 0.1 for i in range(6)}}
    answer = across_datasets(skills, SPLIT)
    assert answer["above_best_negative"]["a"]["p"] == pytest.approx(2 / 2**6)
    assert answer["between"][0]["p_holm"] == pytest.approx(2 / 2**6)


def test_no_interval_claims_a_smaller_p_than_its_draws_could_show() -> None:
    genes = [f"G{i}" for i in range(8)]
    doubles = [f"{a}+{b}" for i, a in enumerate(genes) for b in genes[i + 1 :]]
    resampling = Resampling(doubles, ["c"] * len(doubles), SPLIT)
    apart = 1 + 1e-6 * np.random.default_rng(0).normal(size=len(doubles))
    assert p_value(apart, resampling, SPLIT) == 1 / (1 + DRAWS)
