"""Scoring against loops over halvings, and every reason for which a value is missing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from lanner.errors import ConfigurationError
from lanner.metrics import METRICS, components
from lanner.records import Condition
from lanner.scoring import VARIANTS, score, score_bounds
from lanner.scoring.parts import ConditionParts
from truths import MemoryTruth, mean, predict, simulate

ALL = components(list(METRICS))
CENTROID = ["mse", "pearson_delta", "pearson_delta/train-mean", "pds_cosine"]


@pytest.fixture(scope="module")
def truth():
    return simulate(n_conditions=7, n_genes=80)


@pytest.fixture(scope="module")
def bounds(truth):
    return score_bounds(truth, ALL)


def values(frame, metric, variant="", **where):
    chosen = frame[(frame["metric"] == metric) & (frame["variant"] == variant)]
    for column, value in where.items():
        chosen = chosen[chosen[column] == value]
    return chosen["value"].to_numpy()


def statuses(frame, metric, variant=""):
    return frame[(frame["metric"] == metric) & (frame["variant"] == variant)]["status"].tolist()


def test_values_are_averages_over_both_halves_of_every_halving(truth, tmp_path):
    prediction = np.random.default_rng(0).gamma(1.0, 1.0, truth.full.shape).astype(np.float32)
    frame = score(truth, predict(tmp_path, prediction), ["mse"])
    for masked, variant in ((True, ""), (False, "@unmasked")):
        for i, ours in enumerate(values(frame, "mse", variant)):
            keep = ~truth.targets[i] | (not masked)
            errors = [
                np.mean((prediction[i].astype(float) - mean(truth.cells(i)[half]))[keep] ** 2)
                for row in truth.half(i)
                for half in (row, ~row)
            ]
            assert ours == pytest.approx(np.mean(errors), rel=1e-12)


def test_the_full_truth_is_reached_exactly(truth, tmp_path):
    frame = score(truth, predict(tmp_path, truth.full), CENTROID)
    np.testing.assert_allclose(values(frame, "mse", "@all-cells.unmasked"), 0, atol=1e-12)
    np.testing.assert_allclose(values(frame, "pearson_delta/train-mean", "@all-cells"), 1, atol=1e-9)
    assert (values(frame, "pds_cosine", "@all-cells") == 1).all()


def test_cells_and_their_mean_have_the_same_centroid_scores(truth, tmp_path):
    n = 30
    cells = sp.vstack([truth.cells(i)[:n] for i in range(len(truth.requests))], format="csr")
    means = np.stack([mean(truth.cells(i)[:n]) for i in range(len(truth.requests))])
    as_cells = score(truth, predict(tmp_path, cells, n_cells=n), CENTROID)
    as_profiles = score(truth, predict(tmp_path, means), CENTROID)
    np.testing.assert_allclose(as_cells["value"], as_profiles["value"], atol=1e-6)


def test_the_frame_has_one_row_per_metric_variant_and_condition(truth, bounds, tmp_path):
    frame = score(truth, predict(tmp_path, truth.full), ALL)
    assert len(frame) == len(ALL) * len(VARIANTS) * len(truth.requests)
    assert not frame.duplicated(["metric", "variant", "condition"]).any()
    assert (frame["value"].notna() == (frame["status"] == "scored")).all()
    assert (frame["reason"].ne("") == (frame["status"] != "scored")).all()
    assert set(bounds.columns) == {*frame.columns, "bound", "kind", "bds"}


def test_whether_a_condition_is_scorable_is_the_same_for_every_method_and_bound(truth, bounds, tmp_path):
    frame = score(truth, predict(tmp_path, truth.full, residual="shift"), ALL)
    keys = ["metric", "variant", "condition"]
    barred = {tuple(row) for row in frame[frame["status"] == "unscorable"][keys].itertuples(index=False)}
    applicable = bounds[bounds["status"] != "not_applicable"]
    for _, of_bound in applicable.groupby("bound"):
        rows = of_bound[of_bound["status"] == "unscorable"][keys]
        seen = {tuple(row) for row in of_bound[keys].itertuples(index=False)}
        assert {tuple(row) for row in rows.itertuples(index=False)} == barred & seen


def test_a_profile_without_residual_model_has_no_population_score(truth, tmp_path):
    frame = score(truth, predict(tmp_path, truth.full), ["energy/pca50", "de_auprc/zhu"])
    assert set(statuses(frame, "energy/pca50")) == {"not_applicable"}
    assert "scored" in statuses(frame, "de_auprc/zhu")


@pytest.mark.parametrize("residual", ["shift", "zero-preserving-scale"])
def test_a_residual_model_gives_profiles_a_population_score(truth, tmp_path, residual):
    frame = score(truth, predict(tmp_path, truth.full, residual=residual), ["energy/pca50"])
    assert set(statuses(frame, "energy/pca50")) == {"scored"}


def test_an_unanswered_request_has_no_value_and_a_reason(truth, tmp_path):
    answered = np.ones(len(truth.requests), dtype=bool)
    answered[2] = False
    frame = score(truth, predict(tmp_path, truth.full, answered=answered), ["mse", "pds_cosine"])
    for metric in ("mse", "pds_cosine"):
        assert statuses(frame, metric)[2] == "unanswered"
        assert np.isnan(values(frame, metric)[2])
        assert statuses(frame, metric).count("scored") == len(truth.requests) - 1


def test_no_change_is_undefined_on_delta_correlation_even_through_a_float32_file(truth, tmp_path):
    no_change = truth.control_a[truth.context_of]
    frame = score(truth, predict(tmp_path, no_change), ["pearson_delta", "mse"])
    assert set(statuses(frame, "pearson_delta")) == {"undefined"}
    assert set(statuses(frame, "mse")) == {"scored"}


def test_fewer_than_20_predicted_cells_are_undefined_and_fewer_true_ones_unscorable(tmp_path):
    truth = simulate(n_conditions=5, n_cells=60)
    few = sp.vstack([truth.control_cells(0, "a")[:19]] * 5, format="csr")
    frame = score(truth, predict(tmp_path, few, n_cells=19), ["energy/pca50"])
    assert set(statuses(frame, "energy/pca50")) == {"undefined"}
    small = simulate(n_conditions=5, n_cells=39)
    many = sp.vstack([small.control_cells(0, "a")[:40]] * 5, format="csr")
    frame = score(small, predict(tmp_path, many, n_cells=40), ["energy/pca50"])
    assert set(statuses(frame, "energy/pca50")) == {"unscorable"}
    assert set(statuses(frame, "energy/pca50", "@all-cells")) == {"scored"}  # 39 cells, not halved


def test_a_condition_of_one_cell_is_not_scorable_against_halves(tmp_path):
    truth = simulate(n_conditions=6, n_cells=1)
    frame = score(truth, predict(tmp_path, truth.full * 0.5), ["mse", "pds_cosine"])
    assert set(statuses(frame, "mse")) == {"unscorable"}
    assert set(statuses(frame, "mse", "@all-cells")) == {"scored"}
    score_bounds(truth, ALL)


def test_candidates_are_the_conditions_of_the_same_context(tmp_path):
    truth = simulate(n_conditions=4, n_contexts=2)
    frame = score(truth, predict(tmp_path, truth.full), ["pds_cosine"])
    assert set(statuses(frame, "pds_cosine")) == {"unscorable"}
    truth = simulate(n_conditions=5, n_contexts=2)
    frame = score(truth, predict(tmp_path, truth.full), ["pds_cosine"])
    assert set(statuses(frame, "pds_cosine")) == {"scored"}


def test_the_duplicate_beats_the_negative_bounds_on_a_strong_signal(bounds):
    for metric in ("mse", "pearson_delta", "energy/pca50", "energy/gene", "de_auprc/zhu"):
        shares = bounds[(bounds["bound"] == "technical-duplicate") & (bounds["metric"] == metric)]
        assert shares[shares["variant"] == ""]["bds"].mean() > 0.9
        assert shares[shares["variant"] == "@all-cells"]["bds"].isna().all()


def test_the_duplicate_is_the_other_half_and_never_meets_itself(truth, bounds):
    for i, ours in enumerate(values(bounds, "mse", bound="technical-duplicate")):
        keep, cells = ~truth.targets[i], truth.cells(i)
        errors = [np.mean((mean(cells[h]) - mean(cells[~h]))[keep] ** 2) for h in truth.half(i)]
        assert ours == pytest.approx(np.mean(errors), rel=1e-9)
    full = bounds[(bounds["bound"] == "technical-duplicate") & bounds["variant"].str.startswith("@all-cells")]
    assert set(full["status"]) == {"not_applicable"}


def test_bds_is_the_share_of_parts_won_against_every_negative(truth, bounds):
    shares = bounds[(bounds["bound"] == "technical-duplicate") & (bounds["metric"] == "mse")]
    shuffled = values(bounds, "mse", bound="shuffled-cells")
    for i, ours in enumerate(shares[shares["variant"] == ""]["bds"]):
        keep, cells = ~truth.targets[i], truth.cells(i)
        k, won = truth.context_of[i], []
        for h in truth.half(i):
            for part in (h, ~h):
                t = mean(cells[part])
                rivals = (truth.control_a[k], truth.train_mean[k], truth.train_mean_cells[k])
                best = min(shuffled[i], *(np.mean((r - t)[keep] ** 2) for r in rivals))
                won.append(np.mean((mean(cells[~part]) - t)[keep] ** 2) < best)
        assert ours == pytest.approx(np.mean(won))


def test_draws_are_of_equal_size_without_replacement_and_disjoint_from_the_truth(truth):
    parts = ConditionParts(truth, 0)
    rows = parts.rows(full=False)
    size = parts.sizes(full=False)
    drawn = parts._draw(parts.members[rows], size, "truth/halves")
    other = parts._draw(~parts.members[rows], size, "predicted/halves")
    assert set(np.unique(drawn)) == {0.0, 1.0}
    np.testing.assert_array_equal(drawn.sum(axis=1), size)
    assert not (drawn * other).any()
    assert not np.array_equal(drawn[0], drawn[2])


def test_the_number_of_threads_changes_no_bit_and_is_restored(truth, bounds):
    threads = torch.get_num_threads()
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            again = score_bounds(truth, ALL)
            assert torch.get_num_threads() == n
            pd.testing.assert_frame_equal(again, bounds, check_exact=True)
    finally:
        torch.set_num_threads(threads)


def test_scoring_together_or_alone_gives_the_same_bits(truth, tmp_path):
    prediction = predict(tmp_path, truth.full, residual="shift")
    together = score(truth, prediction, ALL)
    for metric in ALL:
        alone = score(truth, prediction, [metric])
        pd.testing.assert_frame_equal(
            alone, together[together["metric"] == metric].reset_index(drop=True), check_exact=True
        )


def test_small_chunks_of_the_retrieval_pass_give_the_same_bits(truth, bounds, monkeypatch):
    monkeypatch.setattr("lanner.scoring.retrieval.CHUNK_BYTES", 1)
    again = score_bounds(truth, ["pds_cosine"])
    expected = bounds[bounds["metric"] == "pds_cosine"].reset_index(drop=True)
    pd.testing.assert_frame_equal(again, expected, check_exact=True)


def test_an_unknown_metric_suggests_the_nearest(truth, tmp_path):
    with pytest.raises(ConfigurationError, match="did you mean 'pearson_delta'"):
        score(truth, predict(tmp_path, truth.full), ["pearson_detla"])


def profile_truth(halves: bool):
    """Six doubles measured as log fold changes, with measured halves or without."""
    generator = np.random.default_rng(0)
    genes = tuple(f"G{g}" for g in range(30))
    conditions = [
        Condition(
            perturbation=f"G{i}+G{i + 10}", targets=(f"G{i}", f"G{i + 10}"), context=("K562",), n_cells=1
        )
        for i in range(6)
    ]
    effects = generator.normal(size=(6, 30))
    noisy = [sp.csr_matrix(effects[i] + 0.2 * generator.normal(size=(2, 30))) for i in range(6)]
    truth = MemoryTruth(
        genes=genes,
        test=dict(zip(conditions, noisy, strict=True)),
        train={conditions[0]: sp.csr_matrix(generator.normal(size=(1, 30)))},
        controls={"K562": sp.csr_matrix((2, 30))},
        halvings=1 if halves else 0,
        shared=True,
        kind="profile",
        scale="lfc",
    )
    if not halves:
        truth._cells = [sp.csr_matrix((0, 30), dtype=np.float32)] * 6
        truth._half = [np.zeros((0, 0), dtype=bool)] * 6
    return truth


def test_profiles_with_measured_halves_have_a_duplicate(tmp_path):
    truth = profile_truth(halves=True)
    bounds = score_bounds(truth, ALL)
    for i, ours in enumerate(values(bounds, "mse", "@unmasked", bound="technical-duplicate")):
        one, two = truth.cells(i).toarray()
        assert ours == pytest.approx(np.mean((one.astype(float) - two) ** 2), rel=1e-9)
    shares = bounds[(bounds["bound"] == "technical-duplicate") & (bounds["metric"] == "mse")]
    assert (shares[shares["variant"] == ""]["bds"] > 0.5).all()


def test_profiles_without_halves_are_scored_against_the_profile_and_have_negatives_only(tmp_path):
    truth = profile_truth(halves=False)
    bounds = score_bounds(truth, ALL)
    duplicate = bounds[bounds["bound"] == "technical-duplicate"]
    assert set(duplicate["status"]) == {"not_applicable"}
    assert duplicate["bds"].isna().all()
    frame = score(truth, predict(tmp_path, truth.full), ALL)
    np.testing.assert_allclose(values(frame, "mse"), 0, atol=1e-12)
    for metric in ("energy/pca50", "energy/gene", "de_auprc", "de_auprc/zhu"):
        assert set(frame[frame["metric"] == metric]["status"]) == {"not_applicable"}
        assert set(bounds[bounds["metric"] == metric]["status"]) == {"not_applicable"}
