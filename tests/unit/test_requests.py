"""What a request says of a held-out condition, and that what is revealed earns nothing."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from click.testing import CliRunner
from dataset_entries import toy, toy_entry
from lanner import datasets, scoring, sealing, splits, staging
from lanner.cli import lanner
from lanner.config import Settings
from lanner.datasets import Dataset
from lanner.errors import ConfigurationError
from lanner.leaderboard.definition import define
from lanner.matrix import write_matrix
from lanner.metrics import METRICS, components
from lanner.records import Limits, Split
from lanner.requests import target_levels
from lanner.scoring import Prediction
from lanner.tasks import TASKS
from lanner.truth import Truth
from truths import comparison

TASK = TASKS["perturbation-response"]
PARTS = ("MAP2K6+KLF1", "HBZ", "GAPDH", "ELSEWHERE+KLF1", "control")


def made(settings: Settings, folder: Path, **changes: Any) -> Dataset:
    """Singles and doubles, unsorted as published, in two cell types, two donors and two times."""
    labels = [label for label in PARTS for _ in range(24)]
    n = len(labels)
    values = np.random.default_rng(2).gamma(1.0, 1.0, (n, 5)).astype(np.float32)
    adata = toy(
        labels,
        X=sp.csr_matrix(values),
        obs={
            "cell_type": ["k562" if i % 2 else "rpe1" for i in range(n)],
            "donor": ["d1" if i // 2 % 2 else "d2" for i in range(n)],
            "time": ["24h" if i // 4 % 2 else "6h" for i in range(n)],
            "dose": [["1", "10"][i // 8 % 2] for i in range(n)],
        },
    )
    obs = {"convention": "perturbench", "context": ["cell_type", "donor", "time"], **changes.pop("obs", {})}
    return datasets.load(toy_entry(settings, adata, folder / "source", obs=obs, **changes), settings)


def staged(dataset: Dataset, split: Split, home: Path, folder: Path, reveal: str) -> tuple[Any, ...]:
    sealed = sealing.seal(dataset, split, TASK.id, home)
    shared = staging.stage_shared(dataset, split, TASK, sealed, home)
    staging.stage(
        shared, split, TASK, folder, seed=0, parameters={}, limits=Limits(), options={"reveal": reveal}
    )
    with (folder / "requests.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return rows, json.loads((folder / "task.json").read_text()), sealed


CONTEXT = ["cell_type", "donor", "time"]


def test_requests_name_targets_in_canonical_order_and_every_covariate(settings, tmp_path):
    dataset = made(settings, tmp_path)
    design = {"id": "unseen-combination", "parameters": {"fraction": 1.0, "minimum_cells": 1}}
    (split,) = splits.resolve(dataset, design)
    rows, task, sealed = staged(dataset, split, settings.home, tmp_path / "input", "none")
    assert list(rows[0]) == ["request_id", "perturbation", "targets", *CONTEXT, "n_cells"]
    assert {row["targets"] for row in rows} == {"KLF1+MAP2K6", "ELSEWHERE+KLF1"}
    assert {(row["cell_type"], row["donor"], row["time"]) for row in rows} == {
        tuple(context.split("|")) for context in dataset.contexts
    }
    assert [row["request_id"] for row in rows] == [request.request_id for request in sealed.requests]
    assert {row["n_cells"] for row in rows} == {str(task["n_cells"])}
    assert task["columns"]["context"] == CONTEXT and "target_levels" not in task["columns"]


def test_later_times_are_asked_for_where_a_time_is_held_out(settings, tmp_path):
    dataset = made(settings, tmp_path)
    (split,) = splits.resolve(dataset, {"id": "time", "parameters": {"minimum_cells": 1}})
    rows, _, _ = staged(dataset, split, settings.home, tmp_path / "input", "none")
    assert {row["time"] for row in rows} == {"24h"}


def test_doses_are_revealed_in_the_modes_that_say_so(settings, tmp_path):
    dataset = made(settings, tmp_path, obs={"dose": "dose"})
    design = {"id": "unseen-perturbation", "parameters": {"minimum_cells": 1}}
    (split,) = splits.resolve(dataset, design)
    for reveal, column in (("none", None), ("dose", "dose"), ("level", "dose")):
        rows, task, sealed = staged(dataset, split, settings.home, tmp_path / reveal, reveal)
        assert task["reveal"] == reveal
        assert ("dose" in rows[0]) == ("dose" in task["columns"]) == (column is not None)
        if column:
            assert [row["dose"] for row in rows] == [r.condition.dose for r in sealed.requests]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("CRISPRi", "measured"),
        ("CRISPRa", "measured"),
        ("overexpression", "measured"),
        ("drug", "measured"),
        ("CRISPRko", "zero"),
    ],
)
def test_a_level_is_the_targets_own_mean_and_zero_for_a_knockout(settings, tmp_path, kind, expected):
    dataset = made(settings, tmp_path, perturbation_kind=kind)
    design = {"id": "unseen-combination", "parameters": {"fraction": 1.0, "minimum_cells": 1}}
    (split,) = splits.resolve(dataset, design)
    rows, task, sealed = staged(dataset, split, settings.home, tmp_path / "input", "level")
    assert task["columns"]["target_levels"] == "target_levels"
    place = {gene: g for g, gene in enumerate(sealed.genes)}
    for i, row in enumerate(rows):
        targets, levels = row["targets"].split("+"), row["target_levels"].split("+")
        assert len(levels) == len(targets)
        for target, level in zip(targets, levels, strict=True):
            if target not in place:
                assert level == ""
            elif expected == "zero":
                assert float(level) == 0
            else:
                mean = sealed.cells(i).toarray()[:, place[target]].mean()
                assert float(level) == pytest.approx(mean, abs=1e-5)


def test_labels_that_are_no_genes_have_no_level(settings, tmp_path):
    dataset = made(settings, tmp_path, obs={"targets": "none"}, perturbation_kind="cytokine")
    (split,) = splits.resolve(dataset, {"id": "unseen-perturbation", "parameters": {"minimum_cells": 1}})
    rows, _, _ = staged(dataset, split, settings.home, tmp_path / "input", "level")
    assert {(row["targets"], row["target_levels"]) for row in rows} == {("", "")}


def test_a_mode_nobody_offers_is_refused(simulated, shared_home, tmp_path, settings):
    (split,) = splits.resolve(simulated, "unseen-perturbation")
    with pytest.raises(ConfigurationError, match=r"no reveal mode .* did you mean 'level'"):
        staged(simulated, split, shared_home, tmp_path / "input", "levels")
    board = {"name": "a", "title": "A", "task": TASK.id, "datasets": ["simulated"], "seeds": [0]}
    with pytest.raises(ConfigurationError, match="no reveal mode"):
        define({**board, "methods": ["no-change"], "reveal": "all"}, settings)
    assert define({**board, "methods": ["no-change"], "reveal": "level"}, settings).options == {
        "reveal": "level"
    }


def test_the_command_line_stages_levels(simulated, shared_settings, tmp_path, monkeypatch):
    monkeypatch.setenv("LANNER_HOME", str(shared_settings.home))
    out = tmp_path / "input"
    arguments = ["stage", "simulated", "--split", "unseen-perturbation", "--reveal", "level"]
    assert CliRunner().invoke(lanner, [*arguments, "--out", str(out)]).exit_code == 0
    assert "target_levels" in (out / "requests.csv").read_text().splitlines()[0]


# The trap: what the revealed level is worth


@pytest.fixture(scope="module")
def unseen(simulated: Dataset, shared_home: Path) -> Truth:
    (split,) = splits.resolve(simulated, "unseen-perturbation")
    return sealing.seal(simulated, split, TASK.id, shared_home)


def with_levels(rows: np.ndarray, sealed: Truth, dataset: Dataset) -> np.ndarray:
    """``rows`` with each condition's own targets set to their revealed level."""
    rows = rows.copy()
    place = {gene: g for g, gene in enumerate(sealed.genes)}
    for i, request in enumerate(sealed.requests):
        levels = target_levels(sealed, dataset, i)
        for target, level in zip(request.condition.targets, levels, strict=True):
            rows[i, place[target]] = float(level)
    return rows


