"""The networks that anchor the metrics, and what they get on simulated cells."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from lanner.networks import NETWORK_METRICS, bounds
from networks import mean_difference, observed_correlation, permuted, simulate

GENES = tuple(f"G{(7 * g) % 30:02d}" for g in range(30))
REGULATORS = np.arange(0, 30, 3)


def named(network):
    edges = network.edges
    return {
        (network.genes[a], network.genes[b]): float(w)
        for a, b, w in zip(edges.source, edges.target, edges.weight, strict=True)
    }


def test_the_full_network_has_every_pair_and_no_loop():
    full = bounds.full(GENES, REGULATORS, 10_000)
    assert full.n_edges == 10 * 29 and full.weights.diagonal().sum() == 0


def test_a_full_network_above_the_limit_is_a_draw_that_does_not_depend_on_the_order_of_genes():
    order = np.random.default_rng(0).permutation(30)
    cut = bounds.full(GENES, REGULATORS, 50)
    other = bounds.full(tuple(GENES[g] for g in order), np.sort(np.argsort(order)[REGULATORS]), 50)
    assert cut.n_edges == 50 and named(cut) == named(other)


def test_random_networks_repeat_by_seed_and_do_not_depend_on_the_order_of_genes():
    one = bounds.random(GENES, REGULATORS, 40, "a")
    order = np.random.default_rng(1).permutation(30)
    moved = bounds.random(tuple(GENES[g] for g in order), np.sort(np.argsort(order)[REGULATORS]), 40, "a")
    assert one.n_edges == 40 and one.weights.diagonal().sum() == 0
    assert named(one) == named(moved) != named(bounds.random(GENES, REGULATORS, 40, "b"))


@given(st.integers(0, 10_000), st.integers(1, 290))
@settings(max_examples=25, deadline=None)
def test_a_rewired_network_keeps_every_degree_and_has_no_loop(seed, n_edges):
    network = bounds.random(GENES, REGULATORS, n_edges, str(seed))
    rewired = bounds.rewired(network, str(seed))
    np.testing.assert_array_equal(rewired.out_degree(), network.out_degree())
    np.testing.assert_array_equal(rewired.in_degree(), network.in_degree())
    assert rewired.weights.diagonal().sum() == 0
    assert sorted(rewired.edges.weight) == sorted(network.edges.weight)


def test_rewiring_changes_most_edges_of_a_sparse_network():
    network = bounds.random(GENES, REGULATORS, 60, "x")
    assert len(set(named(network)) & set(named(bounds.rewired(network, "y")))) < 30


def test_correlation_is_numpys_and_ignores_constant_genes():
    generator = np.random.default_rng(3)
    cells = (generator.random((50, 30)) * (generator.random((50, 30)) < 0.5)).astype(np.float32)
    cells[:, 4] = 0
    found = bounds.correlation(GENES, REGULATORS, sp.csr_matrix(cells), 10_000).weights.toarray()
    with np.errstate(invalid="ignore"):
        expected = np.nan_to_num(np.corrcoef(cells.astype(float), rowvar=False))
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(found[REGULATORS], expected[REGULATORS], atol=1e-6)
    assert bounds.correlation(GENES, REGULATORS, sp.csr_matrix(cells), 12).n_edges == 12


def test_the_half_that_judges_shares_no_cell_with_the_half_that_predicts():
    truth = simulate(2, n_genes=30, n_regulators=8).truth
    for network, judge in bounds.held_out_half(truth, truth.n_edges):
        judge.check(network)
        assert 0 < network.n_edges <= truth.n_edges
        assert judge.controls.shape[0] == truth.controls.shape[0] // 2


def test_the_gold_bound_is_the_gold_standard():
    truth = simulate(2, n_genes=30, n_regulators=8).truth
    assert (bounds.gold(truth).weights != truth.gold.signs).nnz == 0


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    "id",
    [
        *("edge_wasserstein", "edge_wasserstein/top", "edge_wasserstein/standardised", "edge_precision"),
        *("false_omission", "effect_direction", "effect_auprc", "gold_auprc", "gold_early_precision"),
        *("gold_auroc", "gold_direction", "edge_percentile/precision", "edge_percentile/recall"),
    ],
)
def test_interventions_beat_correlation_which_beats_chance_and_the_duplicate_beats_chance(seed, id):
    """A hidden factor correlates genes without an edge: observation alone must not do as well."""
    world = simulate(seed)
    truth, metric = world.truth, NETWORK_METRICS[id]
    k = truth.n_edges
    draws = [
        metric(bounds.random(truth.genes, truth.regulators, k, str(draw)), truth)
        for draw in range(bounds.DRAWS)
    ]
    chance = metric.card.merit(np.mean([draw.value for draw in draws]))
    interventional = metric.card.merit(metric(mean_difference(world, k), truth).value)
    correlated = metric.card.merit(metric(observed_correlation(world, k), truth).value)
    duplicate = [metric.card.merit(metric(*pair).value) for pair in bounds.held_out_half(truth, k)]
    assert interventional > correlated > chance
    assert np.mean(duplicate) > chance


def test_permuting_the_genes_of_a_bound_permutes_its_edges():
    world = simulate(4, n_genes=30, n_regulators=8)
    order = np.random.default_rng(5).permutation(30)
    moved = world.truth.permuted(order)
    one = bounds.effects(world.truth, 30)
    assert named(permuted(one, order)) == pytest.approx(named(bounds.effects(moved, 30)))
