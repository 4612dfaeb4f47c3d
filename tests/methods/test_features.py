"""knn, ridge and random-forest: a change predicted from features of the target, granted or found in train."""

from __future__ import annotations

import numpy as np
import pytest
from by_hand import GENES, TWO_LINES

METHODS = ("knn", "ridge", "random-forest", "gradient-boosting")
ONE_LINE = [("control", "K562", 9), ("A", "K562", 4), ("B", "K562", 11), ("C", "K562", 3), ("E", "K562", 5)]
TABLE = {"A": [0.0, 1.0], "B": [4.0, 2.0], "C": [5.0, 2.5], "E": [9.0, -3.0], "notgene": [0.2, 1.1]}
TRAIN = ["A", "B", "C", "E"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("granted", [True, False])
def test_a_target_without_features_is_left_unanswered_and_named(method, granted, stage, predict):
    requests = [("A+B", "K562"), ("Z", "K562"), ("A", "HepG2")]
    result = predict(method, stage(ONE_LINE, requests, tables={"t.features.csv": TABLE} if granted else None))
    assert result.code == 0, result.stderr
    assert result.answered == [True, False, False]
    assert np.isfinite(result.rows).all()
    assert result.stderr == "unanswered: Z: a target has no features\nunanswered: A: no control cells\n"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (("drug", "K562", ""), "the requests name no target genes"),
        (("Z", "K562"), "no request's targets all have features in a context with control cells"),
    ],
)
def test_it_is_not_applicable_where_no_request_has_features(method, request_, reason, stage, predict):
    result = predict(method, stage(ONE_LINE, [request_]))
    assert (result.code, result.stderr, result.prediction) == (99, f"{reason}\n", None)


