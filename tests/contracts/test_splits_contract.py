"""What every registered split design must do; a new design is covered by being registered."""

from __future__ import annotations

import json
import os
import random
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from lanner import datasets, schemas
from lanner.cli import lanner
from lanner.config import Settings, bundled_root
from lanner.errors import ConfigurationError
from lanner.records import Condition, Split, derived_seed
from lanner.splits import ALIASES, SPLITS, expand, resolve, seen_singles

GENES = [f"g{number}" for number in range(12)]
LINES = ("CD4T", "CD14+Mono", "NK cell")
CONTROLS = {"CD4T": 400, "CD14+Mono": 100, "NK cell": 60}
DATASET = {"id": "toy", "version": "1", "content": "0" * 64}
CONDITIONS = [
    Condition(perturbation="+".join(targets), targets=targets, context=(line,), n_cells=20 + n)
    for line in LINES
    for n, targets in enumerate([*((gene,) for gene in GENES), *combinations(GENES[:6], 2)])
]

every_design = pytest.mark.parametrize("name", list(SPLITS))
NEEDED = {
    "custom": {"test": [CONDITIONS[0].id, CONDITIONS[40].id]},
    "time": {"column": "cell_type", "order": list(LINES)},
}
CELLS_ONLY = {"stratified-cells", "held-out-interventions"}
"""Designs that cut cells within conditions: no condition is in one part only, and profiles have no cells."""


def effects():
    return {
        c.id: np.random.default_rng(derived_seed("/".join(c.targets), "effect")).normal(size=30)
        for c in CONDITIONS
    }


def again(design, conditions=CONDITIONS, dataset=DATASET, kind="cells"):
    columns = ("cell_type",)
    return expand(design, conditions, CONTROLS, dataset, kind, context_columns=columns, effects=effects)


def cut(name, seed=0, conditions=CONDITIONS, dataset=DATASET, kind="cells", **parameters):
    parameters = {**NEEDED.get(name, {}), **parameters}
    return again({"id": name, "parameters": parameters, "seed": seed}, conditions, dataset, kind)


def has(name, *wanted):
    return {parameter.name for parameter in SPLITS[name].parameters} >= set(wanted)


@every_design
def test_it_says_what_it_is(name):
    design = SPLITS[name]
    assert design.summary.endswith(".") and len(design.summary) < 90
    names = [parameter.name for parameter in design.parameters]
    assert len(names) == len(set(names))
    for parameter in design.parameters:
        assert parameter.help.endswith(".") and len(parameter.help) < 110
        Draft202012Validator.check_schema(parameter.schema)
        Draft202012Validator(parameter.schema).validate(parameter.default)
        assert set(parameter.only) <= set(names)


@every_design
@pytest.mark.parametrize("kind", ["cells", "profile"])
@pytest.mark.parametrize("parameters", [{}, {"valid_fraction": 0.3}, {"repeats": 2}, {"folds": 3}], ids=str)
def test_its_artefacts_are_disjoint_saved_and_expanded_again(name, kind, parameters):
    if not has(name, *parameters):
        with pytest.raises(ConfigurationError, match="no parameter of split"):
            cut(name, kind=kind, **parameters)
        return
    if name in CELLS_ONLY and kind == "profile":
        with pytest.raises(ConfigurationError, match="profiles have no cells"):
            cut(name, kind=kind, **parameters)
        return
    splits = cut(name, kind=kind, **parameters)
    known = {c.id for c in CONDITIONS}
    for split in splits:
        parts = [*split.train, *split.valid, *split.test]
        assert set(parts) <= known
        assert (split.cells is not None) == (name in CELLS_ONLY)
        assert split.cells is not None or len(parts) == len(set(parts))
        assert split.train and split.test
        assert bool(split.valid) == bool(parameters.get("valid_fraction"))
        assert split.id.partition("/")[0] == name and set(split.controls) == set(LINES)
        document = json.loads(json.dumps(split.to_json()))
        schemas.check(document, "split", split.id)
        assert Split.from_json(document).sha256 == split.sha256
        assert again(split.design, kind=kind) == splits
    assert len({split.id for split in splits}) == len({split.sha256 for split in splits}) == len(splits)


@every_design
def test_its_artefacts_do_not_depend_on_order(name):
    shuffled = list(CONDITIONS)
    random.Random(1).shuffle(shuffled)
    parameters = {"valid_fraction": 0.2} if has(name, "valid_fraction") else {}
    assert cut(name, conditions=shuffled, **parameters) == cut(name, **parameters)


@every_design
def test_its_hash_covers_seed_and_data(name):
    other_data = {**DATASET, "content": "1" * 64}
    hashes = [cut(name)[0].sha256, cut(name, seed=1)[0].sha256, cut(name, dataset=other_data)[0].sha256]
    assert len(set(hashes)) == 3


@pytest.mark.parametrize("name", [name for name in SPLITS if has(name, "folds") and name not in CELLS_ONLY])
def test_folds_test_no_condition_twice(name):
    tested = [condition for split in cut(name, folds=3) for condition in split.test]
    assert len(tested) == len(set(tested))


