"""What every registered split design must do; a new design is covered by being registered."""

from __future__ import annotations

import json
import os
import random
from itertools import combinations

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from lanner import datasets, schemas
from lanner.cli import lanner
from lanner.config import Settings, bundled_root
from lanner.records import Condition, Split
from lanner.splits import SPLITS, expand, resolve, seen_singles

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


def cut(name, seed=0, conditions=CONDITIONS, dataset=DATASET, kind="cells", **parameters):
    design = {"id": name, "parameters": parameters, "seed": seed}
    return expand(design, conditions, CONTROLS, dataset, kind)


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
    splits = cut(name, kind=kind, **parameters)
    known = {c.id for c in CONDITIONS}
    for split in splits:
        parts = [*split.train, *split.valid, *split.test]
        assert len(parts) == len(set(parts)) and set(parts) <= known
        assert split.train and split.test
        assert bool(split.valid) == bool(parameters.get("valid_fraction"))
        assert split.id.partition("/")[0] == name and set(split.controls) == set(LINES)
        document = json.loads(json.dumps(split.to_json()))
        schemas.check(document, "split", split.id)
        assert Split.from_json(document).sha256 == split.sha256
        assert expand(split.design, CONDITIONS, CONTROLS, DATASET, kind) == splits
    assert len({split.id for split in splits}) == len({split.sha256 for split in splits}) == len(splits)


@every_design
def test_its_artefacts_do_not_depend_on_order(name):
    shuffled = list(CONDITIONS)
    random.Random(1).shuffle(shuffled)
    assert cut(name, conditions=shuffled, valid_fraction=0.2) == cut(name, valid_fraction=0.2)


@every_design
def test_its_hash_covers_seed_and_data(name):
    other_data = {**DATASET, "content": "1" * 64}
    hashes = [cut(name)[0].sha256, cut(name, seed=1)[0].sha256, cut(name, dataset=other_data)[0].sha256]
    assert len(set(hashes)) == 3


@every_design
def test_folds_test_no_condition_twice(name):
    tested = [condition for split in cut(name, folds=3) for condition in split.test]
    assert len(tested) == len(set(tested))


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
