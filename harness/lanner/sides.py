"""Which rows of a dataset each side of a split has: what methods may train on, what is sealed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lanner.records import ControlPolicy, Split, derived_seed
from lanner.splits import cell_parts

if TYPE_CHECKING:
    from lanner.datasets import Dataset

Array = np.ndarray[Any, Any]


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


def perturbed_parts(dataset: Dataset, split: Split) -> tuple[Array, Array]:
    """Bool ``(n_rows,)`` each: rows of train conditions and rows of test conditions, no row in both.

    Where the split holds out cells within conditions, a condition's cells are ordered by name, permuted by
    the split's seed and cut as ``Split.cells`` says; so neither row order nor process matters.
    """
    of = dataset.obs["condition"]
    is_train, is_test = of.isin(split.train).to_numpy(), of.isin(split.test).to_numpy()
    if split.cells is None:
        return is_train, is_test
    names = dataset.obs.index.to_numpy(dtype=str)
    shared = set(split.test) & set(split.train)  # the rest of test is held out whole
    for condition, members in dataset.obs.groupby("condition", observed=True).indices.items():
        if condition not in shared:
            continue
        rows = members[np.argsort(names[members], kind="stable")]
        text = f"{dataset.content}/{split.design['seed']}/{split.cells['repeat']}/{condition}"
        rows = np.random.default_rng(derived_seed(text, "cells of a condition")).permutation(rows)
        train, _, test = cell_parts(rows.tolist(), split.cells)
        is_train[members] = is_test[members] = False
        is_train[train], is_test[test] = True, True
    return is_train, is_test


def train_rows(dataset: Dataset, split: Split, halves: Mapping[str, tuple[Array, Array]]) -> Array:
    """Sorted row numbers a method may train on: cells of train conditions and controls A."""
    is_train, _ = perturbed_parts(dataset, split)
    if "replicate" in dataset.obs:
        is_train &= (dataset.obs["replicate"] == "all").to_numpy()
    controls = [a for a, _ in halves.values()]
    return np.union1d(np.flatnonzero(is_train), np.concatenate(controls)).astype(np.int64)
