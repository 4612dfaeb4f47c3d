"""What became of a leaderboard's cells, grouped by method and split design for pooling."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import pandas as pd

from lanner import aggregate
from lanner.leaderboard.campaign import Cell
from lanner.records import sha256_json
from lanner.splits import pooled_as, seen_singles


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One cell's outcome: its terminal record and, where it succeeded, its per-condition scores."""

    cell: Cell
    record: Mapping[str, Any]
    frame: pd.DataFrame | None = field(default=None, repr=False)

    @property
    def succeeded(self) -> bool:
        """Whether there is a prediction that was scored."""
        return self.frame is not None

    @property
    def position(self) -> tuple[str, str, str, str, int]:
        """Where it stands among all cells, whatever the order of arrival."""
        cell = self.cell
        split = cell.artefact.split
        return cell.artefact.dataset.entry.id, split.id, split.sha256, cell.choice.label, cell.seed

    @property
    def reason(self) -> str:
        """Why it has no scores, or its state."""
        parts = (self.record["error_class"], self.record["message"])
        return ": ".join(str(part) for part in parts if part) or str(self.record["state"])


def by_design(scored: Sequence[Scored]) -> Iterable[list[Scored]]:
    """Cells of one method on one split design of one dataset, or on one stratum of it that is a question of
    its own: what a summary pools."""

    def design(item: Scored) -> tuple[str, str, str, str]:
        split = item.cell.artefact.split
        dataset = item.cell.artefact.dataset.entry.id
        return dataset, pooled_as(split), sha256_json(split.design), item.cell.choice.label

    for _, group in groupby(sorted(scored, key=design), key=design):
        yield sorted(group, key=lambda item: item.position)


def to_pool(group: Sequence[Scored], bounds: Mapping[str, pd.DataFrame]) -> list[aggregate.Scored]:
    """Cells as aggregation takes them; one without a prediction leaves every condition unanswered.

    ``bounds`` maps a split's sha256 to the per-condition scores of its bounds.
    """
    runs = []
    for item in group:
        split, dataset = item.cell.artefact.split, item.cell.artefact.dataset
        frame = (
            item.frame if item.frame is not None else aggregate.unscored(bounds[split.sha256], item.reason)
        )
        repeat = re.search(r"/r(\d+)f\d+$", split.id)
        runs.append(
            aggregate.Scored(
                scores=frame,
                bounds=bounds[split.sha256],
                split=split.sha256,
                seed=item.cell.seed,
                residual=item.cell.choice.residual,
                repeat=int(repeat.group(1)) if repeat else 0,
                test_to_train=len(split.test) / max(1, len(split.train)),
                seen=seen_singles(split, dataset.conditions),
            )
        )
    return runs
