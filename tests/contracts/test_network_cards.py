"""One contract for every registered network metric: its card is complete and its function keeps it."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
import scipy.sparse as sp
from lanner.errors import ConfigurationError
from lanner.networks import NETWORK_METRICS, SCORED, UNDEFINED, UNSCORABLE, Network, bounds
from lanner.registry import NAME
from networks import mean_difference, permuted, simulate

EVERY = pytest.mark.parametrize("id", list(NETWORK_METRICS))
OWN = [id for id in NETWORK_METRICS if not NETWORK_METRICS[id].card.peer]
EVERY_OWN = pytest.mark.parametrize("id", OWN)
RANGES = {
    **dict.fromkeys(
        ("edge_precision", "edge_precision/unseen", "effect_direction", "gold_direction"), (0, 1)
    ),
    **dict.fromkeys(("effect_direction/unseen", "false_omission", "false_omission/unseen"), (0, 1)),
    **dict.fromkeys(("gold_auprc", "effect_auprc", "gold_auroc", "effect_auroc"), (0, 1)),
    **dict.fromkeys(("gold_early_precision", "false_omission/unreachable"), (0, 1)),
    **dict.fromkeys(("edge_percentile/precision", "edge_percentile/recall"), (0, 1)),
    **dict.fromkeys(("regression_precision", "regression_recall"), (-1, 1)),
    "gold_auprc/normalised": (-1, 1),
}


@pytest.fixture(scope="module")
def world():
    return simulate(3, n_genes=56)


@pytest.fixture(scope="module")
def network(world):
    return mean_difference(world, 60)


def empty(truth):
    return bounds.empty(truth.genes, truth.regulators)


@EVERY
def test_a_card_states_everything(id):
    card = NETWORK_METRICS[id].card
    assert NAME.fullmatch(card.id) and card.id == id
    assert card.summary.endswith(".") and len(card.summary) <= 110
    assert card.unit in {"regulator", "target"}
    assert card.pooling in {"mean", "ratio of sums", "recomputed", "sum"}
    assert card.requires_truth in {"interventions", "samples", "gold"}
    assert card.better in {"higher", "lower", "neither"}
    assert card.chance is None or card.chance == "truth" or isinstance(card.chance, float)
    assert re.match(r"doi:10\.\d{4,9}/\S+$|https://", card.citation)
    assert all((card.title, card.family, card.estimator, card.undefined, card.self_loops, card.unmeasured))
    assert bool(card.peer) == bool(card.peer_version) == (card.faults != "none") == ("peer" in kind(id))


def kind(id):
    return "peer" if id.partition("/")[0] in {"causalbench", "genernib"} else "own"


@EVERY
def test_a_card_is_frozen_and_its_hash_covers_every_field(id):
    card = NETWORK_METRICS[id].card
    with pytest.raises(dataclasses.FrozenInstanceError):
        card.version = 2
    assert dataclasses.replace(card, missing="otherwise").sha256 != card.sha256


def test_no_two_cards_are_equal():
    assert len({NETWORK_METRICS[id].card.sha256 for id in NETWORK_METRICS}) == len(NETWORK_METRICS)


@EVERY
def test_a_number_is_pooled_from_its_units_and_says_its_chance(id, world, network):
    metric = NETWORK_METRICS[id]
    answer = metric(network, world.truth)
    assert answer.status == SCORED and np.isfinite(answer.value) and not answer.reason
    assert len(answer.units) == len(answer.values) == len(answer.weights) > 0
    assert list(answer.units) == sorted(answer.units)
    assert answer.pooled(np.ones(len(answer.units))) == pytest.approx(answer.value, rel=1e-12)
    assert (answer.chance is not None) == (metric.card.chance is not None)
    if isinstance(metric.card.chance, float):
        assert answer.chance == metric.card.chance


@EVERY
def test_doubling_every_unit_changes_no_average(id, world, network):
    metric = NETWORK_METRICS[id]
    answer = metric(network, world.truth)
    doubled = answer.pooled(np.full(len(answer.units), 2.0))
    expected = 2 * answer.value if metric.card.pooling == "sum" else answer.value
    rel = 0.05 if "auprc" in id else 1e-9  # copies of one pair are ties, which average precision averages
    assert doubled == pytest.approx(expected, rel=rel)


@EVERY
def test_the_same_network_gives_the_same_bits_twice(id, world, network):
    first, second = (NETWORK_METRICS[id](network, world.truth) for _ in range(2))
    assert first.value == second.value
    np.testing.assert_array_equal(first.values, second.values)


@EVERY_OWN
def test_the_order_of_genes_changes_nothing(id, world, network):
    order = np.random.default_rng(9).permutation(len(world.truth.genes))
    one = NETWORK_METRICS[id](network, world.truth)
    other = NETWORK_METRICS[id](permuted(network, order), world.truth.permuted(order))
    assert one.units == other.units
    np.testing.assert_allclose(one.values, other.values, rtol=1e-9, atol=1e-12)
    assert one.value == pytest.approx(other.value, rel=1e-9)


@EVERY_OWN
def test_an_empty_network_is_undefined_and_not_zero(id, world):
    answer = NETWORK_METRICS[id](empty(world.truth), world.truth)
    assert answer.status == UNDEFINED and np.isnan(answer.value) and answer.reason


@EVERY_OWN
def test_self_loops_change_nothing(id, world, network):
    assert NETWORK_METRICS[id].card.self_loops == "dropped"
    loops = sp.csr_matrix(network.weights)
    loops.setdiag(np.where(np.arange(len(network.genes)) < len(network.regulators), 99.0, 0.0))
    with_loops = Network.checked(network.genes, network.regulators, loops)
    assert with_loops.n_edges > network.n_edges
    one, other = (NETWORK_METRICS[id](each, world.truth) for each in (network, with_loops))
    assert one.value == pytest.approx(other.value, rel=1e-12)


@EVERY_OWN
def test_scaling_all_weights_changes_nothing(id, world, network):
    scaled = Network.checked(network.genes, network.regulators, network.weights * np.float32(4))
    one, other = (NETWORK_METRICS[id](each, world.truth) for each in (network, scaled))
    assert one.value == other.value


@EVERY
def test_a_truth_without_what_a_card_needs_is_unscorable_for_everyone(id, world, network):
    bare = dataclasses.replace(
        world.truth, interventions={}, samples=None, theta=None, gold=None, train_sd=None, n_edges=0
    )
    answer = NETWORK_METRICS[id](network, bare)
    assert answer.status == UNSCORABLE and np.isnan(answer.value) and answer.reason
    assert NETWORK_METRICS[id](empty(bare), bare).status == UNSCORABLE


@EVERY
def test_a_network_over_other_genes_is_refused(id, world, network):
    other = dataclasses.replace(network, genes=network.genes[::-1])
    with pytest.raises(ConfigurationError, match="in their order"):
        NETWORK_METRICS[id](other, world.truth)


@pytest.mark.parametrize("id", sorted(RANGES))
@pytest.mark.parametrize("seed", range(4))
def test_values_stay_in_their_range(id, seed, world):
    truth = world.truth
    answer = NETWORK_METRICS[id](
        bounds.random(truth.genes, truth.regulators, 30 + 40 * seed, str(seed)), truth
    )
    low, high = RANGES[id]
    assert low <= answer.value <= high
    known = answer.values[~np.isnan(answer.values)]
    assert (known >= low - 1e-12).all() and (known <= high + 1e-12).all()


@pytest.mark.parametrize("id", [id for id in OWN if NETWORK_METRICS[id].card.requires_truth == "gold"])
def test_the_gold_standard_itself_gets_the_best_value(id, world):
    best = NETWORK_METRICS[id].card.best
    value = NETWORK_METRICS[id](bounds.gold(world.truth), world.truth).value
    if id == "gold_early_precision/ratio":
        share = NETWORK_METRICS["gold_early_precision"](bounds.gold(world.truth), world.truth).chance
        best = 1 / share
    assert value == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize(
    "id",
    [id for id in OWN if NETWORK_METRICS[id].card.chance is not None],
)
def test_random_networks_get_the_chance_value_on_average(id, world):
    truth = world.truth
    answers = [
        NETWORK_METRICS[id](bounds.random(truth.genes, truth.regulators, 60, f"chance {draw}"), truth)
        for draw in range(60)
    ]
    values = np.array([answer.value for answer in answers])
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert abs(values.mean() - answers[0].chance) < 4 * error


@pytest.mark.parametrize(
    "id",
    [
        *("edge_wasserstein", "edge_wasserstein/top", "edge_wasserstein/standardised", "edge_precision"),
        *("gold_auprc", "gold_auprc/normalised", "gold_auroc", "gold_early_precision", "effect_auroc"),
        *("gold_early_precision/ratio", "effect_auprc", "edge_percentile/precision"),
    ],
)
def test_the_full_constant_network_gets_exactly_the_chance_value(id, world):
    truth = world.truth
    answer = NETWORK_METRICS[id](bounds.full(truth.genes, truth.regulators, 10**6), truth)
    assert answer.value == pytest.approx(answer.chance, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("id", ["edge_wasserstein/top", "gold_auprc", "gold_early_precision", "gold_auroc"])
def test_a_tied_network_gets_the_mean_of_its_random_orders(id, world, network):
    truth, metric = world.truth, NETWORK_METRICS[id]
    truth = dataclasses.replace(truth, n_edges=20)
    tied = Network.checked(network.genes, network.regulators, np.sign(network.weights.toarray()))
    generator, broken = np.random.default_rng(4), []
    for _ in range(300):
        weights = tied.weights.copy()
        weights.data = weights.data + generator.uniform(-0.4, 0.4, weights.nnz).astype(np.float32)
        broken.append(metric(Network.checked(network.genes, network.regulators, weights), truth).value)
    error = np.std(broken, ddof=1) / np.sqrt(len(broken))
    assert abs(metric(tied, truth).value - np.mean(broken)) < 4 * error + 1e-12
