from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_entries import toy, toy_entry
from lanner import datasets
from lanner.config import Settings
from lanner.datasets import Dataset, facts

GENES = ("UP", "DOWN", "FLAT", "A", "B")


def known(settings: Settings, tmp_path: Path, *checks: dict[str, Any], cells: int = 50) -> Dataset:
    """Cells in which A raises UP, lowers DOWN and leaves FLAT."""
    random = np.random.default_rng(0)
    X = np.abs(random.normal(2.0, 0.1, (2 * cells, 5))).astype(np.float32)
    X[cells:, 0] += 1
    X[cells:, 1] -= 1
    items = [{"text": f"fact {i}", **check} for i, check in enumerate(checks)]
    adata = toy(["control"] * cells + ["A"] * cells, X=X, genes=GENES)
    return datasets.load(toy_entry(settings, adata, tmp_path / "published", facts=items), settings)


@pytest.mark.parametrize(
    ("gene", "holding"),
    [("UP", {"up", "not-down"}), ("DOWN", {"down", "not-up"}), ("FLAT", {"not-up", "not-down"})],
)
def test_a_direction_holds_or_fails_as_the_cells_say(
    settings: Settings, tmp_path: Path, gene: str, holding: set[str]
) -> None:
    directions = ("up", "down", "not-up", "not-down")
    checks = [
        {"check": "direction", "perturbations": ["A"], "genes": [gene], "direction": name}
        for name in directions
    ]
    lines = facts.check(known(settings, tmp_path, *checks))
    assert {name for name, line in zip(directions, lines, strict=True) if line["passed"]} == holding


@pytest.mark.parametrize(
    ("change", "missing"),
    [({"genes": ["GONE"]}, "gene GONE"), ({"perturbations": ["Z"]}, "Z or"), ({"contexts": ["x"]}, "A or")],
)
def test_a_fact_about_what_is_not_there_fails_and_says_so(
    settings: Settings, tmp_path: Path, change: dict[str, Any], missing: str
) -> None:
    check = {"check": "direction", "perturbations": ["A"], "genes": ["UP"], "direction": "not-down", **change}
    (line,) = facts.check(known(settings, tmp_path, check))
    assert not line["passed"] and missing in str(line["observed"])


def test_counts_are_compared_within_their_tolerance(settings: Settings, tmp_path: Path) -> None:
    wrong = {"check": "count", "of": "controls", "expected": 48}
    lines = facts.check(known(settings, tmp_path, wrong, {**wrong, "tolerance": 2}))
    assert [line["passed"] for line in lines] == [False, True]
    assert lines[0]["observed"] == 50


def test_the_additive_model_is_scored_without_a_mask_over_complete_doubles(
    settings: Settings, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    a, b, c = random.normal(size=(3, 5))
    X = np.vstack([np.zeros(5), a, b, a + b, a + c]).astype(np.float32)
    adata = toy(["control", "A", "B", "A+B", "A+C"], X=X, genes=GENES)
    fact = {"text": "x", "check": "additive-pearson", "expected": 1.0, "tolerance": 0.001, "n": 1}
    entry = toy_entry(settings, adata, tmp_path, kind="profile", scale="lfc", facts=[fact, {**fact, "n": 2}])
    lines = facts.check(datasets.load(entry, settings))
    assert [line["passed"] for line in lines] == [True, False]


def test_structure_is_reported_with_its_level(settings: Settings, tmp_path: Path) -> None:
    lines = {line["fact"]: line for line in datasets.check(known(settings, tmp_path, cells=30))}
    few = lines["controls enough to be cut into two references"]
    assert (few["passed"], few["level"]) == (False, "warning") and "k562 (30)" in few["observed"]
    small = lines["conditions large enough for population metrics"]
    assert not small["passed"] and "A|k562 (30)" in small["observed"]
    assert lines["targets among the genes"]["observed"] == "1 of 1 measured"
    assert all(line["level"] != "error" or line["passed"] for line in lines.values())


def test_cells_above_10000_normalised_counts_are_an_error(settings: Settings, tmp_path: Path) -> None:
    adata = toy(["control"] * 5 + ["A"] * 5, X=np.full((10, 5), 8.5, np.float32), genes=GENES)
    data = datasets.load(toy_entry(settings, adata, tmp_path, scale="log1p-cp10k"), settings)
    lines = {line["fact"]: line for line in datasets.check(data)}
    assert not lines["X is per 10,000 counts"]["passed"]
