"""Network metrics against CausalBench's own numbers and against slow formulas."""

from __future__ import annotations

import numpy as np
import pytest
from lanner.networks import NETWORK_METRICS
from lanner.networks.bounds import random

from benchmarks.peers import answers, environments, network_agreement, network_data
from tests.golden.formulas import networks as slow
from tests.networks import mean_difference, observed_correlation, simulate

DOCUMENTS = {path.stem: answers.read(path) for path in network_agreement.FOLDER.glob("*.json")}
CASES = [f"{peer}/{name}" for peer, document in DOCUMENTS.items() for name in document["values"]]


@pytest.fixture(scope="module")
def small():
    return network_agreement.small_truth()


@pytest.fixture(scope="module")
def world():
    return simulate(5, n_genes=30, n_regulators=8, n_cells=25)


@pytest.fixture(scope="module", params=["interventional", "correlation", "random"])
def network(request, world):
    truth = world.truth
    if request.param == "random":
        return random(truth.genes, truth.regulators, 100, "slow")
    make = mean_difference if request.param == "interventional" else observed_correlation
    return make(world, 70)


def test_causalbench_saw_the_data_this_test_generates():
    assert set(DOCUMENTS) == set(environments.NETWORK_PEERS)
    assert DOCUMENTS["causalbench"]["data"]["sha256"] == network_data.small_networks().sha256


@pytest.mark.parametrize("id", CASES)
def test_a_compatibility_metric_gives_causalbenchs_own_number(small, id):
    peer, _, name = id.partition("/")
    found = network_agreement.compare(small, id, DOCUMENTS[peer]["values"][name])
    assert found.agrees, found


def test_every_card_of_causalbench_has_golden_numbers():
    assert {id for id in NETWORK_METRICS if id.startswith("causalbench/")} == set(CASES)


def test_mean_distance_precision_and_omissions_are_those_of_slow_loops(network, world):
    truth = world.truth
    edges, of_pair = slow.edges(network), slow.distances(truth)
    real = slow.significant(truth)
    pairs = [(a, b) for a, b in of_pair if a != b]
    apart = [pair for pair in pairs if pair not in edges]
    right = [0.5 * (1 + np.sign(edges.get(pair, 0)) * sign) for pair, sign in real.items()]
    expected = {
        "edge_wasserstein": np.mean([of_pair[pair] for pair in edges]),
        "edge_precision": np.mean([pair in real for pair in edges]),
        "false_omission": np.mean([pair in real for pair in apart]),
        "effect_direction": np.mean(right),
    }
    for name, value in expected.items():
        assert NETWORK_METRICS[name](network, truth).value == pytest.approx(value, rel=1e-9), name
    chance = NETWORK_METRICS["edge_wasserstein"](network, truth).chance
    assert chance == pytest.approx(np.mean([of_pair[pair] for pair in pairs]), rel=1e-9)


def test_standardised_distance_divides_by_the_spread_of_train_controls(network, world):
    truth, of_pair = world.truth, slow.distances(world.truth)
    expected = np.mean([of_pair[a, b] / truth.train_sd[b] for a, b in slow.edges(network)])
    found = NETWORK_METRICS["edge_wasserstein/standardised"](network, truth)
    assert found.value == pytest.approx(expected, rel=1e-9)


def test_regression_is_scikit_learns_ridge_gene_by_gene(network, world):
    truth = world.truth
    for name, numbers in (
        ("regression_precision", truth.theta.regulators_precision),
        ("regression_recall", truth.theta.regulators_recall),
    ):
        found = NETWORK_METRICS[name](network, truth)
        expected = slow.explained(network, truth, numbers)
        ours = dict(zip(found.units, found.values, strict=True))
        assert ours == pytest.approx(expected, rel=1e-8, abs=1e-10)
        assert found.value == pytest.approx(np.mean(list(expected.values())), rel=1e-8)


def test_genernibs_regression_is_met_draw_by_draw(network, world):
    found = [
        NETWORK_METRICS[f"genernib/r_{name}"](network, world.truth).value for name in ("precision", "recall")
    ]
    assert found == pytest.approx(slow.genernib_regression(network, world.truth), rel=1e-9)


def test_genernibs_distances_are_met_draw_by_draw(network, world):
    found = [
        NETWORK_METRICS[f"genernib/ws_{name}"](network, world.truth).value for name in ("precision", "recall")
    ]
    assert found == pytest.approx(slow.genernib_distances(network, world.truth), rel=1e-12)


def test_percentiles_fill_missing_edges_with_one_half(network, world):
    truth, of_pair, edges = world.truth, slow.distances(world.truth), slow.edges(network)
    total, number = 0.0, 0
    for r in truth.intervened:
        k = min(int(truth.theta.targets_recall[r]), len(truth.genes) - 1)
        others = [g for g in range(len(truth.genes)) if g != r]
        mine = sorted((b for a, b in edges if a == r), key=lambda b: -abs(edges[r, b]))[:k]
        for target in mine:
            below = [of_pair[r, g] < of_pair[r, target] for g in others]
            equal = [of_pair[r, g] == of_pair[r, target] for g in others]
            total += np.mean(below) + np.mean(equal) / 2
        total += 0.5 * (k - len(mine))
        number += k
    found = NETWORK_METRICS["edge_percentile/recall"](network, truth)
    assert found.value == pytest.approx(total / number, rel=1e-9)


def test_genernibs_own_code_gave_these_numbers_on_this_world(world):
    """Run once by hand: main() of both helpers at commit 31b5252, ridge, on mean_difference(world, 70)."""
    theirs = {
        "genernib/r_precision": 0.15279266882995385,
        "genernib/r_recall": 0.1802035104530023,
        "genernib/ws_precision": 0.630904761904762,
        "genernib/ws_recall": 0.5939,
    }
    network = mean_difference(world, 70)
    ours = {name: NETWORK_METRICS[name](network, world.truth).value for name in theirs}
    assert ours == pytest.approx(theirs, rel=1e-9)
