"""Which rows of a scoring a shard computes: conditions scored alone, and whole contexts of retrieval.

A condition's draws are seeded by the condition, its tensors have its own shapes, and nothing is carried from
one to the next, so it scores the same bits wherever it is scored. A retrieval score compares a condition
with all others of its context, in one matrix product whose bits depend on its shape: contexts stay whole.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lanner.bounds import SealedTruth
from lanner.metrics import METRICS
from lanner.records import Shard
from lanner.scoring.tables import Tables

Array = np.ndarray[Any, Any]

ROW, ROWS = "row", "rows"
"""Further columns of a shard's frame: a row's number in the whole one, and how many that has."""


def conditions_of(truth: SealedTruth, shard: Shard) -> list[int]:
    """Numbers of the conditions a shard scores one by one: neighbours, as contexts share their controls."""
    order = np.argsort(truth.context_of, kind="stable")
    chosen: list[int] = np.array_split(order, shard.of)[shard.number].tolist()
    return chosen


def contexts_of(truth: SealedTruth, shard: Shard) -> list[int]:
    """Numbers of the contexts whose retrieval metrics a shard scores."""
    return list(range(len(truth.contexts)))[shard.number :: shard.of]


def own_rows(truth: SealedTruth, tables: Tables, frame: pd.DataFrame, shard: Shard) -> pd.DataFrame:
    """The rows of ``frame``, made of ``tables``, that are the shard's, with ROW and ROWS."""
    alone = np.isin(np.arange(len(truth.requests)), conditions_of(truth, shard))
    together = np.isin(truth.context_of, contexts_of(truth, shard))
    own = [together if METRICS[key[1]].card.level == "retrieval" else alone for key in tables.items]
    rows = np.flatnonzero(np.concatenate(own)) if own else np.zeros(0, dtype=np.int64)
    return frame.iloc[rows].assign(**{ROW: rows, ROWS: len(frame)})
