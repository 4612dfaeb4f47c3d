"""The sealed side of a split: what is drawn, what is fitted, and that both can be had again."""

from __future__ import annotations

import copy
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from boards import TASK, prepared, registry
from dataset_entries import document, source_of, write_entry
from lanner import datasets, splits
from lanner.config import Settings
from lanner.datasets import Dataset
from lanner.errors import InfrastructureError
from lanner.records import ControlPolicy, Split
from lanner.sealing import requests_of, seal
from lanner.sides import control_halves, perturbed_parts, train_rows
from lanner.truth import Truth


@pytest.fixture(scope="module")
def tiny_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("truth")
    return Settings(home=folder / "home", registry=registry(folder / "registry"))


@pytest.fixture(scope="module")
def tiny(tiny_settings: Settings) -> Dataset:
    return datasets.load(datasets.find_entry(tiny_settings, "tiny"), tiny_settings)


@pytest.fixture(scope="module")
def split(tiny_settings: Settings, tiny: Dataset) -> Split:
    return prepared(tiny_settings)[0]


@pytest.fixture(scope="module")
def sealed(tiny_settings: Settings, tiny: Dataset, split: Split) -> Truth:
    return seal(tiny, split, TASK.id, tiny_settings.home)


def dense(dataset: Dataset) -> np.ndarray[Any, Any]:
    return dataset.X().rows(np.arange(len(dataset.obs))).toarray().astype(np.float64)


def names_of(dataset: Dataset, rows: np.ndarray[Any, Any]) -> set[str]:
    return set(dataset.obs.index[rows])


def test_control_halves_are_disjoint_of_equal_size_and_all_controls(tiny: Dataset, split: Split) -> None:
    halves = control_halves(tiny, split)
    assert set(halves) == set(tiny.contexts)
    for context, (a, b) in halves.items():
        mine = tiny.obs[(tiny.obs["perturbation"] == "control") & (tiny.obs["context"] == context)]
        assert len(a) == len(b) == 55
        assert not set(a) & set(b)
        assert names_of(tiny, np.concatenate([a, b])) == set(mine.index)


def shuffled(dataset: Dataset) -> Dataset:
    """The same cells in another order, as far as their labels go."""
    other = copy.copy(dataset)
    other.obs = dataset.obs.sample(frac=1, random_state=1)
    return other


def test_control_halves_are_the_same_cells_in_any_row_order(tiny: Dataset, split: Split) -> None:
    other = shuffled(tiny)
    ours, theirs = control_halves(tiny, split), control_halves(other, split)
    for context in tiny.contexts:
        for mine, its in zip(ours[context], theirs[context], strict=True):
            assert names_of(tiny, mine) == names_of(other, its)
            assert list(its) == sorted(its)


def test_control_halves_depend_on_the_seed_of_the_split_and_on_nothing_else_of_it(
    tiny: Dataset, split: Split
) -> None:
    context = tiny.contexts[0]
    reseeded = replace(split, design={**split.design, "seed": 5})
    renamed = replace(split, id="other", test=split.test[:1])
    a = set(control_halves(tiny, split)[context][0])
    assert a != set(control_halves(tiny, reseeded)[context][0])
    assert a == set(control_halves(tiny, renamed)[context][0])


def test_shared_controls_are_both_halves(tiny: Dataset, split: Split, tmp_path: Path) -> None:
    shared = replace(split, controls=dict.fromkeys(split.controls, ControlPolicy.SHARED))
    for a, b in control_halves(tiny, shared).values():
        assert len(a) == 110 and (a == b).all()
    opened = seal(tiny, shared, TASK.id, tmp_path)
    assert opened.shared_control.all()
    np.testing.assert_array_equal(opened.control_a, opened.control_b)
    for k in range(len(opened.contexts)):
        assert opened.control_cells(k, "a").shape == opened.control_cells(k, "b").shape == (110, 60)


def test_train_rows_are_train_conditions_and_staged_controls_and_nothing_held_out(
    tiny: Dataset, split: Split
) -> None:
    halves = control_halves(tiny, split)
    rows = train_rows(tiny, split, halves)
    obs = tiny.obs.iloc[rows]
    assert set(obs[obs["perturbation"] != "control"]["condition"]) == set(split.train)
    assert (obs["perturbation"] == "control").sum() == sum(len(a) for a, _ in halves.values())
    assert not set(rows) & set(np.concatenate([b for _, b in halves.values()]))


