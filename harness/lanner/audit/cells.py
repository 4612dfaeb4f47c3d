"""Cells that are on both sides of the border: copied, or copied with a little noise."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from lanner.audit.findings import Finding, Severity, finding
from lanner.records import Split, derived_seed
from lanner.sides import control_halves, perturbed_parts, train_rows

if TYPE_CHECKING:
    from lanner.datasets import Dataset

Array = np.ndarray[Any, Any]

LEAST_VALUES = 20
"""Nonzero values a cell needs to be told from others: emptier cells are alike by chance."""
TESTED, TRAINED = 2_000, 20_000
"""Cells of each side that are compared by likeness; a seeded sample of more. Copies are found among all."""
SKETCH = 64
NEAR = 0.9995
"""Cosine from which two cells count as one: cells of one type in one condition stay well below."""


def copied_cells(dataset: Dataset, split: Split) -> Iterator[Finding]:
    """Tested rows of X that are in train too: bit by bit, or with a cosine of NEAR."""
    halves = control_halves(dataset, split)
    train = train_rows(dataset, split, halves)
    _, is_test = perturbed_parts(dataset, split)
    if "replicate" in dataset.obs:
        is_test &= (dataset.obs["replicate"] == "all").to_numpy()
    test = np.flatnonzero(is_test)
    names = dataset.obs.index.to_numpy(dtype=str)
    digests = _digests(dataset, np.union1d(train, test))
    trained = {digests[row]: row for row in train.tolist() if row in digests}
    copies = [(row, trained[digests[row]]) for row in test.tolist() if digests.get(row) in trained]
    if copies:
        message = f"{len(copies)} tested rows are equal to train rows, value by value"
        yield finding(
            "duplicate-cells", Severity.ERROR, message, (f"{names[a]} = {names[b]}" for a, b in copies)
        )
    if dataset.entry.kind != "cells":
        return
    seen = {a for a, _ in copies}
    near = [(a, b, cosine) for a, b, cosine in _near(dataset, split, train, test, names) if a not in seen]
    if near:
        message = f"{len(near)} tested cells have a train cell at a cosine of {NEAR} or more"
        yield finding(
            "near-duplicate-cells",
            Severity.WARNING,
            message,
            (f"{names[a]} ~ {names[b]} ({cosine:.5f})" for a, b, cosine in near),
        )


def _digests(dataset: Dataset, rows: Array) -> dict[int, bytes]:
    """A hash of each row's values, for rows with enough of them."""
    digests = {}
    for start, stop, block in dataset.X().blocks():
        for row in rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)]:
            if isinstance(block, np.ndarray):
                values = block[row - start]
                n, data = np.count_nonzero(values), values.tobytes()
            else:
                low, high = block.indptr[row - start : row - start + 2]
                n, data = high - low, block.indices[low:high].tobytes() + block.data[low:high].tobytes()
            if n >= LEAST_VALUES:
                digests[int(row)] = hashlib.blake2b(data, digest_size=16).digest()
    return digests


def _near(
    dataset: Dataset, split: Split, train: Array, test: Array, names: Array
) -> Iterator[tuple[int, int, float]]:
    """Pairs of a tested and a train cell with a cosine of NEAR: found in a sketch, confirmed on all genes."""
    train = _sample(train, TRAINED, names, split, "train")
    test = _sample(test, TESTED, names, split, "test")
    if not len(train) or not len(test):
        return
    X = dataset.X()
    sides = []
    for rows in (test, train):
        cells = X.rows(rows).astype(np.float64)
        kept = np.diff(cells.indptr) >= LEAST_VALUES
        sides.append((rows[kept], cells[np.flatnonzero(kept)]))
    (test, tested), (train, trained) = sides
    generator = np.random.default_rng(derived_seed(split.sha256, "audit sketch"))
    projection = generator.standard_normal((X.shape[1], SKETCH))
    a, b = (_unit(np.asarray(cells @ projection)) for cells in (tested, trained))
    for start in range(0, len(test), 500):
        likeness = a[start : start + 500] @ b.T
        best = likeness.argmax(axis=1)
        # In the sketch a cosine c has a deviation of about (1 - c^2) / sqrt(SKETCH): none is lost at 0.998.
        for place in np.flatnonzero(likeness[np.arange(len(best)), best] >= 0.998):
            one, other = tested[start + place], trained[best[place]]
            norms = np.sqrt(one.multiply(one).sum() * other.multiply(other).sum())
            cosine = float(one.multiply(other).sum() / norms)
            if cosine >= NEAR:
                yield int(test[start + place]), int(train[best[place]]), cosine


def _sample(rows: Array, most: int, names: Array, split: Split, side: str) -> Array:
    if len(rows) <= most:
        return rows
    rows = rows[np.argsort(names[rows], kind="stable")]
    generator = np.random.default_rng(derived_seed(split.sha256, f"audit {side}"))
    return np.sort(generator.choice(rows, most, replace=False))


def _unit(rows: Array) -> Array:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Array = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
    return unit