@every_design
def test_a_context_without_controls_is_never_tested(name):
    given = {"custom": {"test": [c.id for c in CONDITIONS if c.context_id == "NK cell"][:5]}}
    parameters = {**NEEDED.get(name, {}), **given.get(name, {})}
    design = {"id": name, "parameters": parameters}
    controls = {line: n for line, n in CONTROLS.items() if line != "CD14+Mono"}
    splits = expand(
        design, CONDITIONS, controls, DATASET, "cells", context_columns=("cell_type",), effects=effects
    )
    assert splits
    for split in splits:
        assert split.train and split.test
        assert not any(condition.endswith("|CD14+Mono") for condition in split.test)


@every_design
def test_one_cell_per_condition_is_cut_where_one_is_enough(name):
    conditions = [replace(c, n_cells=1) for c in CONDITIONS]
    if name == "stratified-cells":
        with pytest.raises(ConfigurationError, match="no condition has 1 cells to hold out and one to train"):
            cut(name, conditions=conditions, minimum_cells=1)
        return
    for split in cut(name, conditions=conditions, minimum_cells=1):
        assert split.train and split.test
    if name != "custom":
        with pytest.raises(ConfigurationError, match=f"split {name} of dataset toy: .*lower minimum_cells"):
            cut(name, conditions=conditions)


@every_design
def test_ten_thousand_perturbations_are_cut(name):
    """How quickly is for ``python -m benchmarks.splits`` to say."""
    conditions = [
        Condition(perturbation=f"g{n}", targets=(f"g{n}",), context=(line,), n_cells=20)
        for n in range(10_000)
        for line in LINES[:2]
    ]
    if "combination" in name:
        conditions += [
            Condition(perturbation=f"g{n}+h{n}", targets=(f"g{n}", f"h{n}"), context=LINES[:1], n_cells=20)
            for n in range(10_000)
        ]
    random.Random(0).shuffle(conditions)
    parameters = {"custom": {"test": [f"g{n}|CD4T" for n in range(5_000)]}}.get(name, NEEDED.get(name, {}))
    if name == "graded-similarity":
        parameters = {"steps": 2, "highest": 0.5}
    rows = np.random.default_rng(0).normal(size=(len(conditions), 5))
    profiles = dict(zip((c.id for c in conditions), rows, strict=True))
    splits = expand(
        {"id": name, "parameters": parameters},
        conditions,
        CONTROLS,
        DATASET,
        "cells",
        context_columns=("cell_type",),
        effects=lambda: profiles,
    )
    for split in splits:
        assert split.train and len(set(split.test)) == len(split.test) > 0
        if split.cells is None:
            assert not set(split.test) & set(split.train)


ENTRIES = sorted(path.parent.name for path in (bundled_root() / "datasets_registry").glob("*/dataset.yaml"))


@pytest.mark.realdata
@pytest.mark.parametrize("entry", ENTRIES)
def test_the_recommended_splits_of_every_dataset_can_be_cut(entry, monkeypatch, shared_settings: Settings):
    monkeypatch.setenv("LANNER_HOME", str(shared_settings.home))
    monkeypatch.setenv("LANNER_MIRROR", os.pathsep.join(map(str, shared_settings.mirrors)))
    dataset = datasets.load(datasets.find_entry(shared_settings, entry), shared_settings)
    splits = resolve(dataset)
    assert splits
    result = CliRunner().invoke(lanner, ["split", "show", "--dataset", entry, "--json"])
    shown = json.loads(result.stdout)
    assert [item["sha256"] for item in shown] == [split.sha256 for split in splits]
    for item in shown:
        schemas.check(item["split"], "split", entry)
    assert CliRunner().invoke(lanner, ["split", "show", "--dataset", entry]).exit_code == 0


@pytest.mark.realdata
def test_normans_doubles_have_the_published_numbers_of_seen_singles(shared_settings: Settings):
    dataset = datasets.load(datasets.find_entry(shared_settings, "norman19-k562"), shared_settings)
    design = {"id": "unseen-combination", "parameters": {"fraction": 1.0}}
    (split,) = resolve(dataset, design)
    levels = list(seen_singles(split, dataset.conditions).values())
    assert [levels.count(level) for level in (0, 1, 2)] == [7, 3, 5]


@pytest.mark.realdata
def test_mcfalines_nine_kinases_give_nine_held_out_pairs(shared_settings: Settings):
    dataset = datasets.load(datasets.find_entry(shared_settings, "mcfaline23-gbm"), shared_settings)
    (split,) = resolve(dataset, "unseen-context")
    assert len(split.test) == 9 and len(split.train) == 18


@pytest.mark.parametrize("name", list(ALIASES))
def test_another_benchmarks_name_is_a_design_of_ours_with_valid_parameters(name):
    alias = ALIASES[name]
    assert alias.source and has(alias.design, *alias.parameters) and name not in SPLITS
    mine = {**NEEDED.get(alias.design, {}), **alias.parameters}
    named = again({"id": name, "parameters": NEEDED.get(alias.design, {})})
    assert named == again({"id": alias.design, "parameters": mine, "seed": alias.seed})
    assert {split.design["id"] for split in named} == {alias.design}
