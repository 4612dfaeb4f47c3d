"""References fitted on train cells against slow means over the same cells."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from boards import TASK, prepared, registry
from lanner import datasets
from lanner.config import Settings
from lanner.datasets import Dataset
from lanner.errors import InfrastructureError
from lanner.records import Split
from lanner.sealing import TRAIN_CELLS, seal
from lanner.truth import Truth


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("references")
    return Settings(home=folder / "home", registry=registry(folder / "registry"))


@pytest.fixture(scope="module")
def tiny(settings: Settings) -> Dataset:
    return datasets.load(datasets.find_entry(settings, "tiny"), settings)


@pytest.fixture(scope="module")
def split(settings: Settings, tiny: Dataset) -> Split:
    """All singles are in train, doubles are held out."""
    return prepared(settings)[0]


@pytest.fixture(scope="module")
def sealed(settings: Settings, tiny: Dataset, split: Split) -> Truth:
    return seal(tiny, split, TASK.id, settings.home)


def cells_of(dataset: Dataset, names: Any) -> np.ndarray[Any, Any]:
    rows = np.flatnonzero(dataset.obs["condition"].isin(names).to_numpy())
    return dataset.X().rows(rows).toarray().astype(np.float64)


def train_of(dataset: Dataset, split: Split, context: str) -> list[str]:
    by_id = {condition.id: condition for condition in dataset.conditions}
    return [name for name in split.train if by_id[name].context_id == context]


def test_others_are_the_train_cells_of_the_context_without_the_own_perturbation(
    tiny: Dataset, split: Split, sealed: Truth
) -> None:
    for i, request in enumerate(sealed.requests):
        names = train_of(tiny, split, request.condition.context_id)
        cells = cells_of(tiny, names)
        found = sealed.others(i)
        assert found is not None
        np.testing.assert_allclose(found[0], cells.mean(axis=0), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(found[1], cells.var(axis=0, ddof=1), rtol=1e-9, atol=1e-12)


def test_another_dose_of_the_own_perturbation_is_not_among_the_others(
    tiny: Dataset, split: Split, settings: Settings, tmp_path: Path
) -> None:
    """Half of a train condition's cells are relabelled as a dose of it, and held out."""
    import copy

    context = tiny.contexts[0]
    name = train_of(tiny, split, context)[0]
    condition = next(item for item in tiny.conditions if item.id == name)
    dosed = replace(condition, dose="2")
    other = copy.copy(tiny)
    other.obs = tiny.obs.copy()
    rows = np.flatnonzero((tiny.obs["condition"] == name).to_numpy())[::2]
    labels = other.obs["condition"].astype(str).to_numpy()
    labels[rows] = dosed.id
    other.obs["condition"] = labels
    other.conditions = (*tiny.conditions, dosed)
    opened = seal(other, replace(split, test=(dosed.id,)), TASK.id, tmp_path)
    cells = cells_of(other, [item for item in train_of(tiny, split, context) if item != name])
    found = opened.others(0)
    assert found is not None
    np.testing.assert_allclose(found[0], cells.mean(axis=0), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found[1], cells.var(axis=0, ddof=1), rtol=1e-9, atol=1e-12)


def test_fewer_than_five_other_perturbations_are_none(tiny: Dataset, split: Split, tmp_path: Path) -> None:
    few = tuple(name for context in tiny.contexts for name in train_of(tiny, split, context)[:4])
    opened = seal(tiny, replace(split, train=tuple(sorted(few))), TASK.id, tmp_path)
    assert all(opened.others(i) is None for i in range(len(opened.requests)))


def test_doubles_have_the_sum_of_their_train_singles_and_the_variance_of_its_means(
    tiny: Dataset, split: Split, sealed: Truth
) -> None:
    known = 0
    for i, request in enumerate(sealed.requests):
        names = [f"{target}|{request.condition.context_id}" for target in request.condition.targets]
        found = sealed.additive(i)
        if len(names) != 2 or not set(names) <= set(split.train):
            assert found is None
            continue
        known += 1
        assert found is not None
        cells = [cells_of(tiny, [name]) for name in names]
        control = sealed.control_a[sealed.context_of[i]]
        np.testing.assert_allclose(found[0], sum(x.mean(axis=0) for x in cells) - control, atol=1e-12)
        expected = sum(x.var(axis=0, ddof=1) / len(x) for x in cells)
        np.testing.assert_allclose(found[1], expected, rtol=1e-9, atol=1e-12)
    assert known > 0


def test_train_centroids_are_those_of_the_context_with_their_targets(
    tiny: Dataset, split: Split, sealed: Truth
) -> None:
    by_id = {condition.id: condition for condition in tiny.conditions}
    for k, context in enumerate(sealed.contexts):
        names = train_of(tiny, split, context)
        centroids, targets = sealed.train_centroids(k)
        assert centroids.shape == targets.shape == (len(names), len(tiny.genes))
        for j, name in enumerate(names):
            np.testing.assert_allclose(centroids[j], cells_of(tiny, [name]).mean(axis=0), atol=1e-12)
            assert {tiny.genes[g] for g in np.flatnonzero(targets[j])} == set(by_id[name].targets)


def test_train_cells_are_perturbed_train_cells_of_the_context_and_at_most_so_many(
    tiny: Dataset, split: Split, sealed: Truth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for k, context in enumerate(sealed.contexts):
        expected = cells_of(tiny, train_of(tiny, split, context))
        assert len(expected) <= TRAIN_CELLS
        np.testing.assert_array_equal(sealed.train_cells(k).toarray(), expected.astype(np.float32))
    monkeypatch.setattr("lanner.sealing.TRAIN_CELLS", 10)
    few = seal(tiny, split, TASK.id, tmp_path)
    assert few.train_cells(0).shape[0] == 10
    known = {row.tobytes() for row in sealed.train_cells(0).toarray()}
    assert {row.tobytes() for row in few.train_cells(0).toarray()} <= known


def test_a_context_without_train_perturbations_has_the_cells_of_all_and_no_centroids(
    tiny: Dataset, split: Split, tmp_path: Path
) -> None:
    held = tiny.contexts[0]
    gone = train_of(tiny, split, held)
    train = tuple(name for name in split.train if name not in gone)
    opened = seal(tiny, replace(split, train=train, test=tuple(sorted(gone))), TASK.id, tmp_path)
    assert opened.train_centroids(0)[0].shape == (0, len(tiny.genes))
    assert opened.train_cells(0).shape[0] == len(cells_of(tiny, train))
    assert opened.others(0) is None and opened.additive(0) is None


def test_a_truth_of_an_older_format_is_built_again_and_not_refused(
    tiny: Dataset, split: Split, sealed: Truth, tmp_path: Path
) -> None:
    folder = tmp_path / "truth" / split.sha256
    shutil.copytree(sealed.folder, folder)
    document = json.loads((folder / "truth.json").read_text())
    (folder / "truth.json").write_text(json.dumps({**document, "format": "lanner-truth/1"}))
    (folder / "stale").write_text("scores of bounds by an older Lanner")
    opened = seal(tiny, split, TASK.id, tmp_path)
    assert not (folder / "stale").exists()
    np.testing.assert_array_equal(opened.full, sealed.full)
    (folder / "truth.json").write_text(json.dumps({**document, "format": "something else"}))
    with pytest.raises(InfrastructureError, match="remove the folder"):
        seal(tiny, split, TASK.id, tmp_path)