@pytest.mark.parametrize("method", METHODS)
def test_without_any_feature_the_prediction_is_the_mean_training_change(method, stage, predict):
    empty = {gene: [] for gene in GENES}
    staged = stage(ONE_LINE, [("D", "K562"), ("A+B", "K562")], tables={"empty.features.csv": empty})
    expected = staged.mean("control", "K562") + np.mean([staged.delta(p, "K562") for p in TRAIN], axis=0)
    np.testing.assert_allclose(predict(method, staged).rows, [expected, expected], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_granted_table_is_used_for_a_target_that_was_not_measured(method, stage, predict):
    result = predict(
        method, stage(ONE_LINE, [("notgene", "K562"), ("D", "K562")], tables={"t.features.csv": TABLE})
    )
    assert result.answered == [True, False]


def test_several_tables_are_joined_on_their_genes(stage, predict):
    left, right = {g: TABLE[g][:1] for g in TRAIN}, {g: TABLE[g][1:] for g in ("A", "B", "E")}
    staged = stage(
        ONE_LINE,
        [("A", "K562"), ("C", "K562")],
        tables={"a.features.csv": left, "b.features.csv": right},
        parameters={"k": 1},
    )
    result = predict("knn", staged)
    assert result.answered == [True, False]
    np.testing.assert_allclose(result.rows[0], staged.mean("A", "K562"), rtol=1e-5, atol=1e-6)


def test_knn_averages_the_changes_of_the_nearest_training_conditions_and_of_ties(stage, predict):
    table = {**TABLE, "D": [4.5, 2.25]}  # halfway between B and C
    requests = [("notgene", "K562"), ("D", "K562")]
    staged = stage(ONE_LINE, requests, tables={"t.features.csv": table}, parameters={"k": 1})
    tied = staged.mean("control", "K562") + (staged.delta("B", "K562") + staged.delta("C", "K562")) / 2
    expected = [staged.mean("A", "K562"), tied]
    np.testing.assert_allclose(predict("knn", staged).rows, expected, rtol=1e-5, atol=1e-6)


def test_knn_sums_the_features_of_a_combination_and_pools_contexts(stage, predict):
    table = {gene: [float(2**row)] for row, gene in enumerate(GENES)}
    staged = stage(TWO_LINES, [("A+C", "RPE1")], tables={"t.features.csv": table}, parameters={"k": 1})
    expected = staged.mean("control", "RPE1") + staged.delta("A+C", "K562")
    np.testing.assert_allclose(predict("knn", staged).rows[0], expected, rtol=1e-5, atol=1e-6)


def test_without_tables_features_are_scores_on_the_principal_components_of_train(stage, predict):
    staged = stage(ONE_LINE, [("D", "K562")], parameters={"k": 1, "rank": 2})
    X = np.stack([staged.mean(p, "K562") for p in (*TRAIN, "control")], axis=1)
    X = X - X.mean(axis=0)
    _, vectors = np.linalg.eigh(X.T @ X)
    scores = dict(zip(GENES, X @ vectors[:, :-3:-1], strict=True))
    nearest = min(TRAIN, key=lambda name: np.linalg.norm(scores[name] - scores["D"]))
    np.testing.assert_allclose(
        predict("knn", staged).rows[0], staged.mean(nearest, "K562"), rtol=1e-5, atol=1e-6
    )


def test_ridge_equals_a_regression_whose_penalty_was_found_by_leaving_each_condition_out(stage, predict):
    table = {gene: np.random.default_rng(row).normal(size=2) for row, gene in enumerate(GENES)}
    cells = [*ONE_LINE, ("F", "K562", 4), ("A+B", "K562", 3), ("G+H", "K562", 6)]
    names = [*TRAIN, "F", "A+B", "G+H"]
    staged = stage(cells, [("D", "K562")], tables={"t.features.csv": table})

    def features(name):
        return sum(table[gene] for gene in name.split("+"))

    X = np.stack([features(name) for name in names])
    Y = np.stack([staged.delta(name, "K562") for name in names])
    centre, spread = X.mean(axis=0), X.std(axis=0)
    Z = np.column_stack([np.ones(len(X)), (X - centre) / spread])

    def fitted(rows, penalty):
        penalties = np.diag([0, penalty, penalty])
        return np.linalg.solve(Z[rows].T @ Z[rows] + penalties, Z[rows].T @ Y[rows])

    def error(penalty):
        left_out = [np.delete(np.arange(len(X)), row) for row in range(len(X))]
        return sum(
            ((Y[row] - Z[row] @ fitted(rows, penalty)) ** 2).sum() for row, rows in enumerate(left_out)
        )

    penalty = min(np.logspace(-2, 4, 13), key=error)
    new = np.array([1, *((features("D") - centre) / spread)])
    expected = staged.mean("control", "K562") + new @ fitted(np.arange(len(X)), penalty)
    np.testing.assert_allclose(predict("ridge", staged).rows[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_a_forest_depends_on_the_seed_and_on_nothing_else(stage, predict):
    staged = stage(
        ONE_LINE, [("D", "K562"), ("notgene", "K562")], tables={"t.features.csv": {**TABLE, "D": [2, 2]}}
    )
    first = predict("random-forest", staged, seed=1).rows
    np.testing.assert_array_equal(predict("random-forest", staged, seed=1).rows, first)
    assert not np.array_equal(predict("random-forest", staged, seed=2).rows, first)
    changes = np.stack([staged.mean(p, "K562") for p in TRAIN])
    assert (first >= changes.min(axis=0) - 1e-5).all() and (first <= changes.max(axis=0) + 1e-5).all()


def test_boosting_takes_a_target_without_features_as_missing_values_where_asked_to(stage, predict):
    staged = stage(ONE_LINE, [("Z", "K562"), ("A", "K562")], parameters={"unmeasured": "missing"})
    assert predict("gradient-boosting", staged).answered == [True, True]


def test_boosting_predicts_the_mean_change_where_no_training_target_has_features(stage, predict):
    requests = [("A", "K562"), ("notgene", "K562")]
    tables, parameters = {"t.features.csv": {"notgene": [1, 2]}}, {"unmeasured": "missing"}
    staged = stage(ONE_LINE, requests, tables=tables, parameters=parameters)
    result = predict("gradient-boosting", staged)
    assert result.answered == [True, True], result.stderr
    expected = staged.mean("control", "K562") + np.mean([staged.delta(p, "K562") for p in TRAIN], axis=0)
    np.testing.assert_allclose(result.rows, [expected, expected], rtol=1e-5, atol=1e-6)


def test_boosting_tells_apart_targets_whose_training_changes_differ(stage, predict):
    table = {**TABLE, "D": TABLE["B"]}
    requests = [("B", "K562"), ("D", "K562"), ("E", "K562")]
    staged = stage(ONE_LINE, requests, tables={"t.features.csv": table}, parameters={"leaf": 1})
    rows = predict("gradient-boosting", staged).rows
    np.testing.assert_array_equal(rows[0], rows[1])
    for row, name in ((0, "B"), (2, "E")):
        np.testing.assert_allclose(rows[row], staged.mean(name, "K562"), atol=1e-3)
