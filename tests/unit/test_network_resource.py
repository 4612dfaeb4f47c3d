"""Networks as resources: exported from predictions, or controls that know nothing."""

from __future__ import annotations

import json
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from click.testing import CliRunner
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from lanner import network_resource, resources
from lanner.cli import lanner
from lanner.config import Settings
from lanner.errors import ConfigurationError, PredictionError
from lanner.h5ad.edges import read_edges

GENES = ["A", "B", "C", "D"]
FIELDS = {"title": "A toy", "licence": "MIT"}


def prediction(path: Path, weights: np.ndarray) -> Path:
    written = ad.AnnData(obs=pd.DataFrame(index=[]), var=pd.DataFrame(index=GENES))
    written.varp["network"] = sp.csr_matrix(weights.astype(np.float32))
    written.write_h5ad(path)
    return path


def invoke(settings: Settings, *arguments: object):
    return CliRunner().invoke(lanner, ["network", *map(str, arguments)], obj=settings)


@pytest.fixture
def predicted(tmp_path: Path) -> Path:
    weights = np.zeros((4, 4))
    weights[0, 1], weights[0, 2], weights[3, 1] = 0.5, -2, 0.5
    return prediction(tmp_path / "prediction.h5ad", weights)


def test_an_exported_network_is_a_resource_entry_of_the_strongest_edges(
    tmp_path: Path, settings: Settings, predicted: Path
) -> None:
    out = tmp_path / "mine"
    done = invoke(settings, "export", predicted, "--out", out, "--top", 2, "--json")
    assert done.exit_code == 0, done.output
    assert (out / "network.csv").read_text() == "regulator,target,weight\nA,C,-2\nA,B,0.5\n"
    resource = resources.load(out, settings)
    assert resource.file_name == "mine.network.csv"
    assert json.loads(done.stdout) == {"id": "mine", "edges": 2, "sha256": resource.sha256}
    assert resource.content(GENES) == (out / "network.csv").read_bytes()


def test_what_holds_no_network_is_refused_in_one_sentence(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "text.h5ad").write_text("edges")
    with pytest.raises(PredictionError, match="not an HDF5 file"):
        read_edges(tmp_path / "text.h5ad")
    ad.AnnData(np.zeros((1, 4), dtype=np.float32)).write_h5ad(tmp_path / "rows.h5ad")
    with pytest.raises(PredictionError, match="has no varp/network/data"):
        read_edges(tmp_path / "rows.h5ad")
    weights = np.full((4, 4), np.nan)
    with pytest.raises(PredictionError, match="no finite CSR matrix"):
        read_edges(prediction(tmp_path / "nan.h5ad", weights))
    done = invoke(settings, "export", "0123abcd", "--out", tmp_path / "none")
    assert isinstance(done.exception, ConfigurationError) and "no run starts with" in str(done.exception)


@pytest.mark.parametrize("name", ["exists", "Bad Name"])
def test_an_entry_never_replaces_a_folder_and_its_name_is_an_id(tmp_path: Path, name: str) -> None:
    (tmp_path / "exists").mkdir()
    with pytest.raises(ConfigurationError):
        network_resource.write_entry(tmp_path / name, network_resource.empty(), FIELDS)


def test_a_dense_network_has_every_pair_but_none_of_a_gene_with_itself() -> None:
    edges = network_resource.dense(GENES)
    assert len(edges) == 12 and not edges.duplicated().any() and (edges["regulator"] != edges["target"]).all()
    with pytest.raises(ConfigurationError, match="fewer genes"):
        network_resource.dense([f"G{i}" for i in range(2500)])


@examples(deadline=None, max_examples=25)
@given(st.sets(st.tuples(st.sampled_from(GENES), st.sampled_from(GENES)), min_size=1), st.integers(0, 99))
def test_a_random_network_keeps_every_regulators_number_of_targets(pairs, seed) -> None:
    pairs = {pair for pair in pairs if pair[0] != pair[1]} or {("A", "B")}
    network = pd.DataFrame(sorted(pairs), columns=["regulator", "target"]).assign(weight=range(len(pairs)))
    drawn = network_resource.randomised(network, GENES, seed)
    assert (drawn["regulator"] != drawn["target"]).all()
    assert not drawn.duplicated(["regulator", "target"]).any()
    pd.testing.assert_series_equal(
        drawn.groupby("regulator")["weight"].apply(sorted),
        network.groupby("regulator")["weight"].apply(sorted),
    )
    again = network_resource.randomised(network.iloc[::-1], GENES[::-1], seed)
    pd.testing.assert_frame_equal(
        again[["regulator", "target"]].reset_index(drop=True),
        drawn[["regulator", "target"]].reset_index(drop=True),
    )


def test_controls_are_made_for_the_genes_of_a_dataset(
    tmp_path: Path, shared_settings: Settings, predicted: Path
) -> None:
    for kind, edges in (("empty", 0), ("dense", 300 * 299)):
        done = invoke(shared_settings, "control", kind, "-d", "simulated", "--out", tmp_path / kind, "--json")
        assert json.loads(done.stdout)["edges"] == edges
    invoke(shared_settings, "export", predicted, "--out", tmp_path / "mine")
    like = ("--like", tmp_path / "mine", "--out", tmp_path / "random")
    done = invoke(shared_settings, "control", "random", "-d", "simulated", *like, "--json")
    assert json.loads(done.stdout)["edges"] == 3
    assert (
        invoke(shared_settings, "control", "random", "-d", "simulated", "--out", tmp_path / "r").exit_code
        == 2
    )
    assert resources.load(tmp_path / "empty", shared_settings).content(GENES) == b"regulator,target,weight\n"
