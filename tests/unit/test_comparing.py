"""How far numbers of one name disagree, from a table of scores."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from lanner.catalogue.comparing import compare
from lanner.errors import ConfigurationError
from scipy.stats import kendalltau

LABELS = ("A", "B", "C", "D", "E")


def table(
    values: dict[str, list[float | None]], *, variant: str = "", reason: str = "a constant change"
) -> pd.DataFrame:
    """One row per metric and perturbation; None is undefined."""
    rows = [
        {
            "metric": metric,
            "variant": variant,
            "perturbation": label,
            "context": "",
            "value": np.nan if value is None else value,
            "status": "undefined" if value is None else "scored",
            "reason": reason if value is None else "",
        }
        for metric, of_metric in values.items()
        for label, value in zip(LABELS, of_metric, strict=False)
    ]
    return pd.DataFrame(rows)


def test_a_variant_is_the_mean_of_what_is_scored_and_says_what_is_not() -> None:
    frame = table({"systema/corr_all": [0.5, 0.7, None, None, 0.9], "csendes/pearson_delta": [0.1] * 5})
    first, second = compare(frame, "pearson delta").variants
    assert (first.metric, first.peer, first.n) == ("systema/corr_all", "Systema", 3)
    assert first.value == pytest.approx(0.7)
    assert first.without == "2 undefined: a constant change"
    assert (second.n, second.without) == (5, "")


def test_agreement_is_kendalls_tau_with_larger_always_better() -> None:
    ranks, accuracy = [0.0, 0.5, 0.25, 1.0, 0.75], [1.0, 0.6, 0.7, 0.1, 0.2]
    frame = table({"perturbench/rmse_rank_average": ranks, "systema/centroid_accuracy": accuracy})
    comparison = compare(frame, "pds")
    (agreement,) = comparison.agreements
    assert agreement.tau == pytest.approx(kendalltau(-np.array(ranks), accuracy).statistic)
    assert agreement.tau > 0.9
    assert {variant.tau for variant in comparison.variants} == {agreement.tau}


def test_only_perturbations_that_both_have_are_compared() -> None:
    frame = table({"pds_l1": [0.1, 0.2, 0.3, 0.4, None], "pds_l2": [None, 0.9, 0.8, 0.7, 0.1]})
    (agreement,) = compare(frame, "pds").agreements
    assert (agreement.n, agreement.tau) == (3, pytest.approx(-1.0))


def test_two_perturbations_or_an_even_score_have_no_rank_correlation() -> None:
    few = table({"pds_l1": [0.1, 0.2, None, None, None], "pds_l2": [0.2, 0.1, 0.4, 0.3, 0.2]})
    even = table({"pds_l1": [0.5] * 5, "pds_l2": [0.2, 0.1, 0.4, 0.3, 0.2]})
    for frame in (few, even):
        comparison = compare(frame, "pds")
        assert comparison.agreements == ()
        assert "Too few perturbations, or too even ones" in comparison.sentence
        assert all(variant.tau is None for variant in comparison.variants)


def test_masked_and_unmasked_are_two_variants() -> None:
    both = pd.concat([table({"mse": [1.0, 2.0, 3.0]}), table({"mse": [2.0, 3.0, 5.0]}, variant="@unmasked")])
    assert [variant.metric for variant in compare(both, "mse").variants] == ["mse", "mse@unmasked"]


def test_the_sentence_says_the_range_of_like_values_and_who_agrees_least() -> None:
    frame = table(
        {
            "systema/corr_all": [0.9, 0.8, 0.7, 0.6, 0.5],
            "csendes/pearson_delta": [0.5, 0.4, 0.3, 0.2, 0.1],
            "miller/pearson_deltapert": [0.1, 0.2, 0.3, 0.4, 0.5],
        }
    )
    sentence = compare(frame, "pearson delta").sentence
    assert sentence.startswith("3 of 3 variants of pearson delta have a value for this prediction: 0.3 (")
    assert "to 0.7 (systema/corr_all) where higher is better, best 1" in sentence
    assert "between -1.00 and 1.00" in sentence
    assert "miller/pearson_deltapert agree least" in sentence


def test_information_is_neither_ranked_nor_left_out() -> None:
    frame = table(
        {
            "pereggrn/pvalue_effect_direction": [0.1, 0.2, 0.3],
            "pereggrn/proportion_correct_direction": [0.3, 0.2, 0.1],
        }
    )
    comparison = compare(frame, "de direction")
    assert comparison.agreements == ()
    assert "information" in comparison.sentence


def test_a_name_with_one_value_has_nothing_to_compare() -> None:
    frame = table({"pds_l1": [None, None, None], "pds_l2": [0.2, 0.1, 0.4]})
    assert "nothing to compare" in compare(frame, "pds").sentence


def test_metrics_of_two_families_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="rmse is not a variant of mse"):
        compare(table({"mse": [1.0], "rmse": [1.0]}), "mse")


def test_the_comparison_is_plain_json() -> None:
    frame = table({"pds_l1": [None, 0.2, 0.3], "pds_l2": [None, None, None]})
    document = compare(frame, "pds").to_json()
    assert json.loads(json.dumps(document, allow_nan=False))["variants"][1]["value"] is None
