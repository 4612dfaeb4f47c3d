"""Composite metrics: the worse skill counts, and what a PCA cannot see loses."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
from lanner.aggregate import Scored, aggregate, standings
from lanner.aggregate.worst_of import with_composites
from lanner.leaderboard.table import cell
from lanner.metrics import METRICS, components
from lanner.scoring import score, score_bounds
from truths import predict, simulate

NAMES = ["energy", "pca_residual_norm"]


def garbage(truth, size):
    """A direction of length ``size`` without any part of a train PCA's component, nor of a target."""
    _, axes = truth.pca
    hidden = np.eye(axes.shape[1])[truth.targets.any(axis=0)]
    basis, _ = np.linalg.qr(np.concatenate([axes, hidden]).T)
    noise = np.random.default_rng(0).normal(size=len(basis))
    noise -= basis @ (basis.T @ noise)
    return size * noise / np.linalg.norm(noise)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Aggregated rows of true cells, of the same cells with garbage added, and of controls."""
    truth = simulate(n_conditions=8, n_genes=200, n_cells=60, n_controls=200)
    bounds = score_bounds(truth, NAMES)
    cells = sp.vstack([truth.cells(i) for i in range(8)]).toarray()
    spoilt = cells + garbage(truth, 5.0)
    controls = np.tile(truth.control_cells(0, "a").toarray()[:60], (8, 1))
    answer = {}
    for name, x in {"honest": cells, "garbage": spoilt, "controls": controls}.items():
        frame = score(truth, predict(tmp_path_factory.mktemp(name), x, n_cells=60), NAMES)
        run = Scored(scores=frame, bounds=bounds, split=truth.split.sha256, seed=0)
        answer[name] = {row["metric"]: row for row in aggregate([run]) if row["variant"] == ""}
    return answer


def test_garbage_orthogonal_to_the_pca_is_invisible_in_it_and_loses_all_the_same(rows):
    honest, spoilt = rows["honest"], rows["garbage"]
    assert spoilt["energy/pca50"]["skill"] == pytest.approx(honest["energy/pca50"]["skill"], abs=1e-6)
    assert spoilt["energy"]["component"] == "energy/gene"
    assert spoilt["energy"]["skill"] < -1 < 0.8 < honest["energy"]["skill"]
    assert spoilt["pca_residual_norm"]["value"] > 3 * honest["pca_residual_norm"]["value"]


def test_a_composites_row_is_that_of_the_component_it_is_worse_at(rows):
    for of_method in rows.values():
        parts = [of_method[name] for name in METRICS["energy"].card.worst_of]
        worse = min(parts, key=lambda row: row["skill"])
        ours = of_method["energy"]
        for field in ("value", "interval", "skill", "skill_interval", "negative", "positive", "n"):
            assert ours[field] == worse[field]
        assert (ours["component"], ours["card"]) == (worse["metric"], METRICS["energy"].card.sha256)
        assert worse["component"] is None


def test_methods_are_ranked_by_the_worse_skill_not_by_values_of_two_scales(rows):
    order = standings("energy", {name: of_method["energy"] for name, of_method in rows.items()})
    assert order["honest"] > order["controls"] > order["garbage"]


def made(metric, **fields):
    row = dict.fromkeys(("skill", "bds", "bds_lower", "component"))
    row |= {"metric": metric, "variant": "", "value": 1.0, "informative": "informative", "n_bds": 9}
    return {**row, "primary_eligible": True, **fields}


pca, gene = partial(made, "energy/pca50"), partial(made, "energy/gene")


def composite(*rows):
    (row,) = [row for row in with_composites(rows) if row["metric"] == "energy"]
    return row


def test_a_composite_is_as_informative_as_its_least_informative_component_whichever_was_chosen():
    for skills in ((0.1, 0.9), (0.9, 0.1)):
        row = composite(
            pca(skill=skills[0], informative="not informative", bds=0.5, bds_lower=0.2, n_bds=7),
            gene(skill=skills[1], bds=1.0, bds_lower=0.7),
        )
        assert (row["informative"], row["bds"], row["n_bds"]) == ("not informative", 0.5, 7)


def test_a_component_without_skill_is_not_chosen_while_another_has_one():
    assert composite(pca(), gene(skill=3.0))["component"] == "energy/gene"
    assert composite(pca(), gene())["component"] == "energy/pca50"


def test_without_both_components_there_is_no_composite():
    assert [row["metric"] for row in with_composites([pca()])] == ["energy/pca50"]
    assert components(["mse", "energy", "energy/gene"]) == ("mse", "energy/pca50", "energy/gene")


def test_values_of_different_components_are_not_ranked_without_a_skill():
    rows = {"a": made("energy", component="energy/gene"), "b": made("energy", component="energy/pca50")}
    assert standings("energy", rows) == {}
    assert standings("energy", {**rows, "b": {**rows["a"], "value": 2.0}}) == {"a": -1.0, "b": -2.0}


def test_a_ratio_stands_the_nearer_to_one_the_better():
    rows = {name: made("calibration_slope", value=value) for name, value in (("a", 3.0), ("b", 0.8))}
    assert standings("calibration_slope", rows)["b"] > standings("calibration_slope", rows)["a"]


def test_a_table_says_which_component_a_number_is_of(rows):
    text = cell(rows["garbage"]["energy"])
    assert text.endswith((" gene)*", " gene)"))
    assert "gene" not in cell(rows["garbage"]["energy/gene"])


def test_a_methods_gain_on_the_train_mean_is_in_distance_to_the_best_value(rows):
    """Of a ratio neither more nor less is better: only nearer to one is."""
    assert METRICS["de_nsig_ratio"].card.merit(np.array([0.5, 1.5])).tolist() == [-0.5, -0.5]
