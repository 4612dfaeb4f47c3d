"""What each design holds out, on tables small enough to count by hand."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from lanner.aggregate.graded import auspc, step_of
from lanner.cli import lanner
from lanner.config import Settings
from lanner.errors import ConfigurationError
from lanner.leaderboard.series import series
from lanner.records import Condition, Split
from lanner.sides import perturbed_parts
from lanner.splits import ALIASES, SPLITS, cell_parts, expand, pooled_as, seen_singles
from lanner.splits.picture import COLOURS, grid

DATASET = {"id": "toy", "version": "1", "content": "0" * 64}


def condition(label: str, *context: str, n_cells: int = 50, dose: str = "") -> Condition:
    targets = tuple(label.split("+"))
    return Condition(
        perturbation=label, targets=targets, context=context or ("k562",), dose=dose, n_cells=n_cells
    )


def singles(names: str) -> list[Condition]:
    return [condition(name) for name in names]


def doubles(names: str) -> list[Condition]:
    return [condition(f"{a}+{b}") for a, b in combinations(names, 2)]


def cut(
    conditions: list[Condition],
    name: str,
    seed: int = 0,
    columns: tuple[str, ...] = ("line",),
    effects: dict[str, np.ndarray] | None = None,
    without_controls: tuple[str, ...] = (),
    **parameters: Any,
) -> tuple[Split, ...]:
    controls = {c.context_id: 200 for c in conditions if c.context_id not in without_controls}
    design = {"id": name, "parameters": parameters, "seed": seed}
    given_effects = None if effects is None else (lambda: effects)
    return expand(
        design, conditions, controls, DATASET, "cells", context_columns=columns, effects=given_effects
    )


def labels(names: tuple[str, ...]) -> set[str]:
    return {name.partition("|")[0] for name in names}


# Unseen targets: GEARS' simulation


def test_gears_simulation_never_trains_on_a_held_out_target_and_tests_all_levels():
    conditions = [*singles("ABCDEFGH"), *doubles("ABCDEFGH")]
    (split,) = cut(conditions, "gears-simulation")
    held = {label for label in labels(split.test) if "+" not in label}
    assert len(held) == 2 and split.id == "unseen-target"
    assert held.isdisjoint(target for label in labels(split.train) for target in label.split("+"))
    assert len(split.train) + len(split.valid) + len(split.test) == len(conditions)
    # Before validation: 8 targets, 2 held out: 1 pair of both, 12 with one; of the 15 others a quarter.
    (whole,) = cut(conditions, "gears-simulation", valid_fraction=0.0)
    levels = list(seen_singles(whole, conditions).values())
    assert [levels.count(seen) for seen in (0, 1, 2)] == [1, 12, 4]
    assert whole.test == split.test and set(split.valid) < set(whole.train)
    # Of the 6 others one, with all it is part of, and of the doubles that are left a tenth.
    kept = {label for label in labels(split.valid) if "+" not in label}
    assert len(kept) == 1
    assert kept.isdisjoint(target for label in labels(split.train) for target in label.split("+"))


@pytest.mark.parametrize(
    ("targets", "train", "test"), [(86, 57, 22), (1092, 737, 273), (1543, 1041, 386)], ids=str
)
@pytest.mark.parametrize("name", ["gears-simulation", "systema", "csendes"])
def test_singles_are_parted_in_the_numbers_published_for_gears_simulation(name, targets, train, test):
    """Adamson, Replogle K562 and RPE1 in Csendes 2025: one number of targets alone gives both counts."""
    split = cut([condition(f"g{n}") for n in range(targets)], name)[0]
    assert (len(split.train), len(split.test)) == (train, test)


def test_systema_requests_unseen_singles_of_the_same_rule_in_three_draws():
    conditions = [*singles("ABCDEFGH"), *doubles("ABCDEFGH")]
    splits = cut(conditions, "systema")
    assert len(splits) == 3 and not any("+" in name for split in splits for name in split.test)


def test_combinations_are_told_apart_by_the_singles_that_were_seen():
    conditions = [*singles("ABCDEFGH"), *doubles("ABCDEFGH")]
    splits = cut(conditions, "unseen-combination", by_seen=True, fraction=0.25)
    assert [s.id for s in splits] == [f"unseen-combination/seen{level}" for level in (0, 1, 2)]
    assert len({s.train for s in splits}) == 1 and len({s.sha256 for s in splits}) == 3
    for level, split in enumerate(splits):
        assert set(seen_singles(split, conditions).values()) == {level}


def test_by_seen_is_not_part_of_a_split_that_does_without_it():
    (split,) = cut([*singles("ABC"), *doubles("ABC")], "unseen-combination", by_seen=False)
    assert "by_seen" not in split.design["parameters"]


# Combination to single


def test_singles_are_held_out_where_a_training_combination_holds_them():
    conditions = [*singles("ABCD"), *doubles("AB"), condition("A", "rpe1")]
    (split,) = cut(conditions, "combination-to-single")
    assert set(split.test) == {"A|k562", "B|k562"}
    assert set(split.train) == {"A+B|k562", "C|k562", "D|k562"}  # A in rpe1 would tell of A


def test_demultiplexing_holds_out_every_single():
    conditions = [*singles("ABCD"), *doubles("AB")]
    (split,) = cut(conditions, "pereggrn-demultiplexing")
    assert labels(split.test) == set("ABCD") and split.train == ("A+B|k562",)


def test_perturbench_holds_out_singles_of_which_no_two_are_combined():
    conditions = [*(condition(f"g{n}") for n in range(40)), *(condition(f"g{n}+g{n + 1}") for n in range(39))]
    (split,) = cut(conditions, "perturbench-combination-inverse")
    held = sorted(int(label[1:]) for label in labels((*split.test, *split.valid)))
    assert (len(split.test), len(split.valid)) == (6, 6)  # 30 % of the singles, in halves
    assert all(later - earlier > 1 for earlier, later in pairwise(held))
    assert len(split.train) == 39 + 40 - 12
    (plain,) = cut(conditions, "combination-to-single", fraction=0.15)
    assert "partners_stay" not in plain.design["parameters"]


def test_perturbench_tests_half_of_the_combinations_it_holds_out():
    conditions = [*singles("ABCDEFGHI"), *doubles("ABCDEFGHI")]
    (split,) = cut(conditions, "perturbench-combination")
    assert (len(split.test), len(split.valid), len(split.train)) == (5, 5, 9 + 26)


# Label-wise


def test_by_label_a_combination_may_be_tested_while_its_singles_train():
    conditions = [*singles("ABCDEF"), *doubles("ABCDEF")]
    (split,) = cut(conditions, "pereggrn-interventional")
    assert split.id == "unseen-perturbation/label" and len(split.test) == round((6 + 15) / 2 + 0.1)
    targets = {target for label in labels(split.train) for target in label.split("+")}
    assert any(set(label.split("+")) <= targets for label in labels(split.test))


def test_wongs_four_folds_are_two_parts_train_one_valid_one_test():
    splits = cut(singles("ABCDEFGHIJKLMNOP"), "wong")
    assert [(len(s.train), len(s.valid), len(s.test)) for s in splits] == [(8, 4, 4)] * 4
    assert labels(tuple(name for s in splits for name in s.test)) == set("ABCDEFGHIJKLMNOP")


# PerturBench's limits


def test_a_context_loses_no_more_than_its_share_and_half_of_that_is_validation():
    conditions = [condition(f"g{n}", line) for n in range(40) for line in ("x", "y")]
    (split,) = cut(conditions, "perturbench-transfer")
    for line in ("x", "y"):
        held = [name for name in (*split.test, *split.valid) if name.endswith(f"|{line}")]
        assert len(held) == 12
        assert sum(name.endswith(f"|{line}") for name in split.valid) == 6
    pairs = [name.partition("|")[0] for name in (*split.test, *split.valid)]
    assert len(pairs) == len(set(pairs))


def test_at_most_so_many_pairs_of_a_context_are_held_out():
    conditions = [condition(f"g{n}", line) for n in range(40) for line in ("x", "y")]
    (split,) = cut(conditions, "unseen-context", max_heldout_per_context=3)
    assert len(split.test) == 6


# Cells within conditions


def test_stratified_cells_test_what_they_train_on_and_say_how_cells_are_cut():
    conditions = [condition("A", n_cells=40), condition("B", n_cells=3), condition("C", n_cells=1)]
    (split,) = cut(conditions, "stratified-cells", fraction=0.5, minimum_cells=10)
    assert split.test == ("A|k562",) and split.train == ("A|k562", "B|k562", "C|k562")
    assert split.cells == {"fraction": 0.5, "repeat": 0, "valid_fraction": 0.0}
    document = split.to_json()
    assert Split.from_json(document) == split and document["cells"] == split.cells


def test_splits_of_whole_conditions_do_not_mention_cells():
    (split,) = cut(singles("ABCD"), "unseen-perturbation")
    assert "cells" not in split.to_json()


@given(st.integers(1, 60), st.integers(2, 5), st.sampled_from([0.0, 0.3]))
@settings(deadline=None)
def test_folds_of_cells_are_disjoint_and_cover_a_condition(n, folds, valid):
    hows = [{"fold": j, "folds": folds, "valid_fraction": valid} for j in range(folds)]
    tested = []
    for how in hows:
        train, kept, test = cell_parts(range(n), how)
        assert sorted([*train, *kept, *test]) == list(range(n))
        tested += test
    assert sorted(tested) == list(range(n))


# Time


def timed(*times: str) -> list[Condition]:
    return [condition(label, "k562", time) for label in "ABC" for time in times]


def test_the_latest_time_point_is_held_out_by_number_not_by_letter():
    (split,) = cut(timed("2h", "12h", "24h"), "time", columns=("line", "time"))
    assert {name.split("|")[2] for name in split.test} == {"24h"}
    (split,) = cut(timed("2h", "12h", "6h"), "time", columns=("line", "time"), held_out=2)
    assert {name.split("|")[2] for name in split.train} == {"2h"}


def test_an_order_may_be_given_where_names_have_none():
    (split,) = cut(
        timed("late", "early", "rest"), "time", columns=("line", "time"), order=["rest", "early", "late"]
    )
    assert {name.split("|")[2] for name in split.test} == {"late"}


@pytest.mark.parametrize(
    ("times", "parameters", "message"),
    [
        (("2h", "3d"), {}, "have no common unit .*; give their order"),
        (("early", "late"), {}, "have no common unit"),
        (("1", "2"), {"held_out": 2}, "2 of 2 time points cannot be held out; lower held_out"),
        (("1", "2"), {"order": ["1", "3"]}, "order leaves out the time point '2'"),
        (("1", "2"), {"column": "day"}, "no context column 'day', only line, time"),
    ],
)
def test_times_that_cannot_be_ordered_are_refused(times, parameters, message):
    with pytest.raises(ConfigurationError, match=message):
        cut(timed(*times), "time", columns=("line", "time"), **parameters)


def test_a_late_context_without_controls_is_neither_tested_nor_trained_on():
    (split,) = cut(
        [*timed("1", "2"), *[condition(label, "rpe1", "2") for label in "AB"]],
        "time",
        columns=("line", "time"),
        without_controls=("rpe1|2",),
    )
    assert not any("rpe1" in name for name in (*split.test, *split.train)) and len(split.test) == 3


# Lists


def test_a_list_is_taken_as_it_is_and_the_rest_trains():
    conditions = singles("ABCDE")
    (split,) = cut(conditions, "custom", test=["B|k562"], valid=["A|k562"])
    assert (split.test, split.valid) == (("B|k562",), ("A|k562",)) and len(split.train) == 3
    (split,) = cut(conditions, "custom", test=["B|k562"], train=["C|k562", "D|k562"])
    assert split.train == ("C|k562", "D|k562")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "test lists no condition; list the ids"),
        ({"test": ["A|k563"]}, "no condition of dataset toy named 'A|k563'; did you mean 'A|k562'"),
        ({"test": ["A|k562"], "valid": ["A|k562"]}, "'A|k562' is listed twice, in test and valid"),
        ({"test": ["A|k562", "A|k562"]}, "listed twice, in test"),
        ({"test": ["A|k562"], "train": ["control|k562"]}, "train lists the control condition"),
        ({"test": ["tiny|k562"]}, "cannot be tested: no controls in the context, or fewer"),
    ],
)
def test_a_list_that_cannot_be_is_refused(parameters, message):
    conditions = [*singles("ABCDE"), condition("tiny", n_cells=1)]
    with pytest.raises(ConfigurationError, match=message.replace("|", r"\|")):
        cut(conditions, "custom", **parameters)


# More and more data


@pytest.mark.parametrize("base", ["unseen-perturbation", "unseen-combination", "unseen-target"])
def test_subsets_of_train_are_nested_and_share_one_test_set(base):
    conditions = [*singles("ABCDEFGHIJKL"), *doubles("ABCDEF")]
    splits = cut(conditions, "data-scaling", base=base, keep_relatives=False, valid_fraction=0.1)
    assert [s.id for s in splits] == [f"data-scaling/{n}" for n in ("n012-5", "n025", "n050", "n100")]
    assert len({(s.test, s.valid) for s in splits}) == 1
    for smaller, larger in pairwise(splits):
        assert set(smaller.train) < set(larger.train)
    (whole,) = cut(conditions, base, valid_fraction=0.1)
    assert (splits[-1].train, splits[-1].test) == (whole.train, whole.test)


def test_what_a_tested_combination_is_made_of_stays_in_every_subset():
    conditions = [*singles("ABCDEFGHIJKL"), *doubles("ABCD")]
    splits = cut(conditions, "data-scaling", base="unseen-combination", base_parameters={"fraction": 0.2})
    for split in splits:
        assert set(seen_singles(split, conditions).values()) == {2}
    assert len(splits[0].train) < len(splits[-1].train)


def test_scaling_refuses_what_is_left_to_no_subset():
    conditions = [condition(label, line) for label in "ABC" for line in "xy"]
    with pytest.raises(ConfigurationError, match="share nothing with what is tested; hold out less or set"):
        cut(conditions, "data-scaling", base="unseen-context")
    with pytest.raises(ConfigurationError, match="common parameter 'repeats'; give it beside base"):
        cut(conditions, "data-scaling", base_parameters={"repeats": 2})


# Graded similarity


def families(n: int = 8, size: int = 5) -> tuple[list[Condition], dict[str, np.ndarray]]:
    """Perturbations in families of nearly equal effects."""
    random = np.random.default_rng(1)
    centres = random.normal(size=(n, 40))
    conditions = [condition(f"f{family}m{member}") for family in range(n) for member in range(size)]
    effects = {c.id: centres[int(c.perturbation[1])] + 0.05 * random.normal(size=40) for c in conditions}
    return conditions, effects


@pytest.mark.parametrize("similarity", ["cosine", "negative-l2"])
def test_train_and_test_are_less_and_less_alike_along_the_series(similarity):
    conditions, effects = families()
    splits = cut(conditions, "graded-similarity", effects=effects, similarity=similarity)
    assert splits[0].id == "graded-similarity/s000" and len(splits[0].train) + len(splits[0].test) == 40

    def nearest(split: Split) -> float:
        """Mean over tested perturbations of the cosine with the nearest one in train."""
        unit = {name: values / np.linalg.norm(values) for name, values in effects.items()}
        train = np.array([unit[name] for name in split.train])
        return float(np.mean([(train @ unit[name]).max() for name in split.test]))

    by_step = {step: split for split in splits for _, step in [step_of(split.id) or ("", 0.0)]}
    assert nearest(by_step[0.0]) > 0.95 > nearest(by_step[0.5])
    sizes = [len(split.train) + len(split.test) for split in splits]
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] < 40


def test_a_series_is_the_same_for_effects_that_differ_in_their_last_bits():
    conditions, effects = families()
    noisy = {name: values * (1 + 1e-13) for name, values in effects.items()}
    first, second = (cut(conditions, "graded-similarity", effects=e) for e in (effects, noisy))
    assert first == second


def test_a_series_is_refused_where_effects_are_not_known():
    with pytest.raises(ConfigurationError, match="effects were not measured; resolve the split"):
        cut(singles("ABCDE"), "graded-similarity")


def test_the_area_over_a_series_is_a_mean_of_the_metric_whatever_its_range():
    assert auspc({0.0: 2.0, 0.35: 2.0, 0.7: 2.0}) == pytest.approx(2.0)
    assert auspc({0.0: 0.0, 0.5: 1.0, 1.0: 0.0}) == pytest.approx(0.5)
    assert math.isnan(auspc({0.0: 1.0})) and math.isnan(auspc({0.0: 1.0, 0.5: math.nan}))
    # PertEval-scFM's own number is not divided by its range.
    assert 0.7 * auspc({0.0: 0.06, 0.7: 0.08}) == pytest.approx(0.049)


@pytest.mark.parametrize(
    ("split", "s"),
    [
        ("graded-similarity/s020/r0f0", ("graded-similarity", 0.2)),
        ("graded-similarity/s012-5", ("graded-similarity", 0.125)),
        ("data-scaling/n100", ("data-scaling", 1.0)),
        ("data-scaling/cd4t/n025/r1f0", ("data-scaling/cd4t", 0.25)),
        ("unseen-context/s020", None),
    ],
)
def test_an_artefacts_step_is_read_from_its_id(split, s):
    assert step_of(split) == s


def test_steps_of_a_series_are_questions_of_their_own_and_contexts_in_turn_are_not():
    conditions, effects = families()
    series = cut(conditions, "graded-similarity", effects=effects, repeats=2, steps=3)
    assert {pooled_as(split) for split in series} <= {
        f"graded-similarity/s{s}" for s in ("000", "050", "100")
    }
    whole = cut([condition(label, line) for label in "AB" for line in "xy"], "unseen-context", mode="whole")
    assert {pooled_as(split) for split in whole} == {"unseen-context"}
    folds = cut([*singles("ABC"), *doubles("ABC")], "unseen-combination", folds=2)
    assert {pooled_as(split) for split in folds} == {"unseen-combination"}
    conditions = [*singles("ABCDEFGH"), *doubles("ABCDEFGH")]
    levels = cut(conditions, "unseen-combination", by_seen=True)
    assert {pooled_as(split) for split in levels} == {f"unseen-combination/seen{k}" for k in range(3)}


PROGRAM = """
import random
import numpy as np
from lanner.records import Condition
from lanner.splits import SPLITS, expand
labels = [*(f"g{n}" for n in range(12)), *(f"g{n}+g{n + 1}" for n in range(8))]
conditions = [
    Condition(perturbation=p, targets=tuple(p.split("+")), context=(c, t), n_cells=30)
    for p in labels for c in ("x", "y") for t in ("1h", "2h")
]
random.shuffle(conditions)
effects = {c.id: np.cos(np.arange(20) * (1 + labels.index(c.perturbation))) for c in conditions}
controls = {c.context_id: 300 for c in conditions}
given = {"custom": {"test": ["g1|x|1h"]}, "time": {"column": "day"}}
dataset = {"id": "toy", "version": "1", "content": "0"}
for name in SPLITS:
    design = {"id": name, "parameters": given.get(name, {})}
    for split in expand(design, conditions, controls, dataset, "cells", context_columns=("line", "day"),
                        effects=lambda: effects):
        print(split.id, split.sha256)
