"""What the peers' metrics do where little is defined, and the formulas they share."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from lanner.compat import COMPAT
from lanner.compat.once import once
from lanner.compat.pertpy_transport import sinkhorn
from lanner.compat.ranking_areas import average_precision, roc_auc
from lanner.compat.rows import pearson, spearman
from lanner.compat.scperteval_populations import components, energy, mmd
from lanner.compat.scperteval_profiles import weights
from pairs import MemoryPair, MemorySide, simulated_pair
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

PREFIXES = ("cell_eval/", "gge/", "pertpy/", "scperteval/")
IDS = [id for id in COMPAT if id.startswith(PREFIXES)]
SCORES = hnp.arrays(np.float64, st.integers(4, 30), elements=st.integers(0, 5).map(float))


class Thing:
    """Something that can be remembered by."""


def permuted(pair: MemoryPair, seed: int) -> tuple[MemoryPair, list[int]]:
    """The same pair with perturbations, genes and cells in another order."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(pair.perturbations)).tolist()
    columns = generator.permutation(len(pair.genes))

    def side(of: MemorySide) -> MemorySide:
        groups = [of.groups[p][:, columns] for p in order]
        return MemorySide([generator.permutation(group) for group in groups], of.controls[:, columns])

    labels, genes = tuple(pair.perturbations[p] for p in order), tuple(pair.genes[g] for g in columns)
    return MemoryPair(labels, genes, side(pair.truth), side(pair.prediction)), order


def test_the_peers_columns_are_all_there() -> None:
    numbers = {prefix: sum(id.startswith(prefix) for id in IDS) for prefix in PREFIXES}
    assert numbers == {"cell_eval/": 27, "gge/": 14, "pertpy/": 18, "scperteval/": 36}


@pytest.mark.parametrize("id", [id for id in IDS if id not in ("gge/pearson", "gge/spearman")])
def test_the_order_of_genes_cells_and_perturbations_changes_nothing(id: str) -> None:
    pair = simulated_pair(3)
    other, order = permuted(pair, 4)
    values, moved = COMPAT[id](pair).values, COMPAT[id](other).values
    np.testing.assert_allclose(moved, values if len(values) == 1 else values[order], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("id", IDS)
def test_one_perturbation_is_answered_or_undefined_but_never_an_error(id: str) -> None:
    whole = simulated_pair(1)
    sides = [MemorySide(side.groups[:1], side.controls) for side in (whole.truth, whole.prediction)]
    values = COMPAT[id](MemoryPair(whole.perturbations[:1], whole.genes, *sides)).values
    assert values.shape == (1,)


@pytest.mark.parametrize("id", [id for id in IDS if COMPAT[id].card.better != "neither"])
def test_truth_itself_reaches_the_best_value(id: str) -> None:
    whole = simulated_pair(2)
    values = COMPAT[id](MemoryPair(whole.perturbations, whole.genes, whole.truth, whole.truth)).values
    defined = values[np.isfinite(values)]
    assert len(defined)
    # a distance within, a floor of 1e-4, an entropy
    unreachable = {"pertpy/mean_pairwise", "gge/energy", "pertpy/wasserstein"}
    undefined_is_zero = id.startswith(("cell_eval/overlap", "cell_eval/precision"))
    if COMPAT[id].card.estimator.startswith("U-statistic") and not id.startswith("gge/"):
        assert (defined < 0).all()  # cells shared by both sides are nearer than distinct ones
    elif undefined_is_zero:
        assert set(defined) <= {0.0, 1.0}
        assert defined.max() == 1.0
    elif id not in unreachable:
        np.testing.assert_allclose(defined, COMPAT[id].card.best, atol=1e-9)


def test_no_significant_gene_leaves_recall_undefined_and_overlap_zero() -> None:
    whole = simulated_pair(5)
    nothing = MemorySide([whole.truth.controls for _ in whole.perturbations], whole.truth.controls)
    pair = MemoryPair(whole.perturbations, whole.genes, nothing, whole.prediction)
    assert np.isnan(COMPAT["cell_eval/de_sig_genes_recall"](pair).values).all()
    assert (COMPAT["cell_eval/overlap_at_n"](pair).values == 0).all()
    assert COMPAT["cell_eval/de_spearman_sig"](pair).values.tolist() == [1.0]


def test_a_prediction_equal_to_its_control_has_no_delta_correlation() -> None:
    whole = simulated_pair(6)
    copies = MemorySide([whole.prediction.controls] * len(whole.perturbations), whole.prediction.controls)
    pair = MemoryPair(whole.perturbations, whole.genes, whole.truth, copies)
    assert np.isnan(COMPAT["cell_eval/pearson_delta"](pair).values).all()
    assert np.isnan(COMPAT["cell_eval/pearson_edistance"](pair).values).all()


def test_a_query_leaves_its_own_gene_out_of_all_distances() -> None:
    pair = simulated_pair(7)
    predicted = pair.prediction.means() - pair.prediction.control_mean()
    true = pair.truth.means() - pair.truth.control_mean()
    found = COMPAT["cell_eval/discrimination_score_l1"](pair).values
    for p, label in enumerate(pair.perturbations):
        others = [g for g, gene in enumerate(pair.genes) if gene != label]
        distances = np.abs(predicted[p, others] - true[:, others]).sum(axis=1)
        assert found[p] == 1 - (distances < distances[p]).sum() / len(pair.perturbations)


@given(SCORES, st.integers(0, 2**32 - 1))
def test_areas_are_those_of_scikit_learn(scores: Any, seed: int) -> None:
    labels = np.random.default_rng(seed).random(len(scores)) < 0.4
    if labels.all() or not labels.any():
        assert np.isnan([average_precision(labels, scores), roc_auc(labels, scores)]).all()
    else:
        assert average_precision(labels, scores) == pytest.approx(average_precision_score(labels, scores))
        assert roc_auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))


