"""What comparisons come to in words: corrected, powerless, suspicious, and never PDS alone."""

from __future__ import annotations

from typing import Any

import pytest
from lanner.leaderboard.comparisons import _unranked
from lanner.leaderboard.table import _mean_skill
from lanner.leaderboard.verdict import across, against, note, remarks


def score(informative: str = "informative", **fields: Any) -> dict[str, Any]:
    return {"informative": informative, "n": 12, "skill": 0.5, "above_duplicate": None, **fields}


def gain(better: bool, interval: list[float] | None = None, p: float | None = 0.01) -> dict[str, Any]:
    return {"gain": 0.1, "interval": interval or [0.05, 0.2], "p": p, "p_holm": p, "better": better}


def compared(**methods: dict[str, Any]) -> dict[str, Any]:
    test = {"name": "exact sign-flip", "null": "", "unit": "target gene", "n_units": 12}
    return {
        "test": test,
        "test_reason": None,
        "against_reference": methods,
        "first_share": dict.fromkeys(methods, 0.5),
    }


def summaries(*methods: str, **scores: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"method": method, "scores": scores} for method in methods]


def test_winners_are_counted_after_correction_over_informative_metrics_only() -> None:
    rows = summaries("a", "b", mse=score(), energy=score(), de_auprc=score("not informative"))
    found = {
        "mse": compared(a=gain(True), b=gain(False)),
        "energy": compared(a=gain(True), b=gain(True)),
        "de_auprc": compared(a=gain(True), b=gain(True)),
    }
    text = note(rows, ["mse", "energy", "de_auprc"], found)
    assert "a on 2, b on 1, of 2 informative primary metrics (mse, energy; 12 conditions)" in text


def test_what_only_an_uncorrected_interval_says_is_told_as_such() -> None:
    text = note(summaries("a", mse=score()), ["mse"], {"mse": compared(a=gain(False))})
    assert "no method beats the training mean" in text and "uncorrected interval: a on 1" in text
    none = note(summaries("a", mse=score()), ["mse"], {"mse": compared(a=gain(False, [-0.1, 0.2]))})
    assert none.startswith("No method beats the training mean beyond its interval")


def test_a_split_on_which_nothing_is_informative_cannot_tell_methods_apart() -> None:
    rows = summaries("a", mse=score("not informative"))
    assert "cannot tell methods apart" in note(rows, ["mse"], {"mse": compared(a=gain(True))})
    rows = summaries("a", mse=score("no positive bound"))
    assert "no positive bound" in note(rows, ["mse"], {})


@pytest.mark.parametrize(("units", "methods", "told"), [(7, 4, True), (7, 3, False), (12, 4, False)])
def test_a_test_that_could_never_reject_says_so(units: int, methods: int, told: bool) -> None:
    item = compared(**{f"m{i}": gain(False) for i in range(methods)})
    item["test"]["n_units"] = units
    said = remarks(summaries("m0", mse=score()), ["mse"], {"mse": item})
    assert bool(said) == told
    if told:
        assert "with 7 units (target gene) and 4 methods no p-value can fall below 0.062" in said[0]


def test_a_method_above_the_duplicate_is_named_with_its_share() -> None:
    flagged = score(above_duplicate={"share": 0.75, "n": 12, "flag": True})
    said = remarks(summaries("leaky", mse=flagged), ["mse"], {"mse": compared(leaky=gain(True))})
    assert len(said) == 1 and said[0].endswith("leaky (mse 75 %).")


def test_a_cell_holds_gain_interval_corrected_p_and_how_often_it_is_first() -> None:
    rows = summaries("a", mse=score(), energy=score())
    table = against(rows, ["mse", "energy"], {"mse": compared(a=gain(True))})
    assert table == (("a", "+0.1 [+0.05, +0.2], p 0.01; first 50 %", "-"),)


def test_pds_is_neither_ranked_nor_averaged_without_mse_beside_it() -> None:
    assert _unranked("pds_cosine", {"a": {"pds_cosine": 1, "mse": 1}}) is None
    reason = _unranked("pds_cosine", {"a": {"pds_cosine": 1, "mse": 1}, "b": {"pds_cosine": 1}})
    assert reason == "pds_cosine never ranks without mse beside it"
    assert _unranked("mse", {"a": {"mse": 1}}) is None
    (summary,) = summaries("a", mse=score(skill=0.2), pds_cosine=score(skill=0.8))
    assert _mean_skill(summary, ["mse", "pds_cosine"]) == pytest.approx(0.5)
    assert _mean_skill(summary, ["pds_cosine"]) == float("-inf")


def test_fewer_than_six_datasets_are_said_and_not_tested() -> None:
    few = {"mean": 0.4, "n": 3, "p": None, "p_holm": None, "reason": "3 datasets of the 6 it takes"}
    item = {
        "kind": "across-datasets",
        "metric": "mse",
        "datasets": ["x", "y", "z"],
        "above_best_negative": {"a": few},
    }
    assert across({"comparisons": [item]}) == ["mse: no test, 3 informative datasets of the 6 it takes."]
    many = {**few, "n": 6, "p": 0.03, "p_holm": 0.03, "reason": None}
    item = {**item, "datasets": list("uvwxyz"), "above_best_negative": {"a": many, "b": few}}
    assert across({"comparisons": [item]})[0].endswith("better than the best negative bound: a.")