"""


def test_every_design_agrees_over_processes_with_other_hash_seeds_and_other_orders():
    printed = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "271828")
    }
    (text,) = printed
    assert {line.split()[0].partition("/")[0] for line in text.splitlines()} == set(SPLITS)


def test_a_series_is_averaged_over_seeds_and_has_no_area_where_a_run_has_no_value():
    design = {"id": "graded-similarity", "parameters": {}, "seed": 0}
    steps = {"a": ("s000", 1.0), "b": ("s050", 3.0), "c": ("s100", 3.0)}

    def row(sha: str, method: str, seed: int, value: float | None) -> dict[str, Any]:
        scores = None if value is None else {"mse": {"value": value}}
        split = f"graded-similarity/{steps[sha][0]}"
        return {"dataset": "d", "split": split, "split_sha256": sha, "method": method, "scores": scores} | {
            "seed": seed
        }

    rows = [row(sha, "good", seed, steps[sha][1] + (seed - 0.5)) for sha in steps for seed in (0, 1)]
    rows += [row(sha, "lost", 0, None if sha == "b" else 1.0) for sha in steps]
    splits = [{"sha256": sha, "design": design} for sha in steps]
    document = {"datasets": [{"splits": splits}], "rows": rows, "metrics": [{"id": "mse"}]}
    good, lost = series(document)
    assert (good["steps"], good["values"], good["auspc"]) == ([0.0, 0.5, 1.0], [1.0, 3.0, 3.0], 2.5)
    assert (lost["values"], lost["auspc"]) == ([1.0, None, 1.0], None)


# Small and odd data


ODD = {
    "one perturbation": [condition("A")],
    "one cell per condition": [condition(f"g{n}", n_cells=1) for n in range(5)],
    "one combination": [condition("A+B")],
    "no targets": [
        Condition(perturbation=f"drug{n}", targets=(), context=("k562",), dose=dose, n_cells=30)
        for n in range(5)
        for dose in ("1", "10")
    ],
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(
    "name",
    sorted(SPLITS),
)
@pytest.mark.parametrize("without_controls", [(), ("k562",)], ids=["controls", "no-controls"])
def test_odd_data_are_cut_or_refused_in_one_sentence_that_says_what_to_do(name, odd, without_controls):
    effects = {c.id: np.ones(3) for c in ODD[odd]}
    try:
        splits = cut(ODD[odd], name, effects=effects, without_controls=without_controls)
    except ConfigurationError as error:
        assert str(error).startswith(f"split {name} of dataset toy: ")
        assert "; " in str(error) and "\n" not in str(error)
    else:
        assert all(split.train and split.test for split in splits) and not without_controls


# Pictures and the command line


def test_a_picture_colours_every_place_by_its_part():
    conditions = [condition(label, line) for label in "ABCD" for line in "xy"]
    conditions = [*conditions, condition("<E>&", "x")]
    (split,) = cut(conditions, "custom", test=["A|x"], valid=["B|y"], train=["C|x", "C|y", "D|x", "D|y"])
    drawn = ElementTree.fromstring(grid(split, conditions))
    titles = {
        rect[0].text: rect.get("fill") for rect in drawn.iter("{http://www.w3.org/2000/svg}rect") if len(rect)
    }
    expected = {"A|x": "test", "A|y": "left out", "B|x": "left out", "B|y": "valid", "C|x": "train"}
    expected |= {"<E>&|x": "left out", "<E>&|y": "absent"}
    for name, part in expected.items():
        assert titles[f"{name}: {part}"] == COLOURS[part]
    assert len(titles) == 10


def test_a_picture_of_ten_thousand_rows_is_no_taller_than_a_poster():
    conditions = [condition(f"g{n}") for n in range(10_000)]
    (split,) = cut(conditions, "unseen-perturbation")
    assert int(ElementTree.fromstring(grid(split, conditions)).get("height", "0")) < 11_000


def test_the_command_line_shows_strata_marks_and_pictures(
    simulated: Any, shared_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LANNER_HOME", str(shared_settings.home))
    show = ["split", "show", "--dataset", "simulated", "--split"]
    result = CliRunner().invoke(lanner, [*show, "gears-simulation", "--picture", str(tmp_path / "a.svg")])
    assert result.exit_code == 0 and "unseen-target" in result.stdout
    ElementTree.parse(tmp_path / "a.svg")
    sizes = json.loads(CliRunner().invoke(lanner, [*show, "gears-simulation", "--json"]).stdout)[0]["sizes"]
    assert sizes["singles"] + sum(sizes["seen_singles"].values()) == sizes["conditions"]["test"]
    result = CliRunner().invoke(lanner, [*show, "graded-similarity", "--picture", str(tmp_path / "b.html")])
    assert "fitted on truth" in result.stdout
    assert (tmp_path / "b.html").read_text().count("<svg") == result.stdout.count("graded-similarity/s")
    for name, message in (("c.png", "neither .svg nor .html"), ("d.svg", "do not fit into one")):
        result = CliRunner().invoke(lanner, [*show, "graded-similarity", "--picture", str(tmp_path / name)])
        assert message in str(result.exception)


def test_cells_of_a_condition_that_is_cut_within_are_counted_once(
    simulated: Any, shared_settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LANNER_HOME", str(shared_settings.home))
    n = {c.id: c.n_cells for c in simulated.conditions}
    for design in ("stratified-cells", "held-out-interventions"):
        shown = ["split", "show", "--dataset", "simulated", "--split", design, "--json"]
        (item,) = json.loads(CliRunner().invoke(lanner, shown).stdout)
        split = Split.from_json(item["split"])
        is_train, is_test = perturbed_parts(simulated, split)
        assert item["sizes"]["cells"] == {"train": is_train.sum(), "valid": 0, "test": is_test.sum()}
        assert sum(item["sizes"]["cells"].values()) == sum(n[c] for c in {*split.train, *split.test})


def test_the_command_line_lists_the_names_of_other_benchmarks():
    listed = json.loads(CliRunner().invoke(lanner, ["split", "list", "--json"]).stdout)
    assert {name for design in listed for name in design["names"]} == set(ALIASES)
    text = CliRunner().invoke(lanner, ["split", "list"]).stdout
    assert "zhu-leave-one-context-out" in text and "upper-bound task" in text
