"""The quality report of a dataset: what it measures is what is there, and what it shows is text."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from lanner.cli import lanner
from lanner.config import Settings
from lanner.dataset_report import report
from lanner.dataset_report.measures import _batches, _cramers_v, measured
from lanner.dataset_report.opinions import opinions
from lanner.datasets import Dataset


@pytest.fixture(scope="module")
def found(simulated: Dataset) -> dict[str, Any]:
    return measured(simulated)


def test_counts_and_knock_down_are_those_of_the_cells(simulated: Dataset, found: dict[str, Any]) -> None:
    counts = simulated.counts()
    assert counts is not None
    umi = np.concatenate([np.asarray(block.sum(axis=1)).ravel() for _, _, block in counts.blocks()])
    condition = simulated.obs["condition"].to_numpy()
    X = np.expm1(np.concatenate([block.toarray() for _, _, block in simulated.X().blocks()]))
    for row in found["conditions"][::7]:
        mine = condition == row["condition"]
        assert (row["cells"], row["umi"]) == (mine.sum(), np.median(umi[mine]))
    control = (simulated.obs["perturbation"] == "control").to_numpy()
    assert found["knockdown"]
    for row in found["knockdown"][::5]:
        context = row["condition"].partition("|")[2]
        same = (simulated.obs["context"] == context).to_numpy()
        gene = simulated.genes.index(row["target"])
        before, after = X[control & same, gene].mean(), X[condition == row["condition"], gene].mean()
        assert (row["control"], row["perturbed"]) == pytest.approx((before, after), rel=1e-5)
        assert row["log2_fold"] == pytest.approx(np.log2((after + 0.1) / (before + 0.1)), abs=1e-5)
    for row in found["controls"]:
        assert row["cells"] == (control & (simulated.obs["context"] == row["context"]).to_numpy()).sum()


def test_halves_of_a_strong_change_agree_and_the_same_data_give_the_same_halves(
    simulated: Dataset, found: dict[str, Any]
) -> None:
    values = [row["agreement"] for row in found["conditions"]]
    assert all(-1 <= value <= 1 for value in values)
    assert np.median(values) > 0.3
    assert measured(simulated) == found


def test_cramers_v_is_0_for_independence_and_1_for_confounding() -> None:
    rng = np.random.default_rng(0)
    assert _cramers_v(np.diag([50.0, 60.0, 70.0])) == pytest.approx(1)
    independent = np.histogram2d(rng.integers(0, 4, 4000), rng.integers(0, 3, 4000), bins=(4, 3))[0]
    value = _cramers_v(independent)
    assert value is not None and value < 0.03
    assert _cramers_v(np.array([[5.0, 7.0]])) is None


def test_a_batch_without_controls_is_named() -> None:
    obs = pd.DataFrame(
        {
            "context": "c",
            "perturbation": ["control", "control", "A", "A", "B"],
            "batch": ["one", "two", "one", "two", "three"],
        }
    )
    batches = _batches(obs)
    assert batches is not None
    assert batches["without_controls"] == [{"context": "c", "batch": "three", "cells": 1}]
    assert _batches(obs.assign(batch="one")) is None


def of_kind(kind: str, licence: str = "MIT") -> Any:
    return SimpleNamespace(entry=SimpleNamespace(perturbation_kind=kind, document={"licence": licence}))


@pytest.mark.parametrize(
    ("kind", "folds", "passed"),
    [
        ("CRISPRi", [-1.0, -2.0, 0.5], True),
        ("CRISPRi", [1.0, 2.0, -0.5], False),
        ("CRISPRa", [1.0, 2.0, -0.5], True),
        ("CRISPRa", [-1.0, -2.0, 0.5], False),
    ],
)
def test_targets_that_move_against_their_perturbation_are_warned_of(
    kind: str, folds: list[float], passed: bool
) -> None:
    rows = [{"log2_fold": fold, "judged": True} for fold in folds]
    rows.append({"log2_fold": 9.0, "judged": False})
    measures = {"conditions": [], "controls": [], "batches": None, "knockdown": rows}
    lines = {line["fact"]: line for line in opinions(of_kind(kind), measures, None)}
    line = lines["targets' own expression"]
    assert (line["passed"], line["level"]) == (passed, "warning")


def test_a_dataset_that_cannot_tell_methods_apart_and_an_unknown_licence_are_warned_of() -> None:
    measures = {"conditions": [], "controls": [], "batches": None, "knockdown": []}
    rows = [{"split": "s", "metric": "mse", "informative": "not informative"}]
    lines = {line["fact"]: line for line in opinions(of_kind("drug", "LicenseRef-unknown"), measures, rows)}
    assert not lines["licence"]["passed"]
    assert not lines["metrics that can tell methods apart on s"]["passed"]
    assert {line["level"] for line in lines.values()} <= {"warning", "information"}


class Links(HTMLParser):
    """Everything a browser would load, and the text a reader sees."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.shown: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.shown.append(data)


def test_the_page_loads_nothing_and_shows_names_as_text(simulated: Dataset, settings: Settings) -> None:
    from lanner.dataset_report.page import render

    document = report(simulated, settings)
    evil = "</script><img src=x onerror=alert(1)>"
    document["title"] = document["citation"] = evil
    for row in (*document["measures"]["conditions"], *document["measures"]["knockdown"]):
        row["condition"] = evil
    document["range"] = [
        {
            "split": evil,
            "metric": "mse",
            "informative": "informative",
            "reason": None,
            "bds": 0.9,
            "bds_lower": 0.7,
            "drf": 0.5,
            "n": 9,
        }
    ]
    page = render(document)
    reader = Links()
    reader.feed(page)
    assert reader.loaded == []
    assert "img" not in reader.tags
    assert "onerror=alert" in "".join(reader.shown), "it is there, as text"
    assert render(document) == page
    warned = {"fact": "licence", "observed": "", "expected": "", "passed": False, "level": "warning"}
    assert "1 warning, 0 checks passed" in " ".join(render({**document, "checks": [warned]}).split())
    assert page.count("Plotly.newPlot(") >= 5


def test_the_command_writes_the_page_and_the_same_numbers_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANNER_HOME", str(tmp_path / "home"))
    page = tmp_path / "page.html"
    arguments = ["dataset", "check", "simulated", "--page", str(page), "--no-range", "--json"]
    result = CliRunner().invoke(lanner, arguments)
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)["simulated"]
    assert document["range"] is None
    assert {line["fact"] for line in document["checks"]} >= {"size", "licence"}
    assert (
        f"median r {np.median([row['agreement'] for row in document['measures']['conditions']]):.2f}"
        in page.read_text()
    )


@pytest.mark.slow
def test_the_range_is_that_of_the_leaderboards_own_table(tmp_path: Path, settings: Settings) -> None:
    import boards
    from lanner import datasets
    from lanner.leaderboard.definition import define
    from lanner.leaderboard.informative import informative

    own = Settings(home=settings.home, registry=boards.registry(tmp_path / "registry"))
    dataset = datasets.load(datasets.find_entry(own, "tiny"), own)
    rows = report(dataset, own, dynamic_range=True)["range"]
    assert {row["split"] for row in rows} == {"unseen-combination", "unseen-perturbation"}
    asked = {"name": "a", "title": "A", "task": "perturbation-response", "datasets": ["tiny"]}
    asked |= {"methods": [], "seeds": [0], "metrics": sorted({row["metric"] for row in rows})}
    expected = informative(define(asked, own), own)["rows"]
    key = lambda row: (row["split"], row["metric"])  # noqa: E731
    assert sorted(rows, key=key) == sorted(expected, key=key)
