"""Undefined never becomes 0 or noise: each way to it has an outcome and a count, for every metric."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest
import scipy.sparse as sp
from lanner.aggregate import Scored, aggregate
from lanner.metrics import METRICS
from lanner.scoring import parts, score, score_bounds
from truths import predict, simulate
from worlds import N_CELLS, every_metrics_world, guessed_cells, true_cells

COMPUTED = [name for name in METRICS if not METRICS[name].card.worst_of]
N = 7
FINITE_ANYWAY = {
    *("mse", "rmse", "mae", "wmse", "weighted_r2_delta", "r2_delta"),
    *("variance_ratio", "zero_fraction_error", "w1_gene", "sinkhorn_w2", "biology/cytokine"),
    *(name for name in METRICS if name.startswith(("mse/", "energy/", "mmd_rbf"))),
}
"""Errors and distances: no change, or a constant one, is a prediction like others to them."""
STATUSES = {"scored", "undefined", "unanswered", "unscorable", "not_applicable"}


def check(frame):
    """What holds of every frame: a value where and only where it is scored, a reason everywhere else."""
    is_scored = (frame["status"] == "scored").to_numpy()
    assert set(frame["status"]) <= STATUSES
    np.testing.assert_array_equal(np.isfinite(frame["value"].to_numpy()), is_scored)
    assert frame["value"].isna().to_numpy()[~is_scored].all()
    assert (frame["reason"].to_numpy()[~is_scored] != "").all()
    return frame


def of(frame, name, variant="@all-cells.unmasked"):
    return frame[(frame["metric"] == name) & (frame["variant"] == variant)]


@pytest.fixture(scope="module", autouse=True)
def few_draws():
    """The least number of draws: what is undefined does not depend on it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "DRAWS", 2)
        yield


world = cache(every_metrics_world)
ANSWERED = {"half answered": np.arange(N) % 2 == 0, "nothing answered": np.zeros(N, dtype=bool)}


def unchanged():
    """A truth of the control cells themselves: nothing changes, nothing is called."""
    truth = every_metrics_world(effect=0.0, n_cells=2 * N_CELLS)
    for i in range(N):
        truth._cells[i] = truth.control_cells(int(truth.context_of[i]), "a")
        truth.full[i] = truth.control_a[truth.context_of[i]]
    return truth


@pytest.fixture(scope="module")
def frame_of(tmp_path_factory):
    """Scores of all metrics in a situation, by its name; each computed when first asked for."""
    folder = tmp_path_factory.mktemp("p")

    @cache
    def frame_of(situation):
        truth, n_cells, options = world(), N_CELLS, {}
        cells = guessed_cells(truth)
        if situation == "no change":
            cells, n_cells, options = truth.control_a[truth.context_of], 1, {"residual": "shift"}
        elif situation == "unchanged truth":
            truth, n_cells = unchanged(), 2 * N_CELLS
            cells = true_cells(truth)
        elif situation == "one true cell":
            truth = every_metrics_world(n_cells=1)
        elif situation == "one predicted cell":
            cells, n_cells = cells[::N_CELLS], 1
        elif situation == "genes without variance":
            truth = every_metrics_world(change=lambda x: x * (np.arange(x.shape[1]) % 3 > 0))
            cells = guessed_cells(truth)
        else:
            options = {"answered": ANSWERED[situation]}
        prediction = predict(folder, sp.csr_matrix(cells), n_cells=n_cells, **options)
        return check(score(truth, prediction, COMPUTED))

    return frame_of


@pytest.mark.parametrize("name", COMPUTED)
def test_no_change_is_scored_at_chance_or_undefined_but_never_made_up(name, frame_of):
    card, rows = METRICS[name].card, of(frame_of("no change"), name)
    if card.better == "neither" or card.requires == "cells" or name in FINITE_ANYWAY:
        return
    is_scored = rows["status"] == "scored"
    if card.chance is None or card.level == "interaction" or "train" in card.reference:
        return  # no change says something of these: how far additivity, or the train mean, is from control
    if name == "centroid_accuracy" or name.startswith("pds_l") or name == "r2_corr/profile":
        return  # a profile like others, compared with no reference
    if name.startswith("r2_corr/profile") or name == "biology/pathway":
        return
    np.testing.assert_allclose(rows["value"][is_scored], rows["chance"][is_scored], atol=1e-9)
    assert set(rows["status"][~is_scored]) <= {"undefined"}


@pytest.mark.parametrize(
    "name", ["pearson_delta", "spearman_delta", "cosine_delta", "r2_corr/delta", "biology/pathway"]
)
def test_a_constant_predicted_change_is_undefined_for_every_condition(name, frame_of):
    assert set(of(frame_of("no change"), name)["status"]) == {"undefined"}


@pytest.mark.parametrize("name", [name for name in COMPUTED if METRICS[name].card.labels])
def test_a_truth_without_changed_genes_is_dropped_not_scored(name, frame_of):
    assert set(of(frame_of("unchanged truth"), name)["status"]) == {"unscorable"}


@pytest.mark.parametrize("name", ["pearson_delta", "spearman_delta", "cosine_delta", "r2_delta"])
def test_a_constant_true_change_is_dropped_not_scored(name, frame_of):
    assert set(of(frame_of("unchanged truth"), name)["status"]) == {"unscorable"}


