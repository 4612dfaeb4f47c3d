"""The sealed side of a split: held-out cells, both control halves, halvings and train-fitted references.

Everything a score is measured against is computed here, once per dataset and split, on train cells or on
the truth itself as metrics.md sections 1 and 5 prescribe, and is shared by all methods and bounds. The
folder lives under ``$LANNER_HOME/truth`` (mode 0700), is never below a mounted folder, and is rebuilt from
dataset and split when absent.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from lanner.errors import InfrastructureError
from lanner.matrix import Matrix, MatrixWriter
from lanner.records import Condition, ControlPolicy, Request, Split, derived_seed
from lanner.store import disk_error, write_json

if TYPE_CHECKING:
    from lanner.datasets import Dataset

Array = np.ndarray[Any, Any]

FORMAT = "lanner-truth/1"
HALVINGS = 20
"""R of metrics.md section 1: saved halvings of each held-out condition's cells."""
PCA_COMPONENTS = 50
PCA_CELLS = 10_000
"""Train cells the PCA is fitted on; a seeded subset where there are more, so that memory is bounded."""
TEST, CONTROL_A, CONTROL_B = 0, 1, 2


class Truth:
    """A sealed truth folder, opened for scoring. Attributes are float64 unless they say otherwise.

    ``requests`` (C of them) are in the order of requests.csv; ``contexts`` (K) are those of the requests.
    ``control_a`` and ``control_b`` are the mean profiles ``(K, n_genes)`` of the staged and of the sealed
    controls: the reference of every prediction and that of the truth; equal where ``shared_control``.
    ``train_mean`` averages train perturbation centroids with equal weight, ``train_mean_cells`` train
    perturbed cells; both of the request's context where it has a train perturbation, else of all contexts.
    ``full`` ``(C, n_genes)`` is each condition's centroid over all its cells. ``targets`` is bool
    ``(C, n_genes)``. ``pca`` is ``(mean, components)`` fitted on train cells, None for profiles.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self._open()
        except (OSError, ValueError, KeyError) as error:
            raise InfrastructureError(
                f"{folder} is not a sealed truth of {FORMAT} ({error}); remove the folder and try again"
            ) from None

    def _open(self) -> None:
        folder = self.folder
        document = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise ValueError(f"its format is {document['format']}")
        self.split = Split.from_json(document["split"])
        self.task: str = document["task"]
        self.kind: str = document["kind"]
        self.scale: str = document["scale"]
        self.genes: tuple[str, ...] = tuple(document["genes"])
        self.contexts: tuple[str, ...] = tuple(document["contexts"])
        self.requests = tuple(
            Request(request_id=item["request_id"], condition=_condition(item["condition"]))
            for item in document["requests"]
        )
        self.halvings: int = document["halvings"]
        self.shared_control = np.array(document["shared_control"], dtype=bool)
        index = {context: k for k, context in enumerate(self.contexts)}
        self.context_of = np.array([index[r.condition.context_id] for r in self.requests], dtype=np.int64)
        genes = {gene: g for g, gene in enumerate(self.genes)}
        self.targets = np.zeros((len(self.requests), len(self.genes)), dtype=bool)
        for i, request in enumerate(self.requests):
            self.targets[i, [genes[target] for target in request.condition.targets if target in genes]] = True
        with np.load(folder / "references.npz", allow_pickle=False) as arrays:
            self.control_a: Array = arrays["control_a"]
            self.control_b: Array = arrays["control_b"]
            self.train_mean: Array = arrays["train_mean"]
            self.train_mean_cells: Array = arrays["train_mean_cells"]
            self.full: Array = arrays["full"]
            self.pca = (arrays["pca_mean"], arrays["pca_components"]) if "pca_mean" in arrays else None
        with np.load(folder / "layout.npz", allow_pickle=False) as arrays:
            self._part: Array = arrays["part"]
            self._owner: Array = arrays["owner"]
            self._half: Array = arrays["half"]
        self._matrix = Matrix(folder / "cells", len(self.genes))

    def cells(self, i: int) -> sp.csr_matrix:
        """Cells of request ``i``, float32 CSR ``(n_i, n_genes)``; for profiles the measured halves."""
        return self._matrix.rows(self._rows(TEST, i))

    def half(self, i: int) -> Array:
        """Bool ``(halvings, n_i)``: whether each cell of request ``i`` is in half 1 of each halving."""
        return self._half[:, self._rows(TEST, i)]

    def control_cells(self, k: int, part: str) -> sp.csr_matrix:
        """Control cells of context ``k``: part ``a`` (staged) or ``b`` (sealed), float32 CSR."""
        wanted = CONTROL_A if part == "a" or self.shared_control[k] else CONTROL_B
        return self._matrix.rows(self._rows(wanted, k))

    def _rows(self, part: int, owner: int) -> Array:
        return np.flatnonzero((self._part == part) & (self._owner == owner))


def requests_of(split: Split, conditions: Mapping[str, Condition]) -> tuple[Request, ...]:
    """The requests of a split, numbered in the order of its sorted test conditions."""
    width = max(4, len(str(len(split.test))))
    return tuple(
        Request(request_id=f"r{number:0{width}d}", condition=conditions[name])
        for number, name in enumerate(split.test)
    )


def control_halves(dataset: Dataset, split: Split) -> dict[str, tuple[Array, Array]]:
    """Row numbers of controls A (staged) and B (sealed) for every context; equal where the policy is shared.

    Cells are ordered by name and permuted by the split's seed, so neither row order nor process matters.
    """
    names = dataset.obs.index.to_numpy(dtype=str)
    is_control = (dataset.obs["perturbation"] == "control").to_numpy()
    contexts = dataset.obs["context"].to_numpy(dtype=str)
    halves = {}
    for context in dataset.contexts:
        rows = np.flatnonzero(is_control & (contexts == context))
        if split.controls.get(context) is ControlPolicy.HALVED:
            rows = rows[np.argsort(names[rows], kind="stable")]
            text = f"{dataset.content}/{split.design['seed']}/{context}"
            rows = np.random.default_rng(derived_seed(text, "control halves")).permutation(rows)
            middle = len(rows) // 2
            halves[context] = (np.sort(rows[:middle]), np.sort(rows[middle:]))
        else:
            halves[context] = (rows, rows)
    return halves


def train_rows(dataset: Dataset, split: Split, halves: Mapping[str, tuple[Array, Array]]) -> Array:
    """Sorted row numbers a method may train on: cells of train conditions and controls A."""
    is_train = dataset.obs["condition"].isin(split.train).to_numpy()
    if "replicate" in dataset.obs:
        is_train &= (dataset.obs["replicate"] == "all").to_numpy()
    controls = [a for a, _ in halves.values()]
    return np.union1d(np.flatnonzero(is_train), np.concatenate(controls)).astype(np.int64)


def seal(
    dataset: Dataset, split: Split, task: str, home: Path, talk: Callable[[str], None] = lambda _: None
) -> Truth:
    """Open the sealed truth of a dataset and split, building it first where it is absent."""
    folder = home / "truth" / split.sha256
    if not (folder / "truth.json").exists():
        talk(f"sealing the truth of {dataset.entry.id}, {split.id}")
        partial = folder.with_name(f".{split.sha256[:16]}.{os.getpid()}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.parent.chmod(0o700)
            partial.mkdir(mode=0o700)
            _write(dataset, split, task, partial)
            try:
                partial.rename(folder)
            except OSError:
                if not (folder / "truth.json").exists():  # not another process that was quicker
                    raise
        except OSError as error:
            raise disk_error(f"the truth of {split.id} cannot be written to {folder}", error) from None
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return Truth(folder)


def _write(dataset: Dataset, split: Split, task: str, folder: Path) -> None:
    conditions = {condition.id: condition for condition in dataset.conditions}
    requests = requests_of(split, conditions)
    contexts = sorted({request.condition.context_id for request in requests})
    halves = control_halves(dataset, split)
    shared = [split.controls.get(context) is not ControlPolicy.HALVED for context in contexts]
    _write_references(dataset, split, requests, contexts, halves, folder)

    part = np.full(len(dataset.obs), -1, dtype=np.int8)
    owner = np.full(len(dataset.obs), -1, dtype=np.int32)
    half = np.zeros((0, len(dataset.obs)), dtype=bool)
    test = {request.condition.id: i for i, request in enumerate(requests)}
    request_of = dataset.obs["condition"].map(test).fillna(-1).to_numpy(dtype=np.int32)
    if dataset.entry.kind == "profile":
        replicate = dataset.obs["replicate"].to_numpy(dtype=str)
        request_of[(replicate != "half1") & (replicate != "half2")] = -1
        if (request_of >= 0).any():
            half = (replicate == "half1")[None, :]
    else:
        half = _halvings(dataset, split, request_of)
    part[request_of >= 0] = TEST
    owner[request_of >= 0] = request_of[request_of >= 0]
    for k, context in enumerate(contexts):
        a, b = halves[context]
        part[b], owner[b] = CONTROL_B, k
        part[a], owner[a] = CONTROL_A, k  # shared controls are stored once, as A

    kept = np.flatnonzero(part >= 0)
    source = dataset.X()
    with MatrixWriter(folder / "cells", len(dataset.genes), sparse=source.is_sparse) as writer:
        for start, stop, block in source.blocks():
            rows = kept[np.searchsorted(kept, start) : np.searchsorted(kept, stop)] - start
            if rows.size:
                writer.append(block[rows])
    np.savez(folder / "layout.npz", part=part[kept], owner=owner[kept], half=half[:, kept])
    write_json(
        folder / "truth.json",
        {
            "format": FORMAT,
            "task": task,
            "split": split.to_json(),
            "kind": dataset.entry.kind,
            "scale": dataset.entry.scale,
            "genes": list(dataset.genes),
            "contexts": contexts,
            "shared_control": shared,
            "halvings": len(half),
            "requests": [
                {"request_id": request.request_id, "condition": asdict(request.condition)}
                for request in requests
            ],
        },
    )


def _halvings(dataset: Dataset, split: Split, request_of: Array) -> Array:
    """Bool ``(HALVINGS, n_cells)``: a random half of each request's cells, seeded by the split."""
    names = dataset.obs.index.to_numpy(dtype=str)
    half = np.zeros((HALVINGS, len(names)), dtype=bool)
    for i in range(int(request_of.max()) + 1):
        rows = np.flatnonzero(request_of == i)
        rows = rows[np.argsort(names[rows], kind="stable")]
        generator = np.random.default_rng(derived_seed(f"{split.sha256}/{i}", "truth halvings"))
        for r in range(HALVINGS):
            half[r, generator.permutation(rows)[: len(rows) // 2]] = True
    return half


def _write_references(
    dataset: Dataset,
    split: Split,
    requests: tuple[Request, ...],
    contexts: list[str],
    halves: Mapping[str, tuple[Array, Array]],
    folder: Path,
) -> None:
    """One pass over X: centroids of train and test conditions and of both control halves."""
    obs = dataset.obs
    names = [*split.train, *split.test]
    group_of = {name: g for g, name in enumerate(names)}
    groups = obs["condition"].map(group_of).fillna(-1).to_numpy(dtype=np.int64)
    if "replicate" in obs:
        groups[obs["replicate"].to_numpy(dtype=str) != "all"] = -1
    offset = len(names)
    for k, context in enumerate(contexts):
        a, b = halves[context]
        groups[b] = offset + 2 * k + 1
        groups[a] = offset + 2 * k
    sums, counts = dataset.X().group_sums(groups, offset + 2 * len(contexts))
    means = sums / np.maximum(counts, 1)[:, None]
    n_train = len(split.train)
    control_a, control_b = means[offset::2], means[offset + 1 :: 2].copy()
    for k, context in enumerate(contexts):
        if split.controls.get(context) is not ControlPolicy.HALVED:
            control_b[k] = control_a[k]

    context_of = {condition.id: condition.context_id for condition in dataset.conditions}
    train_contexts = np.array([context_of[name] for name in split.train])
    train_mean = np.empty((len(contexts), len(dataset.genes)))
    train_mean_cells = np.empty_like(train_mean)
    for k, context in enumerate(contexts):
        inside = np.flatnonzero(train_contexts == context)
        if inside.size == 0:
            inside = np.arange(n_train)
        train_mean[k] = means[inside].mean(axis=0)
        train_mean_cells[k] = sums[inside].sum(axis=0) / counts[inside].sum()
    arrays = {
        "control_a": control_a,
        "control_b": control_b,
        "train_mean": train_mean,
        "train_mean_cells": train_mean_cells,
        "full": means[n_train:offset],
    }
    if dataset.entry.kind == "cells":
        rows = train_rows(dataset, split, halves)
        arrays["pca_mean"], arrays["pca_components"] = _pca(dataset, split, rows)
    np.savez(folder / "references.npz", **arrays)


def _pca(dataset: Dataset, split: Split, rows: Array) -> tuple[Array, Array]:
    """Mean ``(n_genes,)`` and components ``(<= 50, n_genes)`` of at most PCA_CELLS train cells, by ARPACK."""
    from sklearn.decomposition import PCA
    from threadpoolctl import threadpool_limits

    generator = np.random.default_rng(derived_seed(split.sha256, "pca"))
    if len(rows) > PCA_CELLS:
        rows = np.sort(generator.choice(rows, PCA_CELLS, replace=False))
    n_components = min(PCA_COMPONENTS, len(rows) - 1, len(dataset.genes) - 1)
    cells = dataset.X().rows(rows).astype(np.float64)
    with threadpool_limits(1):  # one thread: the bits must not depend on how many there are
        pca = PCA(n_components, svd_solver="arpack", random_state=int(generator.integers(2**31)))
        pca.fit(cells)
    return pca.mean_, pca.components_


def _condition(document: Mapping[str, Any]) -> Condition:
    return Condition(
        perturbation=document["perturbation"],
        targets=tuple(document["targets"]),
        context=tuple(document["context"]),
        dose=document["dose"],
        n_cells=document["n_cells"],
    )
