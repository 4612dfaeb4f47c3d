"""Leaderboards that extend others, and fields that stand for several: what is run, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boards
import pytest
from lanner import leaderboard
from lanner.config import Settings, bundled_root
from lanner.errors import ConfigurationError

BASE = {
    "name": "base",
    "title": "Base",
    "description": "Of the base.",
    "task": "perturbation-response",
    "datasets": ["simulated", {"id": "kang18-pbmc", "splits": ["unseen-context"]}],
    "methods": ["no-change", "train-mean"],
    "seeds": [0, 1],
    "metrics": ["mse"],
}


@pytest.fixture
def write(tmp_path: Path):
    def write(file: str = "suite", **fields: Any) -> str:
        path = tmp_path / f"{file}.yaml"
        path.write_text(json.dumps({"name": file, "title": file.title(), **fields}))
        return str(path)

    write("base", **BASE)
    return write


def labels(definition: leaderboard.Definition) -> list[str]:
    return [choice.label for choice in definition.choices]


def test_what_a_file_does_not_say_it_takes_from_the_one_it_extends(write, settings: Settings) -> None:
    found = leaderboard.load(write(extends="base.yaml", seeds=[7]), settings)
    base = leaderboard.load(write("base", **BASE), settings)
    assert (found.name, found.title, found.description) == ("suite", "Suite", "")
    assert found.seeds == (7,)
    assert (found.datasets, found.metrics, found.choices) == (base.datasets, base.metrics, base.choices)


def test_inheritance_has_any_depth(write, settings: Settings) -> None:
    write("middle", extends="base.yaml", add={"methods": ["additive"]})
    found = leaderboard.load(write(extends="middle.yaml", remove={"methods": ["no-change"]}), settings)
    assert labels(found) == ["additive", "train-mean"]


def test_items_are_added_to_and_removed_from_inherited_lists(write, settings: Settings) -> None:
    path = write(
        extends="base.yaml",
        add={"metrics": ["mae"], "methods": ["knn"]},
        remove={"datasets": ["kang18-pbmc"], "methods": ["no-change"]},
    )
    found = leaderboard.load(path, settings)
    assert found.metrics == ("mse", "mae")
    assert labels(found) == ["knn", "train-mean"]
    assert list(found.datasets) == ["simulated"]


def test_splits_of_the_suite_are_those_of_datasets_that_name_none(write, settings: Settings) -> None:
    found = leaderboard.load(write(extends="base.yaml", splits=["unseen-perturbation"]), settings)
    assert found.datasets == {"simulated": ("unseen-perturbation",), "kang18-pbmc": ("unseen-context",)}


def test_a_list_of_values_stands_for_one_row_each(write, settings: Settings) -> None:
    methods = [{"name": "knn", "parameters": {"k": [1, 5], "rank": [5, 10]}}]
    found = leaderboard.load(write(extends="base.yaml", methods=methods), settings)
    assert labels(found) == ["knn", "knn[k=1,rank=5]", "knn[k=1]", "knn[rank=5]"]


def test_residual_models_are_rows_of_one_method(write, settings: Settings) -> None:
    both = ["shift", "zero-preserving-scale"]
    found = leaderboard.load(write(extends="base.yaml", methods=["train-mean"], residuals=both), settings)
    assert [(choice.label, choice.residual) for choice in found.choices] == [
        ("train-mean", "shift"),
        ("train-mean[residual=zero-preserving-scale]", "zero-preserving-scale"),
    ]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"extends": "nowhere.yaml"}, "extends nowhere.yaml, but there is no file"),
        ({"extends": "suite.yaml"}, "suite.yaml extends suite.yaml: a leaderboard cannot extend itself"),
        ({"extends": "base.yaml", "remove": {"methods": ["knn"]}}, "remove.methods names 'knn'"),
        ({"extends": "base.yaml", "add": {"methods": ["no-change"]}}, "no-change is listed twice"),
        ({"extends": "base.yaml", "add": {"seeds": [3]}}, "add.seeds"),
        ({"extends": "base.yaml", "resources": ["rondom"]}, "did you mean 'random'"),
        ({"seeds": [0]}, "'task' is a required property"),
        ({**BASE, "name": "suite", "title": "x", "add": {"methods": ["knn"]}}, "add"),
    ],
)
def test_a_mistake_is_told_with_what_to_correct(fields, message, write, settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="suite") as raised:
        leaderboard.load(write(**fields), settings)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    "path", sorted((bundled_root() / "leaderboards").glob("*.yaml")), ids=lambda p: p.stem
)
def test_every_bundled_leaderboard_can_be_read_and_is_short(path: Path, settings: Settings) -> None:
    found = leaderboard.load(str(path), settings)
    assert found.name == path.stem
    assert found.description
    assert len(path.read_text(encoding="utf-8").splitlines()) < 40


def test_both_residual_models_are_scored_from_one_run(tmp_path: Path) -> None:
    registry = boards.registry(tmp_path / "registry", size={"n_cells_per_condition": 60})
    boards.add_method(
        registry, "profiles", "X[:] = 0.3 + 0.01 * np.arange(len(genes)); write()", residual="shift"
    )
    both = ["shift", "zero-preserving-scale"]
    settings = Settings(home=tmp_path / "home", registry=registry)
    path = boards.board(tmp_path, ["profiles"], residuals=both, metrics=["mse", "zero_fraction_error"])
    results = boards.build(
        leaderboard.load(str(path), settings), settings, runner="process", jobs=1, trust_process=True
    )
    rows = {row["method"]: row for row in results.document["rows"]}
    assert {name: row["residual"] for name, row in rows.items()} == {
        "profiles": "shift",
        "profiles[residual=zero-preserving-scale]": "zero-preserving-scale",
    }
    first, second = rows.values()
    assert first["key"] == second["key"]
    assert len(list((tmp_path / "home" / "runs").glob("*/*/*/*/attempt-*"))) == 1
    assert first["scores"]["mse"]["value"] == second["scores"]["mse"]["value"]
    zeros = "zero_fraction_error"
    assert first["scores"][zeros]["value"] != second["scores"][zeros]["value"]
    alone = boards.board(tmp_path, ["profiles"], metrics=["mse", zeros])
    again = boards.build(
        leaderboard.load(str(alone), settings), settings, runner="process", jobs=1, trust_process=True
    )
    assert again.document["rows"] == [first]
