"""Pictures of the pages: what they compute themselves, and what they can be read by."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lanner.site.pages import board
from lanner.site.pictures.agreement import LEAST_METHODS, kendall
from lanner.site.pictures.heatmap import FLAGGED, SCALE, colour_at, luminance, skill_figure
from lanner.site.standing import standing
from scipy.stats import kendalltau
from synthetic_board import material

ORDERS = st.lists(
    st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from([1.0, 1.5, 2.0, 3.0, -4.0])),
    min_size=1,
    max_size=2,
)


@settings(max_examples=40)
@given(ORDERS, ORDERS)
def test_agreement_is_scipys_tau_b_over_the_methods_that_both_orders_have(
    first: list[dict[str, float]], second: list[dict[str, float]]
) -> None:
    found = kendall(first, second)
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            both = sorted(set(a) & set(b))
            tau, count = found[i][j]
            assert count == len(both)
            if len(both) < LEAST_METHODS:
                assert tau is None
                continue
            expected = float(kendalltau([a[name] for name in both], [b[name] for name in both]).statistic)
            assert (tau is None) == math.isnan(expected)
            assert tau is None or math.isclose(tau, expected, abs_tol=1e-12)


@pytest.mark.parametrize("skill", [-3.0, *(step / 50 for step in range(-50, 51)), 7.5])
def test_every_number_on_a_heat_map_has_the_contrast_of_wcag_aa_against_its_cell(skill: float) -> None:
    figure = skill_figure(["m"], ["known", "flagged"], [[skill, None]], [[None, 0.0]], [["1", "2"]])
    seen = []
    for trace in figure["data"]:
        for value, label in zip(trace["z"][0], trace["text"][0], strict=True):
            assert (value is None) == (label == "")  # no number is written where its trace has no cell
            if value is not None:
                ground = luminance(colour_at(value, trace["colorscale"]))
                text = luminance(tuple(int(trace["textfont"]["color"][i : i + 2], 16) for i in (1, 3, 5)))
                low, high = sorted((ground, text))
                assert (high + 0.05) / (low + 0.05) >= 4.5
                seen.append(label)
    assert sorted(seen) == ["1", "2"]


def test_the_colours_that_contrast_is_computed_of_are_those_of_the_scale() -> None:
    assert colour_at(-1.0, SCALE) == colour_at(-9.0, SCALE) == (0xB2, 0x18, 0x2B)
    assert colour_at(0.25, SCALE) == (0.5 * (0xF7 + 0x92), 0.5 * (0xF7 + 0xC5), 0.5 * (0xF7 + 0xDE))
    assert colour_at(0.0, FLAGGED) == (0x8B, 0x95, 0xA1)


def test_the_first_table_says_what_the_comparisons_and_the_sentences_say() -> None:
    cut = board(material())
    found = standing(cut)
    assert found is not None
    for column, where in enumerate(found.places):
        note = cut.tables[where].note
        for name, marks in found.rows:
            mark = marks[column]
            scores = next(s["scores"] for s in cut.summaries[where] if s["method"] == name)
            primary = (
                [scores[m]["informative"] == "informative" for m in cut.material.primary] if scores else []
            )
            assert (mark.kind == "gone") == (scores is None)
            assert (mark.kind == "untold") == (scores is not None and not any(primary))
            if mark.kind == "wins":
                count = mark.text.partition(" ")[0]
                assert mark.text.endswith(f" of {sum(primary)}") and f"{name} on {count}" in note
            elif mark.kind in ("maybe", "even", "below"):
                assert f"{name} on" not in note.partition("Holm's correction, these beat")[2]
    kinds = {mark.kind for _, marks in found.rows for mark in marks}
    assert kinds >= {"wins", "untold", "gone"} and kinds & {"even", "below", "maybe"}
    wins = [sum(mark.kind == "wins" for mark in marks) for _, marks in found.rows]
    assert wins == sorted(wins, reverse=True)
    columns = zip(*(marks for _, marks in found.rows), strict=True)
    telling = sum(any(mark.text[:1].isdigit() for mark in column) for column in columns)
    assert found.says.startswith(f"{telling} of {len(found.places)} dataset splits can tell")


def item(gain: float, interval: list[float] | None, better: bool = False) -> dict[str, object]:
    return {"gain": gain, "interval": interval, "better": better, "p": 0.5, "p_holm": 0.5}


@pytest.mark.parametrize(
    ("found", "kind", "text", "says"),
    [
        (item(0.2, [0.1, 0.3], better=True), "wins", "1 of 1", "on 1 of them at least one method beats"),
        (item(0.2, [0.1, 0.3]), "maybe", "0 (+1) of 1", "by their interval alone, uncorrected: m."),
        (item(0.2, [-0.1, 0.3]), "even", "0 of 1", "on none of them does any method beat the training mean."),
        (item(-0.2, [-0.3, -0.1]), "below", "0 of 1", "on none of them does any method beat"),
        (item(0.0, [0.0, 0.0]), "self", "=", "on none of them does any method beat"),
    ],
)
def test_a_win_that_correction_takes_away_is_told_apart_from_one_that_stays(
    found: dict[str, object], kind: str, text: str, says: str
) -> None:
    made = material(methods=3, datasets=1, metrics=1)
    kept = [s for s in made.document["summaries"] if s["split"] == "unseen-perturbation"][:1]
    compared = {**made.document["comparisons"][0], "against_reference": {"m": found}}
    document = {
        **made.document,
        "summaries": [{**kept[0], "method": "m"}],
        "comparisons": [compared],
    }
    shown = standing(board(replace(made, document=document)))
    assert (
        shown is not None and f"1 of 1 dataset splits can tell methods apart; {says}"[:40] == shown.says[:40]
    )
    assert says in shown.says
    assert [(mark.kind, mark.text) for _, marks in shown.rows for mark in marks] == [(kind, text)]
