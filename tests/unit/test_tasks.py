from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from lanner import schemas
from lanner.cards import CARDS, ROLES
from lanner.config import bundled_root
from lanner.errors import ConfigurationError
from lanner.methods import load
from lanner.splits import SPLITS
from lanner.tasks import TASKS, Task, add_task
from lanner.tasks.perturbation_response import REVEAL_MODES

RESPONSE = TASKS["perturbation-response"]


def document() -> dict[str, Any]:
    return {
        "protocol": 1,
        "task": RESPONSE.versioned,
        "dataset": {
            "id": "kang18-pbmc",
            "version": 1,
            "organism": "human",
            "assay": "10x",
            "perturbation_kind": "cytokine",
            "scale": "log1p-cp10k",
            "kind": "cells",
        },
        "split": {"id": "unseen-context/cd14-mono", "sha256": "0" * 64},
        "columns": {"perturbation": "perturbation", "context": ["cell_type"]},
        "control": "control",
        "combination": "+",
        "seed": 0,
        "reveal": "none",
        "n_cells": 100,
        "parameters": {"rank": 10},
        "resources": {"cpus": 2.0, "memory_mb": 2048, "gpus": 0, "timeout_s": 600},
    }


@pytest.mark.parametrize("name", list(TASKS))
def test_a_task_names_metrics_splits_and_bounds_that_exist(name):
    task = TASKS[name]
    assert task.id == name and task.summary.endswith(".")
    task.load()
    assert all(metric in CARDS for metric in task.metrics)
    assert all(split in SPLITS for split in task.splits)
    assert all(bound in ROLES for bound in task.bounds)
    assert task.chosen() == {name: option.default for name, option in task.options.items()}


@pytest.mark.parametrize("name", list(TASKS))
def test_what_an_author_is_asked_and_compared_with_exists(name):
    task = TASKS[name]
    task.load()
    assert all(name in load(bundled_root() / "method_containers" / other).tasks for other in task.baselines)
    assert all(bound in task.bounds and ROLES[bound].kind == "negative" for bound in task.simple)
    questions = task.questions()
    assert questions[0].name == "ordinary" and len({question.name for question in questions}) == len(
        questions
    )
    for question in questions:
        assert question.split["id"] in SPLITS
        assert task.chosen(question.options)


def test_the_primary_metrics_are_those_the_specification_fixes():
    assert RESPONSE.primary == ("mse", "pearson_delta", "pds_cosine", "energy", "de_auprc")
    beside = ("pearson_delta/train-mean", "energy/pca50", "energy/gene", "pca_residual_norm")
    assert RESPONSE.metrics == (*RESPONSE.primary, *beside)
    assert RESPONSE.versioned == "perturbation-response@1" and RESPONSE.n_cells == 100
    assert RESPONSE.options["reveal"].values == tuple(REVEAL_MODES) and RESPONSE.chosen() == {
        "reveal": "none"
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"primary": ("rmse",)}, "primary metric 'rmse' is not among its metrics"),
        ({"splits": ("Unseen",)}, "the name 'Unseen' must match"),
        ({"splits": ()}, "no split design"),
        ({"primary": ()}, "no primary metric"),
        ({"n_cells": 0}, "n_cells is 0"),
        ({"version": 0}, "versions start at 1"),
    ],
)
def test_a_task_that_contradicts_itself_is_refused(change, message):
    with pytest.raises(ConfigurationError, match=message):
        replace(RESPONSE, **change)


def test_a_task_is_frozen_and_its_name_is_taken_once():
    with pytest.raises(FrozenInstanceError):
        RESPONSE.version = 2  # type: ignore[misc]
    with pytest.raises(ConfigurationError, match="registered twice"):
        add_task(RESPONSE)
    assert isinstance(RESPONSE, Task)


def test_a_misspelt_task_suggests_the_nearest():
    with pytest.raises(ConfigurationError, match="did you mean 'perturbation-response'"):
        TASKS["pertubation-response"]


def test_a_complete_task_document_fits_the_schema():
    schemas.check(document(), "task", "task.json")


@pytest.mark.parametrize("field", sorted(document()))
def test_every_field_of_the_task_document_is_required(field):
    incomplete = document()
    del incomplete[field]
    with pytest.raises(ConfigurationError, match=f"'{field}' is a required property"):
        schemas.check(incomplete, "task", "task.json")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("protocol",), 2),
        (("truth",), "leak"),
        (("task",), "perturbation-response"),
        (("dataset", "kind"), "cell"),
        (("dataset", "path"), "x"),
        (("split", "sha256"), "0" * 63),
        (("columns", "truth"), "x"),
        (("control",), "ctrl"),
        (("seed",), -1),
        (("reveal",), "everything"),
        (("n_cells",), 0),
        (("resources", "cpus"), 0),
    ],
)
def test_the_task_schema_is_strict(path, value):
    wrong = document()
    inner = wrong
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(ConfigurationError, match=r"see schemas/task\.schema\.json"):
        schemas.check(wrong, "task", "task.json")


def _described(schema: Any, path: str = "") -> list[str]:
    missing = []
    for name, inner in schema.get("properties", {}).items():
        missing += [f"{path}/{name}"] if "description" not in inner else []
        missing += _described(inner, f"{path}/{name}")
    return missing


@pytest.mark.parametrize("name", ["task", "split"])
def test_every_field_of_the_schemas_is_described(name):
    schema = schemas.validator(name).schema
    assert schema["description"] and _described(schema) == []
