"""The published files, byte for byte, through the real loading path, against what is known of them."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pytest
from lanner import datasets
from lanner.config import Settings

pytestmark = pytest.mark.realdata

NAMES = (
    "kang18-pbmc",
    "mcfaline23-gbm",
    "norman19-k562",
    "norman19-pseudobulk",
    "papalexi21-thp1",
    "wessels23-carpool",
)


def load(name: str, settings: Settings) -> datasets.Dataset:
    return datasets.load(datasets.find_entry(settings, name), settings)


@pytest.mark.parametrize("name", NAMES)
def test_every_fact_known_of_the_dataset_holds(name: str, shared_settings: Settings) -> None:
    findings = datasets.check(load(name, shared_settings))
    assert [line for line in findings if line["level"] == "error" and not line["passed"]] == []


@pytest.mark.parametrize("name", NAMES)
def test_rows_labels_and_conditions_agree(name: str, shared_settings: Settings) -> None:
    data = load(name, shared_settings)
    assert data.X().shape == (len(data.obs), len(data.genes))
    assert data.obs.index.is_unique
    sizes = data.obs.groupby("condition").size()
    for condition in data.conditions:
        assert condition.n_cells == (1 if data.entry.kind == "profile" else sizes[condition.id])
    assert {condition.id for condition in data.conditions} == {
        i for i in sizes.index if not i.startswith("control|")
    }


def test_kang_sheds_what_was_computed_on_all_cells(shared_settings: Settings) -> None:
    data = load("kang18-pbmc", shared_settings)
    assert list(data.obs.columns) == ["perturbation", "cell_type", "condition", "context"]
    assert len(data.contexts) == 7 and len(data.conditions) == 7
    assert {path.name for path in data.folder.iterdir()} == {"dataset.json", "obs.parquet", "X"}


def test_papalexi_prepared_from_the_rda_equals_the_converted_file(shared_settings: Settings) -> None:
    name = "papalexi2021_eccite_thp1_299genes.h5ad"
    found = [folder / name for folder in shared_settings.mirrors if (folder / name).is_file()]
    if not found:
        pytest.skip(f"no mirror holds {name}")
    converted, data = anndata.read_h5ad(Path(found[0])), load("papalexi21-thp1", shared_settings)
    assert list(converted.var_names) == list(data.genes)
    assert list(converted.obs["perturbation"].astype(str)) == list(data.obs["perturbation"])
    assert list(converted.obs["bio_rep"].astype(str)) == list(data.obs["batch"])
    counts = data.counts()
    assert counts is not None
    assert (counts.block(0, len(data.obs)) != converted.layers["counts"]).nnz == 0


def test_norman_doubles_have_as_many_seen_singles_as_known(shared_settings: Settings) -> None:
    perturbations = {
        condition.perturbation for condition in load("norman19-k562", shared_settings).conditions
    }
    seen = [sum(part in perturbations for part in name.split("+")) for name in perturbations if "+" in name]
    assert np.bincount(seen).tolist() == [7, 3, 5]


def test_wessels_halves_are_on_the_scale_of_the_whole(shared_settings: Settings) -> None:
    data = load("wessels23-carpool", shared_settings)
    X = data.X().block(0, len(data.obs))
    rows = {
        name: X[
            (data.obs["replicate"] == name).to_numpy()
            & data.obs["perturbation"].str.contains("+", regex=False)
        ]
        for name in ("all", "half1", "half2")
    }
    assert {name: len(values) for name, values in rows.items()} == {"all": 158, "half1": 158, "half2": 158}
    assert np.abs((rows["half1"] + rows["half2"]) / 2 - rows["all"]).mean() < 0.005
    control = X[(data.obs["perturbation"] == "control").to_numpy()]
    pairs = zip(rows["half1"] - control, rows["half2"] - control, strict=True)
    assert np.median([np.corrcoef(*pair)[0, 1] for pair in pairs]) == pytest.approx(0.883, abs=0.001)


def test_norman_profiles_have_a_control_row_of_zeros(shared_settings: Settings) -> None:
    data = load("norman19-pseudobulk", shared_settings)
    control = np.flatnonzero((data.obs["perturbation"] == "control").to_numpy())
    assert len(control) == 1 and not data.X().block(control[0], control[0] + 1).any()
