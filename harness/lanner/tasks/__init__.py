"""Tasks: what a method sees, what it returns, and which metrics judge it.

A task is one file of this package that adds a ``Task`` to ``TASKS``. It names metrics, split designs and
bounds by string, so that none of them has to be importable to describe the task.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from lanner.errors import ConfigurationError
from lanner.registry import NAME, Registry, import_all

__all__ = ["REVEAL_MODES", "TASKS", "Task", "add_task"]

REVEAL_MODES = {
    "none": "the name of the perturbation only",
    "dose": "also its dose",
    "level": "also the measured level of the target genes after perturbation, as PEREGGRN gives it",
}
"""What requests.csv may say of a held-out condition beyond its context."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A question asked of a method, and how the answer is judged.

    ``prediction`` is what is returned for every request: ``expression``, cells or a mean profile over the
    train genes. ``primary`` metrics rank and are fixed before any data is seen; ``metrics`` are computed by
    default and include them. ``splits`` are the designs the task is meant for; a leaderboard may name others.
    ``bounds`` anchor the metrics, ``n_cells`` is how many cells a method is asked for per request, and
    ``reveal`` the modes a leaderboard may choose from, the first one being the default.
    """

    id: str
    version: int
    summary: str
    prediction: str
    primary: tuple[str, ...]
    metrics: tuple[str, ...]
    splits: tuple[str, ...]
    bounds: tuple[str, ...]
    n_cells: int = 100
    reveal: tuple[str, ...] = ("none",)

    def __post_init__(self) -> None:
        missing = [name for name in self.primary if name not in self.metrics]
        malformed = [name for name in (*self.metrics, *self.splits, *self.bounds) if not NAME.fullmatch(name)]
        unknown = [mode for mode in self.reveal if mode not in REVEAL_MODES]
        problem = (
            (missing and f"primary metric {missing[0]!r} is not among its metrics; add it")
            or (malformed and f"the name {malformed[0]!r} must match {NAME.pattern}; correct it")
            or (unknown and f"reveal mode {unknown[0]!r} is none of {', '.join(REVEAL_MODES)}; correct it")
            or (not self.reveal and "it has no reveal mode; name at least none")
            or (not self.primary and "it has no primary metric; name one")
            or (self.n_cells < 1 and f"n_cells is {self.n_cells}; ask for at least 1")
            or (self.version < 1 and f"version is {self.version}; versions start at 1")
        )
        if problem:
            raise ConfigurationError(f"task {self.id}: {problem}")

    @property
    def versioned(self) -> str:
        """``id@version``, the form that goes into a run's key."""
        return f"{self.id}@{self.version}"


TASKS: Registry[Task] = Registry("task")


def add_task(task: Task) -> Task:
    """Register ``task`` under its id."""
    return TASKS.add(task.id, task)


import_all(sys.modules[__name__])
