"""Networks: what is accepted, how edges are ordered, and what held-out cells show."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from lanner.errors import ConfigurationError
from lanner.networks import Network, NetworkTruth
from lanner.networks.effects import adjusted, atoms, mann_whitney, wasserstein
from lanner.networks.network import lottery
from lanner.networks.truth import theta_of
from networks import permuted, simulate
from scipy.stats import false_discovery_control, mannwhitneyu, wasserstein_distance

GENES = ("C", "A", "B", "D")


def network(edges, genes=GENES, regulators=(0, 1, 2)):
    source, target, weight = zip(*edges, strict=True) if edges else ((), (), ())
    return Network.from_edges(genes, regulators, tuple(np.array(part) for part in (source, target, weight)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"genes": ("A", "A", "B", "D")}, "not unique"),
        ({"regulators": [0, 4]}, "outside 0..3"),
        ({"weights": np.zeros((4, 3))}, r"must be \(4, 4\)"),
        ({"weights": np.full((4, 4), np.nan)}, "not finite"),
        ({"weights": np.eye(4)[::-1], "regulators": [0, 1, 2]}, "D has targets but is no candidate"),
    ],
)
def test_a_malformed_network_is_refused_with_what_is_wrong(change, words):
    given_ = {"genes": GENES, "regulators": [0, 1, 2, 3], "weights": np.zeros((4, 4)), **change}
    with pytest.raises(ConfigurationError, match=words):
        Network.checked(**given_)


def test_an_edge_given_twice_is_refused():
    with pytest.raises(ConfigurationError, match="twice"):
        network([(0, 1, 1.0), (0, 1, 2.0)])


def test_stored_zeros_are_no_edges():
    assert network([(0, 1, 0.0), (0, 2, -3.0)]).n_edges == 1


def test_edges_come_strongest_first_whatever_their_sign_and_ties_share_a_block():
    edges = network([(0, 1, 1.0), (0, 2, -3.0), (1, 2, -1.0), (2, 3, 2.0)]).edges
    assert np.abs(edges.weight).tolist() == [3, 2, 1, 1]
    assert edges.block.tolist() == [0, 1, 2, 2]


def test_degrees_count_targets_and_regulators():
    made = network([(0, 1, 1.0), (0, 2, -3.0), (1, 2, -1.0), (2, 2, 2.0)])
    assert made.out_degree().tolist() == [2, 1, 1, 0]
    assert made.in_degree().tolist() == [0, 1, 3, 0]
    assert made.without_loops().in_degree().tolist() == [0, 1, 2, 0]


@given(st.permutations(range(8)), st.integers(0, 20))
@settings(max_examples=25, deadline=None)
def test_a_cut_among_equals_is_the_same_whatever_the_order_of_the_genes(order, k):
    genes = tuple("HBCDEFGA")
    full = Network.checked(genes, range(8), np.ones((8, 8)) - np.eye(8))
    order = np.array(order)

    def named(cut):
        edges = cut.edges
        return {(cut.genes[a], cut.genes[b]) for a, b in zip(edges.source, edges.target, strict=True)}

    assert named(permuted(full, order).top(k)) == named(full.top(k))
    assert full.top(k).n_edges == k


def test_the_lottery_gives_no_two_pairs_one_number_and_favours_no_gene():
    genes = tuple(f"G{g}" for g in range(60))
    source, target = (part.ravel() for part in np.indices((60, 60)))
    numbers = lottery(genes, source, target)
    assert len(np.unique(numbers)) == 3600
    share = (numbers < 2**63).reshape(60, 60).mean(axis=1)
    assert abs(share.mean() - 0.5) < 0.03 and share.min() > 0.2 and share.max() < 0.8


def columns(draw, n):
    """Values with ties, zeros and negatives, as float32 holds them."""
    values = st.sampled_from([0.0, 0.0, -1.5, 0.25, 0.25, 1.0, 3.125, 2.7])
    return np.array(draw(st.lists(values, min_size=n, max_size=n)), dtype=np.float32)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_distances_and_rank_tests_are_scipys_for_any_ties_zeros_and_signs(data):
    n, m = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    control = np.stack([columns(data.draw, n) for _ in range(2)], axis=1)
    group = np.stack([columns(data.draw, m) for _ in range(2)], axis=1)
    a, b = atoms(sp.csr_matrix(control)), atoms(sp.csr_matrix(group))
    x, y = control.astype(float), group.astype(float)
    expected = [wasserstein_distance(x[:, g], y[:, g]) for g in range(2)]
    np.testing.assert_allclose(wasserstein(a, b), expected, atol=1e-12)
    p, shift = mann_whitney(a, b)
    tests = [mannwhitneyu(y[:, g], x[:, g], method="asymptotic") for g in range(2)]
    constant = [len(np.unique(np.concatenate([x[:, g], y[:, g]]))) == 1 for g in range(2)]
    wanted = [1.0 if flat else test.pvalue for flat, test in zip(constant, tests, strict=True)]
    np.testing.assert_allclose(p, wanted, rtol=1e-9)
    np.testing.assert_allclose(shift, [2 * test.statistic / (n * m) - 1 for test in tests], atol=1e-12)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_adjusted_p_is_benjamini_and_hochbergs(p):
    np.testing.assert_allclose(adjusted(np.array(p)), false_discovery_control(p), atol=1e-12)


def test_the_halves_of_a_truth_share_no_cell_and_leave_none_out():
    truth = simulate(1, n_genes=30).truth
    first, second = truth.halves()
    for gene, cells in truth.interventions.items():
        rows = np.concatenate([part.interventions[gene].toarray() for part in (first, second)])
        assert sorted(map(tuple, rows.tolist())) == sorted(map(tuple, cells.toarray().tolist()))
    again, _ = truth.halves()
    assert (again.controls != first.controls).nnz == 0
    assert (truth.halves(1)[0].controls != first.controls).nnz > 0


def test_theta_is_a_quantile_of_the_degrees_in_reference_networks():
    networks = [network([(0, 3, 1.0)]), network([(0, 3, 1.0), (1, 3, 1.0), (2, 3, 1.0), (2, 2, 1.0)])]
    theta = theta_of(networks)
    assert theta.regulators_precision.tolist() == [0, 0, 0, 2]
    assert theta.regulators_recall.tolist() == [0, 0, 0, 2]
    assert theta_of([networks[1]]).regulators_precision.tolist() == [0, 0, 0, 3]
    with pytest.raises(ConfigurationError, match="at least one"):
        theta_of([])


def test_a_truth_refuses_cells_of_other_genes_and_unknown_interventions():
    cells = sp.csr_matrix((12, 4), dtype=np.float32)
    base = {"genes": GENES, "regulators": np.arange(3), "controls": cells, "interventions": {}}
    for change, words in (
        ({"interventions": {"A": cells[:, :3]}}, "have not 4 genes"),
        ({"interventions": {"Z": cells}}, "Z was intervened on but is no gene"),
        ({"direction": 0}, "direction is 0"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            NetworkTruth(**{**base, **change})