@pytest.mark.parametrize("name", [name for name in COMPUTED if METRICS[name].card.min_cells > 1])
def test_a_condition_of_one_cell_has_too_few_for_metrics_that_state_a_least_number(name, frame_of):
    assert set(frame_of("one true cell")[frame_of("one true cell")["metric"] == name]["status"]) == {
        "unscorable"
    }


@pytest.mark.parametrize("name", [name for name in COMPUTED if METRICS[name].card.requires == "cells"])
def test_a_profile_without_cells_is_not_applicable_to_metrics_of_cells(name, frame_of):
    rows = frame_of("one predicted cell")
    assert set(rows[rows["metric"] == name]["status"]) == {"not_applicable"}


@pytest.mark.parametrize("name", COMPUTED)
def test_genes_that_are_zero_in_all_cells_leave_every_metric_defined(name, frame_of):
    rows = of(frame_of("genes without variance"), name)
    assert "undefined" not in set(rows["status"])
    if not name.endswith("heg1000") and METRICS[name].card.level != "biology":
        assert "scored" in set(rows["status"])


@pytest.mark.parametrize("name", COMPUTED)
def test_missing_requests_are_counted_one_by_one(name, frame_of):
    half, none = of(frame_of("half answered"), name), of(frame_of("nothing answered"), name)
    assert int((half["status"] == "unanswered").sum()) + int((half["status"] == "unscorable").sum()) >= 3
    answered = half.iloc[::2]
    assert not (answered["status"] == "unanswered").any()
    assert set(none["status"]) <= {"unanswered", "unscorable"}


@pytest.fixture(scope="module")
def rows(frame_of):
    """Aggregated rows in each situation that keeps the first truth."""
    truth = world()
    bounds = score_bounds(truth, COMPUTED)
    kept = ("no change", "half answered", "nothing answered", "one predicted cell")
    runs = {
        name: Scored(scores=frame_of(name), bounds=bounds, split=truth.split.sha256, seed=0) for name in kept
    }
    return {
        name: {(row["metric"], row["variant"]): row for row in aggregate([run])} for name, run in runs.items()
    }


@pytest.mark.parametrize("name", METRICS)
def test_every_condition_is_counted_once_in_a_row(name, rows):
    for of_situation in rows.values():
        row = of_situation[name, "@all-cells.unmasked"]
        if row["status"] == "not_applicable":
            assert row["value"] is None and row["skill"] is None
            continue
        counted = row["n_answered"] + row["n_undefined"] + row["n_unanswered"]
        assert counted == row["n"]
        if row["n"]:
            assert row["coverage"] == pytest.approx(1 - row["n_unanswered"] / row["n"])
            assert row["undefined_share"] == pytest.approx(row["n_undefined"] / row["n"])


@pytest.mark.parametrize("name", METRICS)
def test_nothing_answered_is_worth_no_more_than_the_worst_negative(name, rows):
    card = METRICS[name].card
    row = rows["nothing answered"][name, ""]
    if row["status"] != "scored" or card.better == "neither" or row["value"] is None:
        return
    assert row["answered_only"] is None and row["n_unanswered"] == row["n"]
    worst = min(card.merit(value) for value in row["negative"].values() if value is not None)
    assert card.merit(row["value"]) <= worst + 1e-9


def test_one_measured_gene_leaves_correlations_undefined_and_errors_defined(tmp_path):
    truth = simulate(n_conditions=5, n_genes=60, halvings=1, with_pca=False)
    narrow = simulate(n_conditions=5, n_genes=60, halvings=1, with_pca=False)
    narrow.genes, narrow.targets = truth.genes[-1:], truth.targets[:, -1:]
    for field in ("control_a", "control_b", "train_mean", "train_mean_cells", "full"):
        setattr(narrow, field, getattr(truth, field)[:, -1:])
    narrow._cells = [cells[:, -1:] for cells in truth._cells]
    narrow._controls = {k: tuple(part[:, -1:] for part in parts) for k, parts in truth._controls.items()}
    narrow._train = {condition: cells[:, -1:] for condition, cells in truth._train.items()}
    names = [n for n in COMPUTED if METRICS[n].card.requires == "profile" and n != "pca_residual_norm"]
    frame = check(score(narrow, predict(tmp_path, narrow.full + 0.1), names))
    for name in ("pearson_delta", "spearman_delta", "r2_delta", "r2_corr/profile"):
        assert set(of(frame, name)["status"]) == {"unscorable"}
    for name in ("mse", "mae", "rmse"):
        assert set(of(frame, name)["status"]) == {"scored"}


def test_a_condition_without_cells_is_dropped_for_all(tmp_path):
    truth = simulate(n_conditions=6, n_genes=60, halvings=2, with_pca=False)
    empty = truth._cells[2][:0]
    truth._cells[2], truth._half[2] = empty, truth._half[2][:, :0]
    truth.full[2] = np.nan
    names = [n for n in COMPUTED if METRICS[n].card.requires == "profile" and n != "pca_residual_norm"]
    frame = check(score(truth, predict(tmp_path, np.nan_to_num(truth.full)), names))
    absent = frame[frame["request_id"] == truth.requests[2].request_id]
    described = absent["metric"].map(lambda name: METRICS[name].card.better) == "neither"
    assert set(absent[~described]["status"]) == {"unscorable"}


def test_a_composite_is_not_applicable_where_its_components_are(rows):
    row = rows["one predicted cell"]["energy", ""]
    assert row["status"] == "not_applicable" and row["value"] is None
    assert dataclasses.asdict(METRICS["energy"].card)["worst_of"] == ("energy/pca50", "energy/gene")
