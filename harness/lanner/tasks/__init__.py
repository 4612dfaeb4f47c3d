"""Tasks: what a method sees, what it returns, and which metrics judge it.

A task is one file of this package that adds an instance of a subclass of ``Task`` to ``TASKS``. Everything
that staging, intake, scoring, leaderboards and the command line do differently for one task than for another,
they ask it; they know nothing of any task themselves. What a method returns has one of the two layouts intake
can read: rows of X (``lanner.h5ad.checked.Expectation``) or a network in varp (``lanner.h5ad.network``).
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lanner.errors import ConfigurationError
from lanner.registry import NAME, Registry, import_all, unknown_name
from lanner.tasks.questions import Question

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from lanner.datasets import Dataset, Entry
    from lanner.h5ad.layout import Layout
    from lanner.ingest import IngestResult
    from lanner.records import Shard, Split
    from lanner.truth import Truth

__all__ = ["TASKS", "Option", "Question", "Task", "add_task"]


@dataclass(frozen=True, kw_only=True)
class Option:
    """Something a leaderboard may choose of a task, for all of its rows or for some.

    ``values`` are the names to choose from, the first being the default; or it is empty, and the option is a
    number from ``minimum`` to ``maximum`` of the type of ``default``. ``help`` says what it does.
    """

    default: str | int | float
    help: str
    values: tuple[str, ...] = ()
    minimum: float = 0
    maximum: float = float("inf")

    def parsed(self, text: str) -> Any:
        """``text`` as a value of this option, as far as it can be read as one."""
        if self.values:
            return text
        for kind in (int, float):
            try:
                return kind(text)
            except ValueError:
                continue
        return text

    def checked(self, what: str, value: Any) -> Any:
        """``value`` if it can be chosen; ConfigurationError, which names it ``what``, where it cannot."""
        if self.values:
            if value not in self.values:
                raise unknown_name(what.replace(" of ", " mode of ", 1), str(value), self.values)
            return value
        whole = isinstance(self.default, int)
        fits = isinstance(value, int) if whole else isinstance(value, int | float)
        if isinstance(value, bool) or not fits or not self.minimum <= value <= self.maximum:
            kind = "a whole number" if whole else "a number"
            raise ConfigurationError(
                f"{what} is {value!r}; give {kind} from {self.minimum:g} to {self.maximum:g}"
            )
        return value if whole else float(value)


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """A question asked of a method, and how the answer is judged.

    ``primary`` metrics rank and are fixed before any data is seen; ``metrics`` are computed by default and
    include them. ``splits`` are the designs the task is meant for; a leaderboard may name others. ``bounds``
    anchor the metrics; ``reference`` says in words which of them every method is compared with.
    ``baselines`` are methods, ``simple`` negative bounds: ``lanner run --compare`` sets a method beside them.
    ``gates_controls``: whether a leaderboard says where a method or a negative bound beats the positive one.
    """

    id: str
    version: int
    summary: str
    primary: tuple[str, ...]
    metrics: tuple[str, ...]
    splits: tuple[str, ...]
    bounds: tuple[str, ...]
    reference: str = "the training mean"
    baselines: tuple[str, ...] = ()
    simple: tuple[str, ...] = ()
    gates_controls: bool = True
    options: Mapping[str, Option] = field(default_factory=dict)

    def __post_init__(self) -> None:
        missing = [name for name in self.primary if name not in self.metrics]
        names = (*self.metrics, *self.splits, *self.bounds, *self.baselines, *self.simple)
        malformed = [name for name in names if not NAME.fullmatch(name)]
        problem = (
            (missing and f"primary metric {missing[0]!r} is not among its metrics; add it")
            or (malformed and f"the name {malformed[0]!r} must match {NAME.pattern}; correct it")
            or (not self.primary and "it has no primary metric; name one")
            or (not self.splits and "it is meant for no split design; name one")
            or (self.version < 1 and f"version is {self.version}; versions start at 1")
        )
        if problem:
            raise ConfigurationError(f"task {self.id}: {problem}")

    @property
    def versioned(self) -> str:
        """``id@version``, the form that goes into a run's key."""
        return f"{self.id}@{self.version}"

    # What a leaderboard may choose

    def chosen(self, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Every option, ``given`` ones checked; ConfigurationError for an unknown name or value."""
        for name in given or {}:
            if name not in self.options:
                raise unknown_name(f"option of task {self.id}", name, self.options)
        return {
            name: option.checked(f"{name} of task {self.id}", (given or {}).get(name, option.default))
            for name, option in self.options.items()
        }

    def recommended(self, designs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Split designs to use where a leaderboard names none, of those the dataset's entry recommends."""
        return [design for design in designs if design["id"] in self.splits] or [{"id": self.splits[0]}]

    def keyed(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """What of its options, all given, is part of a run's key."""
        return {"options": dict(options)}

    def published(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """What leaderboard.json says of the options all rows share, at its top."""
        return {"options": dict(options)} if options else {}

    # What a method sees

    def seal(
        self, dataset: Dataset, split: Split, home: Path, talk: Callable[[str], None] = lambda _: None
    ) -> Truth:
        """The sealed side of a split, made where it is absent: cells held out, halvings, references."""
        from lanner.sealing import seal

        return seal(dataset, split, self.id, home, talk)

    def train_rows(self, dataset: Dataset, split: Split, options: Mapping[str, Any]) -> np.ndarray[Any, Any]:
        """Sorted numbers of the dataset's rows that train.h5ad holds: train conditions and controls A."""
        from lanner.sides import control_halves, train_rows

        return train_rows(dataset, split, control_halves(dataset, split))

    def shared_by(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """What of the options decides the bytes of the input that the runs of a split share."""
        return {"options": dict(options)}

    def write_shared(
        self, dataset: Dataset, split: Split, truth: Truth, options: Mapping[str, Any], folder: Path
    ) -> dict[str, Any]:
        """Write this task's files beside train.h5ad; returns what has to be known of them later, as JSON."""
        return {}

    def files(self, options: Mapping[str, Any]) -> dict[str, str]:
        """This task's files in /input: name there -> name in the shared folder."""
        return {}

    def document(self, shared: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
        """This task's fields of task.json, and those of the common ones that it changes."""
        return {"options": dict(options)} if options else {}

    def read_back(self, folder: Path, document: Mapping[str, Any]) -> dict[str, Any]:
        """What ``write_shared`` returned, from an input folder and its task.json; OSError, KeyError ..."""
        return {}

    def is_of(self, shared: Mapping[str, Any], truth: Truth) -> bool:
        """Whether an input that was read back still asks what the truth can answer."""
        return tuple(shared["genes"]) == truth.genes

    # What it returns, and how that is judged

    def questions(self) -> tuple[Question, ...]:
        """What ``lanner method check`` asks, the most ordinary first; its design on simulated cells."""
        return (Question(name="ordinary", says="simulated cells", split={"id": self.splits[0]}),)

    @abstractmethod
    def expectation(self, shared: Mapping[str, Any]) -> Layout:
        """The only prediction that is accepted. ``shared`` holds what ``write_shared`` returned, and
        ``genes``, ``dataset`` and ``request_ids``, which are empty where the task makes no requests."""

    def output_bytes(self, n_requests: int, n_genes: int) -> int:
        """About how large one prediction gets on disk, scores not counted."""
        return 4 * n_requests * n_genes

    @abstractmethod
    def load(self) -> None:
        """Have the cards of the task's metrics and the roles of its bounds registered."""

    @abstractmethod
    def score(
        self,
        truth: Truth,
        result: IngestResult,
        metrics: Sequence[str],
        *,
        residual: str | None = None,
        device: str = "cpu",
    ) -> pd.DataFrame:
        """One row per metric, variant and unit: the columns of ``lanner.scoring.score``.

        ``condition`` names the unit, ``perturbation`` the gene (or label) it is resampled by.
        """

    @abstractmethod
    def score_bounds(self, truth: Truth, metrics: Sequence[str], *, device: str = "cpu") -> pd.DataFrame:
        """The rows of every bound, with ``bound``, ``kind`` and ``bds``: the share of truth parts in which a
        positive bound beats every negative one."""

    def judged_by(self, entry: Entry) -> dict[str, Any]:
        """What else decides stored scores and details: facts of the entry that its content does not cover.

        Where they change, scores and details are computed again and runs are not.
        """
        return {}

    def judged_with(self, truth: Truth) -> dict[str, Any]:
        """``judged_by`` as it was when the truth was sealed."""
        return {}

    def details(self, truth: Truth, result: IngestResult) -> dict[str, Any] | None:
        """What pages show of a prediction beyond its scores, JSON, stored beside them; None for nothing."""
        return None

    def bound_details(self, truth: Truth) -> dict[str, Any] | None:
        """The same of the bounds."""
        return None

    def most_shards(self, truth: Truth) -> int:
        """Into how many parts a scoring may be cut; 1 where units are not scored one by one."""
        return 1

    def score_shard(
        self,
        truth: Truth,
        result: IngestResult | None,
        metrics: Sequence[str],
        shard: Shard,
        *,
        residual: str | None = None,
        device: str = "cpu",
    ) -> pd.DataFrame:
        """One shard of ``score``, or of ``score_bounds`` where there is no ``result``.

        Its rows are those of the whole, bit for bit, with int64 columns ``row`` and ``rows``: a row's number
        there, and how many there are.
        """
        if shard.of != 1:
            raise ConfigurationError(f"task {self.id} is scored whole; ask for 1 shard, not {shard.of}")
        if result is None:
            frame = self.score_bounds(truth, metrics, device=device)
        else:
            frame = self.score(truth, result, metrics, residual=residual, device=device)
        return frame.assign(row=range(len(frame)), rows=len(frame))


TASKS: Registry[Task] = Registry("task")


def add_task(task: Task) -> Task:
    """Register ``task`` under its id."""
    return TASKS.add(task.id, task)


import_all(sys.modules[__name__])
