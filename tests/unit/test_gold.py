"""Known networks of datasets: read as signs of edges, refused where they are not what the entry says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_entries import document, source_of, toy, write_entry
from lanner import datasets, simulator
from lanner.config import Settings
from lanner.datasets import Dataset
from lanner.errors import ConfigurationError

GENES = ("KLF1", "MAP2K6", "HBZ", "GAPDH", "ACTB")
EDGES = "tf\tgene\tw\nKLF1\tHBZ\t0.5\nMAP2K6\tHBZ\t-2\nKLF1\tKLF1\t1\nKLF1\tACTB\t0\nKLF1\tNOWHERE\t1\n"
COLUMNS = {"regulator": "tf", "target": "gene", "weight": "w"}


def load(settings: Settings, tmp_path: Path, edges: str = EDGES, **changes: Any) -> Dataset:
    (tmp_path / "published").mkdir(exist_ok=True)
    cells, table = tmp_path / "published" / "cells.h5ad", tmp_path / "published" / "edges.tsv"
    toy().write_h5ad(cells)
    table.write_text(edges)
    network = {"name": "gold", "file": "edges.tsv", "columns": COLUMNS, "signed": True, "text": "A toy."}
    fields = document("toy", [source_of(cells), source_of(table)], prepare={}, networks=[network | changes])
    copy = "import shutil\ndef prepare(sources, parameters, output):\n"
    copy += "    shutil.copyfile(sources['cells.h5ad'], output)\n"
    return datasets.load(write_entry(settings, fields, copy), settings)


def test_a_table_of_edges_becomes_signs_over_the_measured_genes(settings: Settings, tmp_path: Path) -> None:
    data = load(settings, tmp_path)
    expected = np.zeros((5, 5), dtype=np.int8)
    expected[0, 2], expected[1, 2], expected[0, 0] = 1, -1, 1
    gold = data.gold()
    assert gold is not None and gold.dtype == np.int8
    np.testing.assert_array_equal(gold.toarray(), expected)
    np.testing.assert_array_equal(data.gold("gold").toarray(), expected)
    assert data.gold_facts() == {"edges": 3, "signed": True, "self_loops": 1, "unmeasured": 1}


def test_without_signs_every_edge_is_one(settings: Settings, tmp_path: Path) -> None:
    data = load(settings, tmp_path, signed=False)
    gold = data.gold()
    assert gold is not None and set(gold.data) == {1} and gold.nnz == 4
    assert data.gold_facts()["signed"] is False


def test_a_corrected_network_leaves_the_dataset_as_it_was(settings: Settings, tmp_path: Path) -> None:
    before = load(settings, tmp_path)
    after = load(settings, tmp_path, signed=False)
    assert (after.content, after.folder) == (before.content, before.folder)
    assert after.entry.networks_content != before.entry.networks_content
    assert before.gold().nnz == 3 and after.gold().nnz == 4


@pytest.mark.parametrize(
    ("edges", "changes", "message"),
    [
        ("tf\tgene\nKLF1\tHBZ\n", {}, "no column 'weight'"),
        ("tf\tgene\tw\nKLF1\tHBZ\tstrong\n", {}, "a weight that is no number"),
        ("tf\tgene\tw\nKLF1\tHBZ\t1\nKLF1\tHBZ\t2\n", {}, "the edge KLF1 -> HBZ twice"),
        ("tf\tgene\tw\nA\tB\t1\nB\tC\t2\n", {}, "none of its 2 edges joins measured genes"),
        (EDGES, {"file": "lost.tsv"}, "neither one of the sources nor a program"),
        (EDGES, {"name": "Gold Standard"}, "name"),
    ],
)
def test_a_network_that_is_not_what_the_entry_says_is_refused(
    settings: Settings, tmp_path: Path, edges: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load(settings, tmp_path, edges, **changes)


def test_a_name_that_no_network_has_is_an_error_and_no_network_is_none(
    settings: Settings, tmp_path: Path, simulated: Dataset
) -> None:
    with pytest.raises(ConfigurationError, match="network of dataset simulated"):
        simulated.gold("truht")
    (tmp_path / "published").mkdir()
    cells = tmp_path / "published" / "plain.h5ad"
    toy().write_h5ad(cells)
    plain = datasets.load(write_entry(settings, document("plain", [source_of(cells)])), settings)
    assert plain.gold() is None and plain.gold_facts() is None and plain.entry.networks_content == ""


def test_the_simulated_dataset_knows_the_network_it_was_made_of(simulated: Dataset) -> None:
    parameters = simulated.entry.prepare_parameters
    del parameters["simulator"]
    simulation = simulator.Simulation(**parameters)
    gold = simulated.gold()
    assert gold is not None and tuple(simulated.genes) == simulation.genes
    np.testing.assert_array_equal(gold.toarray(), np.sign(simulation.network.toarray()))
    regulators = gold.tocoo().row
    assert regulators.max() < simulation.n_regulators