def scores(rows: np.ndarray, sealed: Truth, folder: Path) -> Any:
    matrix = write_matrix(folder, rows.shape[1], [rows.astype(np.float32)], sparse=False)
    prediction = Prediction(
        matrix=matrix, n_cells=1, answered=np.ones(len(rows), dtype=bool), residual="shift"
    )
    return scoring.score(sealed, prediction, list(TASK.metrics)).set_index(["variant", "metric", "condition"])


def test_copying_the_revealed_level_earns_nothing(simulated, unseen, tmp_path):
    """Every default metric, masked, gives control means with the level the score of control means."""
    no_change = unseen.control_a[unseen.context_of]
    copied = scores(with_levels(no_change, unseen, simulated), unseen, tmp_path / "copied").loc[""]
    plain = scores(no_change, unseen, tmp_path / "plain").loc[""]
    assert set(plain.index.get_level_values("metric")) == set(components(TASK.metrics))
    assert (copied["status"] == plain["status"]).all()
    # Shifted cells of a residual model meet the mask after float32; nothing else differs at all.
    np.testing.assert_allclose(copied["value"], plain["value"], rtol=1e-9, atol=1e-12)


def test_the_target_trap_of_pereggrn_is_closed_where_targets_are_measured(simulated, unseen, tmp_path):
    """Noise with the level in its place is noise, masked; unmasked it looks like knowledge."""
    noise = np.random.default_rng(0).normal(0, 0.02, unseen.full.shape)
    guess = np.maximum(unseen.control_a[unseen.context_of] + noise, 0)
    table = {
        name: scores(rows, unseen, tmp_path / name)["value"]
        for name, rows in (("noise", guess), ("level", with_levels(guess, unseen, simulated)))
    }
    means = {
        (name, variant, metric): float(table[name].loc[variant].loc[metric].mean())
        for name in table
        for variant in ("", "@unmasked")
        for metric in ("pearson_delta", "pds_cosine")
    }
    for metric, chance in (("pearson_delta", 0.0), ("pds_cosine", 0.5)):
        for variant in ("", "@unmasked"):
            assert abs(means["noise", variant, metric] - chance) < 0.05
        assert means["level", "", metric] == means["noise", "", metric]
        assert means["level", "@unmasked", metric] > chance + 0.1


def test_pereggrns_own_probe_goes_from_nothing_to_knowledge_only_without_the_mask():
    """1,000 genes of noise and one strong target: .03 becomes .95 where the target counts."""
    random = np.random.default_rng(4)
    t, p = random.normal(0, 0.1, (2, 20, 1000))
    target = np.zeros(t.shape, dtype=bool)
    target[:, 0] = True
    t[target] = -10.0
    revealed = np.where(target, t, p)

    def pearson(predicted: np.ndarray, masked: np.ndarray) -> float:
        compared = comparison(predicted, t, masked=masked)
        return float(METRICS["pearson_delta"](compared).values.mean())

    unmasked = np.zeros_like(target)
    assert abs(pearson(p, unmasked)) < 0.05 and pearson(revealed, unmasked) > 0.9
    assert pearson(revealed, target) == pearson(p, target) and abs(pearson(p, target)) < 0.05
