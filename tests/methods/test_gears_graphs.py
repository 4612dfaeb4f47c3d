"""The graphs of gears: of granted resources, of co-expression, at the thresholds of the package."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from lanner.config import bundled_root


@pytest.fixture(scope="module")
def graphs():
    path = bundled_root() / "method_containers" / "gears" / "graphs.py"
    spec = importlib.util.spec_from_file_location("gears_graphs", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def edges(table):
    return {(row.source, row.target): row.importance for row in table.itertuples()}


def test_genes_that_correlate_either_way_above_0_4_are_linked_both_ways(graphs):
    generator = np.random.default_rng(0)
    first, other = generator.normal(size=(2, 400))
    X = np.stack([first, -first + 0.1 * other, other, np.ones(400)], axis=1)
    found = edges(graphs.coexpression(X, ["A", "B", "C", "flat"]))
    assert set(found) == {("A", "B"), ("B", "A")}
    assert found["A", "B"] == pytest.approx(abs(np.corrcoef(X[:, 0], X[:, 1])[0, 1]))


def test_a_gene_keeps_its_20_strongest_neighbours(graphs):
    generator = np.random.default_rng(1)
    X = generator.normal(size=(300, 1)) + generator.normal(size=(300, 30)) * np.linspace(0.1, 0.6, 30)
    table = graphs.coexpression(X, [f"G{index}" for index in range(30)])
    assert set(table.groupby("target").size()) == {20}
    correlation = np.abs(np.corrcoef(X.T)[29])
    kept = {int(name[1:]) for name in table["source"][table["target"] == "G29"]}
    assert kept == set(np.argsort(-correlation)[1:21])


def test_gene_sets_link_genes_by_the_jaccard_overlap_of_their_sets(graphs, tmp_path):
    lines = ["one\t-\tA\tB\tZ", "two\t-\tA\tB", "three\t-\tA\tC", "four\t-\tD"]
    (tmp_path / "go.gene-sets.gmt").write_text("\n".join(lines) + "\n")
    found = edges(graphs.of_resources(tmp_path, {"A", "B", "C", "D"}))
    assert found == {
        ("A", "B"): pytest.approx(2 / 3),
        ("B", "A"): pytest.approx(2 / 3),
        ("A", "C"): pytest.approx(1 / 3),
        ("C", "A"): pytest.approx(1 / 3),
    }


def test_a_network_is_taken_with_the_size_of_its_weights_and_without_loops(graphs, tmp_path):
    text = "regulator,target,weight\nA,B,-0.5\nB,A,0.2\nA,A,1\nA,outside,1\n"
    (tmp_path / "n.network.csv").write_text(text)
    found = edges(graphs.of_resources(tmp_path, {"A", "B"}))
    assert found == {("A", "B"): 0.5, ("B", "A"): 0.5}


def test_without_a_resource_there_is_no_granted_graph_and_loops_keep_any_graph_from_being_empty(
    graphs, tmp_path
):
    assert graphs.of_resources(tmp_path, {"A"}) is None
    (tmp_path / "n.network.csv").write_text("regulator,target\nX,Y\n")
    empty = graphs.of_resources(tmp_path, {"A"})
    assert len(empty) == 0
    assert edges(graphs.with_loops(empty, ["A", "B"])) == {("A", "A"): 1.0, ("B", "B"): 1.0}