@given(hnp.arrays(np.float64, (2, 9), elements=st.integers(-4, 4).map(float)))
def test_row_correlations_are_those_of_scipy(rows: Any) -> None:
    x, y = rows
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert np.isnan([pearson(x[None], y[None])[0], spearman(x[None], y[None])[0]]).all()
    else:
        assert pearson(x[None], y[None])[0] == pytest.approx(stats.pearsonr(x, y).statistic)
        assert spearman(x[None], y[None])[0] == pytest.approx(stats.spearmanr(x, y).statistic)


def test_weights_are_uniform_where_nothing_spreads() -> None:
    assert weights(np.full(4, 2.0), 2.0).tolist() == [0.25] * 4
    np.testing.assert_allclose(weights(np.array([-1.0, 0.0, 3.0]), 2.0), [0.1, 0.0, 0.9])


def test_principal_axes_are_the_same_by_either_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    dense = components(simulated_pair(8))
    monkeypatch.setattr("lanner.compat.scperteval_populations.DENSE_GENES", 0)
    iterative = components(simulated_pair(8))
    np.testing.assert_allclose(dense @ dense.T, iterative @ iterative.T, atol=1e-8)


def test_population_distances_of_one_distribution_are_zero_on_average() -> None:
    generator = np.random.default_rng(9)
    draws = [generator.normal(size=(2, 15, 3)) for _ in range(400)]
    for distance in (energy, mmd):
        found = np.array([distance(x, y) for x, y in draws])
        assert abs(found.mean()) < 4 * found.std() / len(found) ** 0.5


def test_an_answer_is_computed_once_and_forgotten_with_its_object() -> None:
    calls: list[Thing] = []

    @once
    def ask(of: Thing) -> int:
        calls.append(of)
        return len(calls)

    first, second = Thing(), Thing()
    assert [ask(first), ask(second), ask(first)] == [1, 2, 1]
    calls.clear()
    gone = weakref.ref(first)
    del first
    gc.collect()
    assert gone() is None


def test_transport_of_far_apart_cells_costs_their_squared_distance() -> None:
    cost = np.array([[0.0, 9.0], [9.0, 0.0]])
    assert sinkhorn(cost + 4.0) == pytest.approx(4.0 + sinkhorn(cost))
    # Matched pairs move nothing; what is left is the entropy of choosing one partner of two.
    assert sinkhorn(cost) == pytest.approx(0.05 * cost.std() * np.log(2), abs=1e-6)