def test_references_equal_slow_means_over_cells(tiny: Dataset, split: Split, sealed: Truth) -> None:
    X, obs = dense(tiny), tiny.obs
    halves = control_halves(tiny, split)
    centroid = {name: X[(obs["condition"] == name).to_numpy()].mean(axis=0) for name in obs["condition"]}
    by_id = {condition.id: condition for condition in tiny.conditions}
    for k, context in enumerate(sealed.contexts):
        a, b = halves[context]
        inside = [name for name in split.train if by_id[name].context_id == context]
        cells = X[obs["condition"].isin(inside).to_numpy()]
        np.testing.assert_allclose(sealed.control_a[k], X[a].mean(axis=0), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(sealed.control_b[k], X[b].mean(axis=0), rtol=1e-12, atol=1e-14)
        expected = np.mean([centroid[name] for name in inside], axis=0)
        np.testing.assert_allclose(sealed.train_mean[k], expected, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(sealed.train_mean_cells[k], cells.mean(axis=0), rtol=1e-12, atol=1e-14)
        for part, rows in (("a", a), ("b", b)):
            np.testing.assert_array_equal(sealed.control_cells(k, part).toarray(), X[rows].astype(np.float32))
    for i, request in enumerate(sealed.requests):
        rows = np.flatnonzero((obs["condition"] == request.condition.id).to_numpy())
        np.testing.assert_allclose(sealed.full[i], X[rows].mean(axis=0), rtol=1e-12, atol=1e-14)
        np.testing.assert_array_equal(sealed.cells(i).toarray(), X[rows].astype(np.float32))
        assert sealed.contexts[sealed.context_of[i]] == request.condition.context_id
        assert {sealed.genes[g] for g in np.flatnonzero(sealed.targets[i])} == set(request.condition.targets)


def test_a_context_without_train_perturbations_gets_the_means_over_all_contexts(
    tiny: Dataset, split: Split, tmp_path: Path
) -> None:
    by_id = {condition.id: condition for condition in tiny.conditions}
    held = tiny.contexts[0]
    moved = tuple(name for name in split.train if by_id[name].context_id == held)
    train = tuple(name for name in split.train if name not in moved)
    opened = seal(tiny, replace(split, train=train, test=tuple(sorted(moved))), TASK.id, tmp_path)
    X, obs = dense(tiny), tiny.obs
    expected = np.mean([X[(obs["condition"] == name).to_numpy()].mean(axis=0) for name in train], axis=0)
    np.testing.assert_allclose(opened.train_mean[0], expected, rtol=1e-12, atol=1e-14)


def test_each_halving_takes_half_of_each_conditions_cells_and_they_differ(sealed: Truth) -> None:
    assert sealed.halvings == 20
    for i in range(len(sealed.requests)):
        half = sealed.half(i)
        assert half.shape == (20, sealed.cells(i).shape[0])
        assert (half.sum(axis=1) == half.shape[1] // 2).all()
        assert len({row.tobytes() for row in half}) > 15


def test_the_pca_is_orthonormal_and_fitted_on_train_cells_alone(
    tiny: Dataset, split: Split, sealed: Truth
) -> None:
    assert sealed.pca is not None
    mean, components = sealed.pca
    cells = dense(tiny)[train_rows(tiny, split, control_halves(tiny, split))]
    np.testing.assert_allclose(mean, cells.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(components @ components.T, np.eye(len(components)), atol=1e-8)
    _, singular, right = np.linalg.svd(cells - cells.mean(axis=0), full_matrices=False)
    assert abs(abs(components[0] @ right[0]) - 1) < 1e-6
    assert singular[0] > singular[1]


def contents(folder: Path) -> dict[str, bytes]:
    """Arrays and text of a sealed truth; a .npz file itself holds the time it was written."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".npz":
            with np.load(path) as arrays:
                found |= {f"{path.name}/{name}": arrays[name].tobytes() for name in arrays}
        elif path.is_file():
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def test_a_truth_that_was_removed_is_rebuilt_equal_to_the_bit_and_by_another_process_too(
    tiny_settings: Settings, tiny: Dataset, split: Split, sealed: Truth, tmp_path: Path
) -> None:
    before = contents(sealed.folder)
    shutil.copytree(tiny_settings.home / "data", tmp_path / "home" / "data")
    again = seal(tiny, split, TASK.id, tmp_path / "home")
    assert contents(again.folder) == before
    shutil.rmtree(again.folder)
    program = "import sys; from pathlib import Path; from boards import prepared\n"
    program += "from lanner.config import Settings\n"
    program += "prepared(Settings(home=Path(sys.argv[1]), registry=Path(sys.argv[2])))"
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "home"), str(tiny_settings.registry)],
        check=True,
        cwd=Path(__file__).parent.parent,
        env={"PATH": "", "OMP_NUM_THREADS": "1"},
    )
    assert contents(again.folder) == before


def test_the_truth_is_closed_to_others_and_nothing_half_written_stays(
    tiny_settings: Settings, sealed: Truth
) -> None:
    parent = tiny_settings.home / "truth"
    assert sealed.folder.parent == parent
    assert parent.stat().st_mode & 0o777 == sealed.folder.stat().st_mode & 0o777 == 0o700
    assert all(not path.name.startswith(".") for path in parent.iterdir())


def test_a_home_that_cannot_hold_the_truth_is_one_sentence(
    tiny: Dataset, split: Split, tmp_path: Path
) -> None:
    (tmp_path / "truth").write_text("in the way")
    with pytest.raises(InfrastructureError, match=r"the truth of unseen-combination cannot be written"):
        seal(tiny, split, TASK.id, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["truth"]


@pytest.mark.parametrize("file", ["references.npz", "layout.npz", "cells/indptr.npy", "truth.json"])
def test_a_damaged_truth_says_to_remove_it(sealed: Truth, tmp_path: Path, file: str) -> None:
    damaged = shutil.copytree(sealed.folder, tmp_path / "truth")
    (damaged / file).write_bytes(b"damaged")
    with pytest.raises(InfrastructureError, match=r"remove (its|the) folder and try again"):
        Truth(damaged)
    (damaged / file).unlink()
    with pytest.raises(InfrastructureError, match=r"remove (its|the) folder and try again"):
        Truth(damaged)


def test_requests_are_numbered_in_the_order_of_the_sorted_test_conditions(
    tiny: Dataset, split: Split, sealed: Truth
) -> None:
    requests = requests_of(split, {condition.id: condition for condition in tiny.conditions})
    assert [request.condition.id for request in requests] == list(split.test) == sorted(split.test)
    assert [request.request_id for request in requests] == [f"r{n:04d}" for n in range(len(split.test))]
    assert sealed.requests == requests


@pytest.fixture(scope="module")
def profiles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Path]:
    """A profile dataset of four perturbations, three of them with measured halves."""
    folder = tmp_path_factory.mktemp("profiles")
    generator = np.random.default_rng(0)
    labels = ["A", "B", "A+B", "B+C"]
    arrays = {"full": generator.normal(size=(4, 5))}
    for name in ("half1", "half2"):
        arrays[name] = arrays["full"] + generator.normal(scale=0.1, size=(4, 5))
    np.savez(folder / "profiles.npz", labels=labels, genes=list("ABCDE"), **arrays)
    prepare = """
import numpy as np, anndata, pandas as pd

def prepare(sources, parameters, output):
    a = np.load(sources["profiles.npz"])
    rows, labels, replicates = [], [], []
    for i, label in enumerate(a["labels"]):
        for name in ("all", "half1", "half2")[: 1 if label == "B" else 3]:
            rows.append(a["full" if name == "all" else name][i])
            labels.append(label)
            replicates.append(name)
    rows.append(np.zeros(5))
    obs = pd.DataFrame({"p": labels + ["ctrl"], "replicate": replicates + ["all"], "line": "x"})
    obs.index = obs.index.astype(str)
    var = pd.DataFrame(index=a["genes"].astype(str))
    anndata.AnnData(np.array(rows, "f4"), obs=obs, var=var).write_h5ad(output)
"""
    settings = Settings(home=folder / "home")
    fields = document(
        "profiles",
        [source_of(folder / "profiles.npz")],
        kind="profile",
        scale="lfc",
        obs={
            "perturbation": "p",
            "control": ["ctrl"],
            "combination_delimiter": "+",
            "context": ["line"],
            "replicate": "replicate",
            "targets": "perturbation",
        },
        prepare={"file": "prepare.py"},
    )
    return datasets.load(write_entry(settings, fields, prepare), settings), settings.home


def test_measured_halves_of_profiles_are_the_truths_halving(
    profiles: tuple[Dataset, Path],
) -> None:
    dataset, home = profiles
    base = splits.resolve(dataset, {"id": "unseen-combination", "parameters": {"fraction": 1.0}})[0]
    split = replace(base, train=("A|x", "B|x"), test=("A+B|x", "B+C|x"), valid=())
    opened = seal(dataset, split, TASK.id, home)
    assert opened.kind == "profile" and opened.halvings == 1 and opened.pca is None
    assert (opened.control_a == 0).all()
    rows = dataset.obs.reset_index()
    for i, name in enumerate(split.test):
        of = rows[rows["condition"] == name]
        X = {r: dense(dataset)[of[of["replicate"] == r].index[0]] for r in ("all", "half1", "half2")}
        np.testing.assert_allclose(opened.full[i], X["all"], rtol=1e-6)
        halves = opened.cells(i).toarray()
        first, second = halves[opened.half(i)[0]][0], halves[~opened.half(i)[0]][0]
        np.testing.assert_allclose([first, second], [X["half1"], X["half2"]], rtol=1e-6)
    staged = train_rows(dataset, split, control_halves(dataset, split))
    assert set(dataset.obs.iloc[staged]["replicate"]) == {"all"}


@pytest.fixture(scope="module")
def stratified(tiny: Dataset) -> Split:
    """A quarter of the cells of every condition is held out, a third of the rest kept for validation."""
    design = {"id": "stratified-cells", "parameters": {"fraction": 0.25, "valid_fraction": 0.34}}
    (split,) = splits.resolve(tiny, design)
    return split


def test_cells_held_out_within_conditions_are_sealed_and_never_staged(
    tiny: Dataset, stratified: Split, tiny_settings: Settings
) -> None:
    is_train, is_test = perturbed_parts(tiny, stratified)
    assert not (is_train & is_test).any()
    for condition in tiny.conditions:
        mine = (tiny.obs["condition"] == condition.id).to_numpy()
        assert [mine.sum(), (mine & is_test).sum(), (mine & is_train).sum()] == [16, 4, 8]
    staged = train_rows(tiny, stratified, control_halves(tiny, stratified))
    assert not is_test[staged].any() and is_train.sum() + 110 == len(staged)
    sealed = seal(tiny, stratified, TASK.id, tiny_settings.home)
    values = dense(tiny)
    for i, request in enumerate(sealed.requests):
        held = is_test & (tiny.obs["condition"] == request.condition.id).to_numpy()
        assert request.condition.n_cells == 4
        np.testing.assert_array_equal(sealed.cells(i).toarray(), values[held].astype(np.float32))
        np.testing.assert_allclose(sealed.full[i], values[held].mean(axis=0))
    k = sealed.contexts.index("type0")
    inside = (tiny.obs["context"] == "type0").to_numpy() & is_train
    np.testing.assert_allclose(sealed.train_mean_cells[k], values[inside].mean(axis=0))
    centroids, _ = sealed.train_centroids(k)
    first = inside & (tiny.obs["condition"] == tiny.conditions[0].id).to_numpy()
    np.testing.assert_allclose(centroids[0], values[first].mean(axis=0))


def test_the_same_cells_are_held_out_in_any_row_order(tiny: Dataset, stratified: Split) -> None:
    other = shuffled(tiny)
    for mine, theirs in zip(
        perturbed_parts(tiny, stratified), perturbed_parts(other, stratified), strict=True
    ):
        assert names_of(tiny, mine) == names_of(other, theirs)


def test_folds_of_cells_hold_out_every_cell_once(tiny: Dataset) -> None:
    found = splits.resolve(tiny, {"id": "stratified-cells", "parameters": {"folds": 3}})
    held = np.sum([perturbed_parts(tiny, split)[1] for split in found], axis=0)
    assert set(held[(tiny.obs["perturbation"] != "control").to_numpy()]) == {1}
