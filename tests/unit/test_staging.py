"""What a method sees, and above all what it does not."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp
import yaml
from lanner import datasets, sealing, sides, splits, staging
from lanner.config import Settings
from lanner.datasets import Dataset
from lanner.errors import InfrastructureError
from lanner.records import Limits, Split
from lanner.tasks import TASKS

TASK = TASKS["perturbation-response"]


def stage(dataset: Dataset, split: Split, home: Path, folder: Path, **options: Any) -> staging.Staged:
    sealed = sealing.seal(dataset, split, TASK.id, home)
    staged = staging.stage_shared(dataset, split, TASK, sealed, home)
    chosen = {"seed": 7, "parameters": {}, "limits": Limits(), **options}
    staging.stage(staged, split, TASK, folder, **chosen)
    return staged


def test_train_holds_exactly_the_train_conditions_and_controls_a(
    simulated: Dataset, shared_home: Path, tmp_path: Path
) -> None:
    for split in splits.resolve(simulated, None):
        folder = tmp_path / split.sha256[:8]
        stage(simulated, split, shared_home, folder)
        train = ad.read_h5ad(folder / "train.h5ad")
        seen = set(train.obs["perturbation"].astype(str) + "|" + train.obs["cell_type"].astype(str))
        controls = {name for name in seen if name.startswith("control|")}
        assert seen - controls == set(split.train)
        halves = sides.control_halves(simulated, split)
        assert (train.obs["perturbation"] == "control").sum() == sum(len(a) for a, _ in halves.values())
        assert list(train.var_names) == list(simulated.genes)


def test_staged_values_are_those_of_the_dataset(
    simulated: Dataset, shared_home: Path, tmp_path: Path
) -> None:
    split = splits.resolve(simulated, "unseen-combination")[0]
    stage(simulated, split, shared_home, tmp_path / "input")
    train = ad.read_h5ad(tmp_path / "input" / "train.h5ad")
    rows = sides.train_rows(simulated, split, sides.control_halves(simulated, split))
    assert abs(train.X - simulated.X().rows(rows)).max() == 0
    counts = simulated.counts()
    assert counts is not None
    assert abs(train.layers["counts"] - counts.rows(rows)).max() == 0


def test_only_allowed_elements_are_staged(simulated: Dataset, shared_home: Path, tmp_path: Path) -> None:
    split = splits.resolve(simulated, "unseen-perturbation")[0]
    stage(simulated, split, shared_home, tmp_path / "input")
    train = ad.read_h5ad(tmp_path / "input" / "train.h5ad")
    assert set(train.obs.columns) == {"perturbation", "cell_type", "batch"}
    assert not (set(train.uns) | set(train.obsm) | set(train.varm) | set(train.obsp) | set(train.varp))
    assert list(train.var.columns) == []
    assert not set(train.obs_names) & set(simulated.obs.index)


def test_requests_and_task_state_the_contract(simulated: Dataset, shared_home: Path, tmp_path: Path) -> None:
    split = splits.resolve(simulated, "unseen-combination")[0]
    stage(simulated, split, shared_home, tmp_path / "input", parameters={"a": 1})
    with (tmp_path / "input" / "requests.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [f"{row['perturbation']}|{row['cell_type']}" for row in rows] == list(split.test)
    assert all(row["targets"] == row["perturbation"] for row in rows)
    task = json.loads((tmp_path / "input" / "task.json").read_text())
    assert (task["protocol"], task["seed"], task["parameters"]) == (1, 7, {"a": 1})
    assert {int(row["n_cells"]) for row in rows} == {task["n_cells"]} == {TASK.n_cells}


def test_input_files_are_read_only_and_folders_open_to_another_user(
    simulated: Dataset, shared_home: Path, tmp_path: Path
) -> None:
    split = splits.resolve(simulated, "unseen-combination")[0]
    stage(simulated, split, shared_home, tmp_path / "input")
    assert {oct(path.stat().st_mode & 0o777) for path in (tmp_path / "input").iterdir()} == {"0o444"}
    assert (tmp_path / "input").stat().st_mode & 0o777 == 0o755


def test_staging_twice_gives_the_same_bytes(simulated: Dataset, tmp_path: Path) -> None:
    split = splits.resolve(simulated, "unseen-context")[0]
    for name in ("one", "two"):
        stage(simulated, split, tmp_path / f"home-{name}", tmp_path / name)
    for file in ("train.h5ad", "requests.csv", "task.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_an_existing_folder_is_never_written_into(
    simulated: Dataset, shared_home: Path, tmp_path: Path
) -> None:
    split = splits.resolve(simulated, "unseen-context")[0]
    (tmp_path / "input").mkdir()
    with pytest.raises(InfrastructureError, match="already exists"):
        stage(simulated, split, shared_home, tmp_path / "input")
    assert list((tmp_path / "input").iterdir()) == []


# The canary: truth planted in every place of a source file where it could hide.
CANARY = "CANARYTRUTH"
CANARY_VALUE = np.float32(3.1415927)
CANARY_COUNT = np.float32(31415)


@pytest.fixture
def canary(tmp_path: Path) -> tuple[Dataset, Settings]:
    """A dataset whose held-out condition is marked in X, counts, labels, names, uns, obsm, obsp ..."""
    generator = np.random.default_rng(0)
    perturbations = ["control"] * 60 + ["G1"] * 30 + ["G2"] * 30 + [f"{CANARY}X"] * 30
    n, genes = len(perturbations), [f"G{i}" for i in range(12)]
    X = generator.uniform(0.1, 2, (n, len(genes))).astype(np.float32)
    held_out = np.array([CANARY in p for p in perturbations])
    X[held_out] = CANARY_VALUE
    adata = ad.AnnData(
        X=sp.csr_matrix(X),
        layers={"counts": sp.csr_matrix(np.where(held_out[:, None], CANARY_COUNT, np.ones_like(X)))},
    )
    adata.obs_names = [f"{CANARY}{i}" if held_out[i] else f"cell{i}" for i in range(n)]
    adata.var_names = genes
    adata.obs["gene"] = np.array(perturbations)
    adata.obs["cell_type"] = "line"
    adata.obs[CANARY] = CANARY
    adata.obs = adata.obs.astype("category")
    adata.var[CANARY] = CANARY_VALUE
    adata.uns[CANARY] = {"de": np.full(5, CANARY_VALUE), "note": CANARY}
    adata.obsm["X_pca"] = np.full((n, 2), CANARY_VALUE)
    adata.varm["PCs"] = np.full((len(genes), 2), CANARY_VALUE)
    adata.obsp["connectivities"] = sp.csr_matrix(np.full((n, n), CANARY_VALUE))
    adata.raw = adata.copy()
    source = tmp_path / "canary.h5ad"
    adata.write_h5ad(source)
    import hashlib

    document = {
        "id": "canary",
        "version": 1,
        "title": "Canary",
        "organism": "human",
        "assay": "none",
        "perturbation_kind": "CRISPRko",
        "kind": "cells",
        "scale": "log1p-normalised",
        "licence": "MIT",
        "citation": {"text": "None.", "accession": "none"},
        "sources": [
            {
                "name": "canary.h5ad",
                "urls": [source.as_uri()],
                "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
                "bytes": source.stat().st_size,
                "licence": "MIT",
            }
        ],
        "obs": {
            "perturbation": "gene",
            "control": ["control"],
            "context": ["cell_type"],
            "targets": "perturbation",
        },
        "counts_layer": "counts",
        "genes": {"identifier": "symbol"},
        "splits": [{"id": "unseen-perturbation", "parameters": {"fraction": 0.3}}],
    }
    folder = tmp_path / "registry" / "datasets_registry" / "canary"
    folder.mkdir(parents=True)
    (folder / "dataset.yaml").write_text(yaml.safe_dump(document))
    settings = Settings(home=tmp_path / "home", registry=tmp_path / "registry")
    return datasets.load(datasets.find_entry(settings, "canary"), settings), settings


def test_no_planted_truth_reaches_the_staged_bytes(canary: tuple[Dataset, Settings], tmp_path: Path) -> None:
    dataset, settings = canary
    test = tuple(name for name in (c.id for c in dataset.conditions) if CANARY in name)
    train = tuple(c.id for c in dataset.conditions if c.id not in test)
    base = splits.resolve(dataset, "unseen-perturbation")[0]
    split = Split(
        id="unseen-perturbation",
        design=base.design,
        dataset=base.dataset,
        train=train,
        valid=(),
        test=test,
        controls=base.controls,
    )
    stage(dataset, split, settings.home, tmp_path / "input")
    for path in sorted((tmp_path / "input").rglob("*")):
        data = path.read_bytes()
        if path.name != "requests.csv":  # which names what is asked for
            assert CANARY.encode() not in data, f"{path.name} names what is held out"
        for dtype in ("<f4", ">f4", "<f8", ">f8"):
            for value in (CANARY_VALUE, CANARY_COUNT):
                assert np.array(value, dtype).tobytes() not in data, f"{path.name} holds held-out values"
    sealed = settings.home / "truth" / split.sha256
    assert np.array(CANARY_VALUE, "<f4").tobytes() in (sealed / "cells" / "data.npy").read_bytes()
    assert oct(sealed.parent.stat().st_mode & 0o777) == "0o700"
