"""The formulas of method_containers/, run as the programs they are and compared with plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
from by_hand import GENES, TWO_LINES

METHODS = (
    *("no-change", "train-mean", "context-mean-delta", "additive", "linear-embedding"),
    *("two-factor", "crispr-informed", "knn", "ridge", "random-forest", "latent-additive"),
    "decoder-only",
)


@pytest.mark.parametrize("kind", ["cells", "profile"])
@pytest.mark.parametrize("method", METHODS)
def test_a_prediction_is_one_named_float32_row_per_request_over_the_train_genes(method, kind, stage, predict):
    cells = TWO_LINES if kind == "cells" else [(name, line, 1) for name, line, _ in TWO_LINES]
    requests = [("B+C", "K562"), ("A+B", "K562"), ("C", "RPE1")]
    staged = stage(cells, requests, kind=kind, zero_control=kind == "profile")
    result = predict(method, staged)
    assert result.code == 0, result.stderr
    assert list(result.prediction.obs_names) == ["r0", "r1", "r2"]
    assert list(result.prediction.var_names) == GENES
    assert result.prediction.X.dtype == np.float32
    assert result.prediction.obs["answered"].dtype == bool
    assert np.isfinite(result.rows).all()


def test_no_change_is_the_control_mean_of_each_requests_context(stage, predict):
    staged = stage(TWO_LINES, [("D", "RPE1"), ("A+B", "K562"), ("D", "K562")])
    result = predict("no-change", staged)
    expected = [staged.mean("control", line) for line in ("RPE1", "K562", "K562")]
    np.testing.assert_allclose(result.rows, expected, rtol=1e-6)
    assert result.answered == [True, True, True]


def test_no_change_leaves_a_context_without_controls_unanswered(stage, predict):
    staged = stage([*TWO_LINES, ("B", "HepG2", 4)], [("A", "HepG2"), ("D", "K562")])
    result = predict("no-change", staged)
    assert result.answered == [False, True]
    assert np.isfinite(result.rows).all()


def test_no_change_is_not_applicable_without_any_control(stage, predict):
    result = predict("no-change", stage([("B", "HepG2", 4)], [("A", "HepG2")]))
    assert (result.code, result.prediction) == (99, None)
    assert result.stderr == "no requested context has control cells\n"


def test_no_change_returns_distinct_control_cells_and_repeats_them_only_where_there_are_too_few(
    stage, predict
):
    staged = stage(TWO_LINES, [("D", "RPE1"), ("D", "K562")], n_cells=9, parameters={"output": "cells"})
    result = predict("no-change", staged, seed=3)
    assert list(result.prediction.obs_names) == [
        f"r{request}/{cell}" for request in (0, 1) for cell in range(9)
    ]
    controls = {
        line: staged.X[((staged.obs["perturbation"] == "control") & (staged.obs["line"] == line)).to_numpy()]
        for line in ("RPE1", "K562")
    }
    drawn = {"RPE1": result.rows[:9], "K562": result.rows[9:]}
    for line, rows in drawn.items():
        assert {row.tobytes() for row in rows.astype(np.float64)} <= {row.tobytes() for row in controls[line]}
    assert len(np.unique(drawn["K562"], axis=0)) == 9
    assert len(np.unique(drawn["RPE1"], axis=0)) < 9
    np.testing.assert_array_equal(predict("no-change", staged, seed=3).rows, result.rows)
    assert not np.array_equal(predict("no-change", staged, seed=4).rows, result.rows)


def test_train_mean_averages_the_perturbed_centroids_of_the_context_else_of_all(stage, predict):
    staged = stage([*TWO_LINES, ("control", "HepG2", 3)], [("D", "K562"), ("D", "HepG2"), ("D", "RPE1")])
    in_k562 = [staged.mean(perturbation, "K562") for perturbation in ("A", "B", "C", "A+C")]
    in_rpe1 = staged.mean("A", "RPE1")
    result = predict("train-mean", staged)
    np.testing.assert_allclose(
        result.rows, [np.mean(in_k562, axis=0), np.mean([*in_k562, in_rpe1], axis=0), in_rpe1], rtol=1e-6
    )
    assert all(result.answered)


def test_train_mean_can_weight_by_cells(stage, predict):
    staged = stage(TWO_LINES, [("D", "K562")], parameters={"weighting": "cell"})
    chosen = (staged.obs["perturbation"] != "control") & (staged.obs["line"] == "K562")
    result = predict("train-mean", staged)
    np.testing.assert_allclose(result.rows[0], staged.X[chosen.to_numpy()].mean(axis=0), rtol=1e-6)


def test_train_mean_is_not_applicable_without_a_perturbed_condition(stage, predict):
    result = predict("train-mean", stage([("control", "K562", 4)], [("A", "K562")]))
    assert (result.code, result.prediction) == (99, None)
    assert result.stderr.count("\n") == 1


def test_context_mean_delta_takes_the_nearest_kind_of_condition_that_exists(stage, predict):
    cells = [*TWO_LINES, ("control", "HepG2", 3), ("B", "no-control", 4)]
    staged = stage(cells, [("B", "RPE1"), ("A", "HepG2"), ("D", "RPE1"), ("D", "HepG2"), ("D", "no-control")])
    in_k562 = [staged.delta(perturbation, "K562") for perturbation in ("A", "B", "C", "A+C")]
    in_rpe1 = staged.delta("A", "RPE1")
    result = predict("context-mean-delta", staged)
    expected = [
        staged.mean("control", "RPE1") + staged.delta("B", "K562"),
        staged.mean("control", "HepG2") + (staged.delta("A", "K562") + in_rpe1) / 2,
        staged.mean("control", "RPE1") + in_rpe1,
        staged.mean("control", "HepG2") + np.mean([*in_k562, in_rpe1], axis=0),
    ]
    np.testing.assert_allclose(result.rows[:4], expected, rtol=1e-5, atol=1e-6)
    assert result.answered == [True, True, True, True, False]


def test_context_mean_delta_prefers_the_same_dose(stage, predict):
    cells = [
        ("control", "K562", 4, ""),
        ("control", "RPE1", 4, ""),
        ("drug", "K562", 3, "1"),
        ("drug", "K562", 3, "10"),
        ("other", "RPE1", 3, "1"),
    ]
    staged = stage(cells, [("drug", "RPE1", "", "10"), ("drug", "RPE1", "", "100")])
    at = {dose: staged.delta("drug", "K562", dose) for dose in ("1", "10")}
    control = staged.mean("control", "RPE1")
    result = predict("context-mean-delta", staged)
    expected = [control + at["10"], control + (at["1"] + at["10"]) / 2]
    np.testing.assert_allclose(result.rows, expected, rtol=1e-5, atol=1e-6)


def test_additive_adds_the_deltas_of_the_singles_of_the_same_context(stage, predict):
    staged = stage(TWO_LINES, [("A+B", "K562"), ("A+B+C", "K562")])
    result = predict("additive", staged)
    control = staged.mean("control", "K562")
    two = control + staged.delta("A", "K562") + staged.delta("B", "K562")
    np.testing.assert_allclose(result.rows, [two, two + staged.delta("C", "K562")], rtol=1e-5, atol=1e-6)
    assert result.answered == [True, True]
    assert result.stderr == ""


def test_additive_leaves_a_missing_single_unanswered_and_says_which(stage, predict):
    requests = [("A+D", "K562"), ("A+B", "RPE1"), ("B", "K562"), ("A+B", "K562")]
    result = predict("additive", stage(TWO_LINES, requests))
    assert result.answered == [False, False, False, True]
    assert np.isfinite(result.rows).all()
    assert result.stderr.splitlines() == [
        "unanswered: A+D in K562: no single D",
        "unanswered: A+B in RPE1: no single B",
        "unanswered: B in K562: not a combination",
    ]


def test_additive_is_not_applicable_where_no_request_can_be_answered(stage, predict):
    result = predict("additive", stage(TWO_LINES, [("D", "K562"), ("A+D", "K562")]))
    assert (result.code, result.prediction) == (99, None)
    assert result.stderr.count("\n") == 1


def linear(G, Y, P, p, ridge):
    """b + G K p with explicit inverses, as printed in the paper."""
    b = Y.mean(axis=1)
    K = (
        np.linalg.inv(G.T @ G + ridge * np.eye(G.shape[1]))
        @ G.T
        @ (Y - b[:, None])
        @ P.T
        @ np.linalg.inv(P @ P.T + ridge * np.eye(P.shape[0]))
    )
    return b + G @ K @ p


def gene_scores(profiles, rank):
    """Scores of genes on principal components, from the eigenvectors of the centred covariance."""
    centred = np.array(profiles).T
    centred = centred - centred.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return centred @ vectors[:, ::-1][:, :rank]


@pytest.mark.parametrize(("rank", "ridge"), [(2, 0.1), (3, 5.0), (100, 0.1)])
def test_linear_embedding_equals_the_formula_with_its_control_column(rank, ridge, stage, predict):
    cells = [cell for cell in TWO_LINES if cell[1] == "K562"]
    requests = [("D", "K562"), ("A+H", "K562"), ("notgene", "K562")]
    staged = stage(cells, requests, parameters={"rank": rank, "ridge": ridge})
    names = ["A", "B", "C", "A+C"]
    control = staged.mean("control", "K562")
    G = gene_scores([*(staged.mean(name, "K562") for name in names), control], min(rank, 5))
    rows = {gene: G[index] for index, gene in enumerate(GENES)}
    Y = np.array([*(staged.delta(name, "K562") for name in names), np.zeros(8)]).T
    P = np.array([rows["A"], rows["B"], rows["C"], rows["A"] + rows["C"], np.zeros(G.shape[1])]).T
    result = predict("linear-embedding", staged)
    for row, p in enumerate((rows["D"], rows["A"] + rows["H"])):
        expected = control + linear(G, Y, P, p, ridge)
        np.testing.assert_allclose(result.rows[row], expected, rtol=1e-6, atol=1e-6)
        signs = np.resize([1.0, -1.0], G.shape[1])  # singular vectors are defined up to their sign
        flipped = linear(G * signs, Y, P * signs[:, None], p * signs, ridge)
        np.testing.assert_allclose(control + flipped, expected, rtol=1e-9, atol=1e-12)
    assert result.answered == [True, True, False]
    assert result.stderr == "unanswered: notgene in K562: a target is not a measured gene\n"


def test_linear_embedding_takes_the_perturbations_rows_from_a_granted_table(stage, predict):
    cells = [cell for cell in TWO_LINES if cell[1] == "K562"]
    table = {gene: np.random.default_rng(row).normal(size=3) for row, gene in enumerate("ABCZ")}
    requests = [("Z", "K562"), ("D", "K562")]
    staged = stage(
        cells, requests, parameters={"perturbations": "resource"}, tables={"embedding.features.csv": table}
    )
    names = ["A", "B", "C", "A+C"]
    control = staged.mean("control", "K562")
    G = gene_scores([*(staged.mean(name, "K562") for name in names), control], 5)
    Y = np.array([*(staged.delta(name, "K562") for name in names), np.zeros(8)]).T
    P = np.array([*(sum(table[gene] for gene in name.split("+")) for name in names), np.zeros(3)]).T
    result = predict("linear-embedding", staged)
    assert result.answered == [True, False]
    np.testing.assert_allclose(
        result.rows[0], control + linear(G, Y, P, table["Z"], 0.1), rtol=1e-6, atol=1e-6
    )


def test_linear_embedding_without_any_feature_adds_the_mean_of_its_columns(stage, predict):
    cells = [cell for cell in TWO_LINES if cell[1] == "K562"]
    empty = {"empty.features.csv": {gene: [] for gene in (*GENES, "Z")}}
    staged = stage(cells, [("Z", "K562")], parameters={"perturbations": "resource"}, tables=empty)
    changes = [staged.delta(name, "K562") for name in ("A", "B", "C", "A+C")]
    expected = staged.mean("control", "K562") + np.sum(changes, axis=0) / 5  # the control's column is zero
    np.testing.assert_allclose(predict("linear-embedding", staged).rows[0], expected, rtol=1e-6, atol=1e-6)


def test_linear_embedding_needs_the_table_it_is_told_to_use(stage, predict):
    result = predict(
        "linear-embedding", stage(TWO_LINES, [("D", "K562")], parameters={"perturbations": "resource"})
    )
    assert result.code == 99
    assert "grants no embedding" in result.stderr


def test_linear_embedding_pools_contexts_each_with_its_own_control(stage, predict):
    staged = stage([*TWO_LINES, ("notgene", "RPE1", 4)], [("B", "RPE1")])
    fitted = [("A", "K562"), ("A", "RPE1"), ("A+C", "K562"), ("B", "K562"), ("C", "K562")]
    everything = [*fitted, ("notgene", "RPE1"), ("control", "K562"), ("control", "RPE1")]
    G = gene_scores([staged.mean(*condition) for condition in everything], 7)
    a, b, c = G[0], G[1], G[2]
    Y = np.array([*(staged.delta(*condition) for condition in fitted), np.zeros(8), np.zeros(8)]).T
    P = np.array([a, a, a + c, b, c, np.zeros(7), np.zeros(7)]).T
    expected = staged.mean("control", "RPE1") + linear(G, Y, P, b, 0.1)
    np.testing.assert_allclose(predict("linear-embedding", staged).rows[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (("drug", "K562", ""), "the requests name no target genes"),
        (("notgene", "K562"), "no request targets a measured gene in a context with control cells"),
    ],
)
def test_linear_embedding_is_not_applicable_without_measured_targets(request_, reason, stage, predict):
    result = predict("linear-embedding", stage(TWO_LINES, [request_]))
    assert (result.code, result.stderr) == (99, f"{reason}\n")
    assert result.prediction is None


def test_the_control_profile_of_a_log_fold_change_dataset_is_zero_and_all_formulas_hold(stage, predict):
    cells = [("control", "K562", 1), ("A", "K562", 1), ("B", "K562", 1)]
    staged = stage(cells, [("A+B", "K562")], kind="profile", zero_control=True)
    both = staged.mean("A", "K562"), staged.mean("B", "K562")
    np.testing.assert_allclose(predict("additive", staged).rows[0], sum(both), rtol=1e-6)
    np.testing.assert_allclose(predict("train-mean", staged).rows[0], np.mean(both, axis=0), rtol=1e-6)
    np.testing.assert_allclose(
        predict("context-mean-delta", staged).rows[0], np.mean(both, axis=0), rtol=1e-6
    )
    assert not predict("no-change", staged).rows.any()
