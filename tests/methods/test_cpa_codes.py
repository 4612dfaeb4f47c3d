"""What cpa tells the network: numbers of parts, doses and covariates, and the cells it trains on."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pandas as pd
import pytest
from lanner.config import bundled_root

FOLDER = bundled_root() / "method_containers" / "cpa"
TASK = {"control": "control", "combination": "+", "columns": {"perturbation": "drug", "context": ["line"]}}
DOSED = {**TASK, "columns": {**TASK["columns"], "dose": "dose"}}
TABLE = pd.DataFrame(
    {"drug": ["control", "B", "A+B", "B"], "line": ["x", "x", "y", "y"], "dose": ["", "0.5", "2", "0.5"]}
)


def loaded(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def codes():
    return loaded("codes")


@pytest.fixture(scope="module")
def program(codes):
    sys.modules["codes"] = codes  # where the program looks for it
    yield loaded("predict")
    del sys.modules["codes"]


def test_parts_are_numbered_after_padding_and_control_and_every_one_has_the_dose(codes, program):
    frame = program.labelled(TABLE, DOSED)
    numbers = codes.Codes(frame, ["A+B+C"], DOSED).of(frame)
    np.testing.assert_array_equal(numbers["perts"], [[1, 0, 0], [3, 0, 0], [2, 3, 0], [3, 0, 0]])
    np.testing.assert_array_equal(numbers["perts_doses"], [[1, 0, 0], [0.5, 0, 0], [2, 2, 0], [0.5, 0, 0]])


def test_conditions_and_each_context_column_are_numbered_in_the_order_of_names(codes, program):
    frame = program.labelled(TABLE, TASK)
    found = codes.Codes(frame, [], TASK)
    numbers = found.of(frame)
    np.testing.assert_array_equal(numbers["condition"], [[2], [1], [0], [1]])
    np.testing.assert_array_equal(numbers["covariate_0"], [[0], [0], [1], [1]])
    assert (len(found.parts), len(found.conditions)) == (4, 3)


def test_a_combination_that_was_not_trained_on_is_the_parts_it_consists_of(codes, program):
    single = program.labelled(TABLE[TABLE["drug"] != "A+B"], TASK)
    single.loc[len(TABLE)] = {"perturbation": "A", "dose": 1.0, "context": "x", "covariate_0": "x"}
    asked = program.labelled(pd.DataFrame({"drug": ["A+B"], "line": ["y"]}), TASK)
    numbers = codes.Codes(single, asked["perturbation"], TASK).of(asked)
    np.testing.assert_array_equal(numbers["perts"], [[2, 3]])
    np.testing.assert_array_equal(numbers["perts_doses"], [[1, 1]])


def test_without_doses_every_dose_is_1_and_one_that_is_no_number_is_missing(program):
    assert (program.labelled(TABLE, TASK)["dose"] == 1).all()
    table = TABLE.assign(dose=["", "high", "2", "0.5"])
    np.testing.assert_array_equal(program.labelled(table, DOSED)["dose"], [1, np.nan, 2, 0.5])


def test_at_most_so_many_cells_of_a_perturbation_at_a_dose_in_a_context_are_trained_on(program):
    frame = program.labelled(pd.concat([TABLE] * 5, ignore_index=True), DOSED)
    rows = program.training_rows(frame, 3, np.random.default_rng(0))
    assert (frame.iloc[rows].groupby(["perturbation", "context"]).size() == 3).all()
    assert len(rows) == len(set(rows)) == 12
    assert len(program.training_rows(frame, 9, np.random.default_rng(0))) == len(frame)
