"""Checks of a split against its own data and its own design: parts, sizes, controls, batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lanner.audit.findings import Finding, Severity, finding
from lanner.records import CONTROL, Split
from lanner.sides import control_halves, perturbed_parts
from lanner.splits import SPLITS

if TYPE_CHECKING:
    from lanner.datasets import Dataset

SMALL = 40
"""Cells of a tested condition below which a half is under 20, and population and DE metrics are undefined."""
FEW_CONTROLS = 100
ASSOCIATED = 0.5
"""Cramer's V of batch and part from which a warning is given."""


def design_findings(dataset: Dataset, split: Split) -> Iterator[Finding]:
    """What is wrong with the split as a list of this dataset's conditions."""
    if split.dataset["content"] != dataset.content:
        theirs = split.dataset["content"][:12]
        message = f"the split was cut from content {theirs}, not from {dataset.content[:12]}"
        yield finding("stale-split", Severity.ERROR, message, [split.id])
    known = {condition.id: condition for condition in dataset.conditions}
    unknown = {*split.train, *split.valid, *split.test} - set(known)
    if unknown:
        message = f"{len(unknown)} conditions of the split are not in the dataset"
        yield finding("unknown-condition", Severity.ERROR, message, unknown)
        return
    yield from _parts(split)
    mark = SPLITS[split.design["id"]].mark if split.design["id"] in SPLITS else ""
    if mark:
        yield finding("marked-design", Severity.NOTE, mark, [split.design["id"]])
    yield from _controls(dataset, split)
    if dataset.entry.kind == "cells":
        is_train, is_test = perturbed_parts(dataset, split)
        yield from _sizes(dataset, is_test)
        yield from _batches(dataset, split, is_train, is_test)


def _parts(split: Split) -> Iterator[Finding]:
    if split.cells is not None:  # cells are held out, not conditions
        return
    train, valid, test = set(split.train), set(split.valid), set(split.test)
    twice = (train & test) | (train & valid) | (valid & test)
    if twice:
        message = f"{len(twice)} conditions are in two parts, and no cells are held out within conditions"
        yield finding("two-parts", Severity.ERROR, message, twice)


def _controls(dataset: Dataset, split: Split) -> Iterator[Finding]:
    contexts = {condition.id: condition.context_id for condition in dataset.conditions}
    is_control = dataset.obs["perturbation"] == CONTROL
    counts = dataset.obs.loc[is_control, "context"].value_counts()
    tested, trained = ({contexts[name] for name in part} for part in (split.test, split.train))
    without = {context for context in tested | trained if counts.get(context, 0) == 0}
    if without & tested:
        message = "tested contexts have no controls: there is no reference to measure a change from"
        yield finding("no-controls", Severity.ERROR, message, without & tested)
    if without - tested:
        message = "train contexts have no controls: no change can be learnt there"
        yield finding("no-controls", Severity.WARNING, message, without - tested)
    few = {context for context in tested - without if counts[context] < FEW_CONTROLS}
    if few and dataset.entry.kind == "cells":
        message = f"tested contexts with under {FEW_CONTROLS} controls share one reference (shared_control)"
        yield finding("few-controls", Severity.NOTE, message, few)


def _sizes(dataset: Dataset, is_test: np.ndarray) -> Iterator[Finding]:
    sizes = dataset.obs.loc[is_test, "condition"].value_counts()
    small = sizes[sizes < SMALL]
    if len(small):
        message = (
            f"{len(small)} of {len(sizes)} tested conditions have under {SMALL} cells, {(small < 20).sum()} "
            "of them under 20: population and DE metrics are undefined on their halves"
        )
        yield finding("small-conditions", Severity.WARNING, message, map(str, small.index))


def _batches(dataset: Dataset, split: Split, is_train: np.ndarray, is_test: np.ndarray) -> Iterator[Finding]:
    """A tested condition in batches of its own: its effect cannot be told from the batch's."""
    if "batch" not in dataset.obs or not is_test.any():
        return
    staged = is_train.copy()
    for a, _ in control_halves(dataset, split).values():
        staged[a] = True
    batch = dataset.obs["batch"].to_numpy(dtype=str)
    if len(set(batch)) < 2:
        return
    shared = np.isin(batch, list(set(batch[staged])))
    overlap = pd.Series(shared[is_test]).groupby(dataset.obs["condition"].to_numpy(dtype=str)[is_test]).mean()
    apart = overlap[overlap == 0]
    if len(apart):
        whole = len(apart) == len(overlap)
        message = (
            f"{len(apart)} of {len(overlap)} tested conditions lie in batches without train cells or staged "
            "controls: their effect cannot be told from the batch's"
        )
        yield finding(
            "batch-confounding", Severity.ERROR if whole else Severity.WARNING, message, map(str, apart.index)
        )
        return
    either = is_train | is_test
    strength = cramers_v(batch[either], is_test[either])
    if strength >= ASSOCIATED:
        message = f"batch and part go together (Cramer's V {strength:.2f} over perturbed cells)"
        yield finding("batch-confounding", Severity.WARNING, message, set(batch[is_test]))


def cramers_v(labels: np.ndarray, part: np.ndarray) -> float:
    """Cramer's V of two labels with Bergsma's bias correction (2013, doi:10.1016/j.jkss.2012.10.002)."""
    table = pd.crosstab(labels, part).to_numpy(dtype=np.float64)
    rows, columns = table.shape
    n = table.sum()
    if min(rows, columns) < 2 or n < 2:
        return 0.0
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / n
    phi = float(((table - expected) ** 2 / expected).sum() / n)
    phi = max(0.0, phi - (rows - 1) * (columns - 1) / (n - 1))
    least = min(rows - (rows - 1) ** 2 / (n - 1), columns - (columns - 1) ** 2 / (n - 1))
    return float(np.sqrt(phi / max(least - 1, 1e-12)))
