"""A stored run as the two files its peers' metrics are made for: true cells and predicted cells.

Peers compare files, so a run's held-out cells and its prediction are written as such, for as long as they
are compared. The truth's controls are the sealed ones. A prediction of Lanner's holds no controls; where a
metric needs the prediction's own, those the method was given stand in, as users of cell-eval do it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lanner.errors import ConfigurationError
from lanner.h5ad.cells import CellFile
from lanner.h5ad.staged import write_train
from lanner.records import CONTROL, Condition

if TYPE_CHECKING:
    import scipy.sparse as sp

    from lanner.ingest import IngestResult
    from lanner.truth import Truth

NOT_CONTEXT = {"perturbation", "dose", "batch"}
"""Columns of a staged train.h5ad that are no part of a context."""


@dataclass(frozen=True, kw_only=True)
class StoredFiles:
    """Files of one run; ``train`` is None where no file says of train cells what context they are of."""

    truth: Path
    prediction: Path
    train: Path | None
    context_column: str


def write_files(truth: Truth, prediction: IngestResult, staged_train: Path, folder: Path) -> StoredFiles:
    """Write held-out and predicted cells of one run to ``folder``, obs ``perturbation`` and the context.

    Requests that were not answered are left out. ConfigurationError for a truth of profiles, which has no
    cells.
    """
    if truth.kind != "cells":
        raise ConfigurationError(
            f"the truth of {truth.split.id} holds {truth.kind}, no cells; peers' metrics compare cells"
        )
    column, train = _context_column(truth, staged_train)
    answered = [i for i in range(len(truth.requests)) if prediction.answered[i]]
    if not answered:
        raise ConfigurationError("the run answered no request; there is nothing to compare")
    n, matrix = prediction.n_cells, prediction.matrix
    true = ((i, truth.cells(i)) for i in range(len(truth.requests)))
    predicted = ((i, matrix.rows(np.arange(i * n, (i + 1) * n))) for i in answered)
    for name, part, cells in (("truth", "b", true), ("prediction", "a", predicted)):
        labels: list[Condition | None] = []
        contexts: list[str] = []
        blocks = list(_blocks(truth, cells, part, labels, contexts))
        obs = {
            "perturbation": np.array([CONTROL if c is None else _label(c) for c in labels]),
            column: np.array(contexts),
        }
        write_train(folder / f"{name}.h5ad", obs=obs, genes=truth.genes, layers={"X": blocks}, sparse=True)
    return StoredFiles(
        truth=folder / "truth.h5ad", prediction=folder / "prediction.h5ad", train=train, context_column=column
    )


def _blocks(
    truth: Truth,
    cells: Iterator[tuple[int, sp.csr_matrix]],
    part: str,
    labels: list[Condition | None],
    contexts: list[str],
) -> Iterator[Any]:
    """Cells of requests, then controls of each context; what each row is goes to ``labels``, ``contexts``."""
    for i, block in cells:
        condition = truth.requests[i].condition
        labels += [condition] * block.shape[0]
        contexts += [condition.context_id] * block.shape[0]
        yield block
    for k, context in enumerate(truth.contexts):
        block = truth.control_cells(k, part)
        labels += [None] * block.shape[0]
        contexts += [context] * block.shape[0]
        yield block


def _label(condition: Condition) -> str:
    return f"{condition.perturbation}@{condition.dose}" if condition.dose else condition.perturbation


def _context_column(truth: Truth, staged_train: Path) -> tuple[str, Path | None]:
    """The column of contexts, and the train file where its cells of all the truth's contexts can be told."""
    with CellFile(staged_train) as file:
        columns = [name for name in file.columns if name not in NOT_CONTEXT]
        if len(columns) != 1:
            return "context", None
        known = set(file.labels(columns[0])[0])
    return columns[0], staged_train if known >= set(truth.contexts) else None
