"""Seal a split: write the truth folder that ``lanner.truth.Truth`` opens, once per dataset and split.

Everything a score is measured against is computed here, on train cells or on the truth itself as metrics.md
sections 1 and 5 prescribe, and is shared by all methods and bounds. A folder that is absent or of an older
format is built again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lanner.matrix import MatrixWriter
from lanner.owner import token
from lanner.records import Condition, ControlPolicy, Request, Split, derived_seed
from lanner.references import write_references
from lanner.sides import control_halves, perturbed_parts, train_rows
from lanner.store import disk_error, write_json
from lanner.truth import CONTROL_A, CONTROL_B, FORMAT, TEST, TRAIN, Truth

if TYPE_CHECKING:
    from lanner.datasets import Dataset

Array = np.ndarray[Any, Any]

HALVINGS = 20
"""R of metrics.md section 1: saved halvings of each held-out condition's cells."""
TRAIN_CELLS = 2_000
"""Train perturbed cells kept of each context, a seeded subset of more: a bound draws from them."""


def seal(
    dataset: Dataset, split: Split, task: str, home: Path, talk: Callable[[str], None] = lambda _: None
) -> Truth:
    """Open the sealed truth of a dataset and split, building it first where it is absent."""
    folder = home / "truth" / split.sha256
    if _is_outdated(folder):
        talk(f"the truth of {dataset.entry.id}, {split.id} is of an older Lanner and is built again")
        shutil.rmtree(folder, ignore_errors=True)
    if not (folder / "truth.json").exists():
        talk(f"sealing the truth of {dataset.entry.id}, {split.id}")
        partial = folder.with_name(f".{split.sha256[:16]}.{token()}.partial")
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


def requests_of(split: Split, conditions: Mapping[str, Condition]) -> tuple[Request, ...]:
    """The requests of a split, numbered in the order of its sorted test conditions."""
    width = max(4, len(str(len(split.test))))
    return tuple(
        Request(request_id=f"r{number:0{width}d}", condition=conditions[name])
        for number, name in enumerate(split.test)
    )


def _write(dataset: Dataset, split: Split, task: str, folder: Path) -> None:
    conditions = {condition.id: condition for condition in dataset.conditions}
    requests = requests_of(split, conditions)
    is_train, is_test = perturbed_parts(dataset, split)
    if split.cells is not None:  # what is scored is the held-out part
        requests = tuple(_resized(request, dataset, is_test) for request in requests)
    contexts = sorted({request.condition.context_id for request in requests})
    halves = control_halves(dataset, split)
    shared = [split.controls.get(context) is not ControlPolicy.HALVED for context in contexts]
    write_references(
        dataset,
        split,
        requests,
        contexts,
        halves,
        train_rows(dataset, split, halves),
        (is_train, is_test),
        folder,
    )

    part = np.full(len(dataset.obs), -1, dtype=np.int8)
    owner = np.full(len(dataset.obs), -1, dtype=np.int32)
    half = np.zeros((0, len(dataset.obs)), dtype=bool)
    test = {request.condition.id: i for i, request in enumerate(requests)}
    request_of = dataset.obs["condition"].map(test).fillna(-1).to_numpy(dtype=np.int32)
    request_of[~is_test] = -1
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

    samples = _train_samples(dataset, split, contexts, is_train)
    for rows in samples:
        part[rows[part[rows] < 0]] = TRAIN
    kept = np.flatnonzero(part >= 0)
    source = dataset.X()
    with MatrixWriter(folder / "cells", len(dataset.genes), sparse=source.is_sparse) as writer:
        for start, stop, block in source.blocks():
            rows = kept[np.searchsorted(kept, start) : np.searchsorted(kept, stop)] - start
            if rows.size:
                writer.append(block[rows])
            del block  # or it would be held while the next one is read
    np.savez(
        folder / "layout.npz",
        part=part[kept],
        owner=owner[kept],
        half=half[:, kept],
        train_cells=np.searchsorted(kept, np.concatenate(samples)),
        train_owner=np.repeat(np.arange(len(samples)), [rows.size for rows in samples]),
    )
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


def _train_samples(dataset: Dataset, split: Split, contexts: list[str], is_train: Array) -> list[Array]:
    """At most TRAIN_CELLS rows of train perturbed cells for each context, or of all where it has none.

    Chosen among cells ordered by name, by the split's seed, so that row order does not matter.
    """
    if dataset.entry.kind != "cells":
        return [np.zeros(0, dtype=np.int64) for _ in contexts]
    names = dataset.obs.index.to_numpy(dtype=str)
    of_cell = dataset.obs["context"].to_numpy(dtype=str)
    samples = []
    for context in contexts:
        rows = np.flatnonzero(is_train & (of_cell == context))
        rows = rows if rows.size else np.flatnonzero(is_train)
        if rows.size > TRAIN_CELLS:
            rows = rows[np.argsort(names[rows], kind="stable")]
            generator = np.random.default_rng(derived_seed(f"{split.sha256}/{context}", "train cells"))
            rows = np.sort(generator.choice(rows, TRAIN_CELLS, replace=False))
        samples.append(rows)
    return samples


def _is_outdated(folder: Path) -> bool:
    """Whether a truth was sealed in an older format; what else is wrong with it ``Truth`` will say."""
    try:
        found = json.loads((folder / "truth.json").read_text(encoding="utf-8"))["format"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return str(found).startswith("lanner-truth/") and found != FORMAT


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


def _resized(request: Request, dataset: Dataset, is_test: Array) -> Request:
    held = (dataset.obs["condition"] == request.condition.id).to_numpy() & is_test
    return replace(request, condition=replace(request.condition, n_cells=int(held.sum())))
