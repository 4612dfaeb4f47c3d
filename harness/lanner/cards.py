"""What a number of any task is judged by: the cards of metrics and the roles of bounds, by name.

Aggregation, skill, intervals and leaderboards know a metric by its card and a bound by its role, and nothing
of what either is computed from: that is a task's own. Names are shared by all tasks, so that a row of any of
them says with one word what it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, Protocol

from lanner.records import sha256_json
from lanner.registry import Registry

__all__ = ["CARDS", "ROLES", "Card", "Role", "Scorecard", "components"]


class Scorecard(Protocol):
    """What every card says of a metric's numbers, whatever they are computed from; see ``Card``."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def id(self) -> str:
        """Name of the metric."""

    @property
    def version(self) -> int:
        """Raised when the same prediction would get another number."""

    @property
    def title(self) -> str:
        """Name for people."""

    @property
    def level(self) -> str:
        """What is compared: centroid, retrieval, interventional ..."""

    @property
    def better(self) -> str:
        """higher, lower, nearest (to ``best``) or neither."""

    @property
    def best(self) -> float:
        """The value of a perfect prediction; infinite where there is no best."""

    @property
    def chance(self) -> float | str | None:
        """What guessing gives: a number, the name of a quantity per unit, or None."""

    @property
    def requires(self) -> str:
        """What a prediction must give."""

    @property
    def unit(self) -> str:
        """What has a value of its own and is resampled, in words: ``target gene``, ``regulator``."""

    @property
    def min_conditions(self) -> int:
        """Units it takes for a place among the primary metrics."""

    @property
    def worst_of(self) -> tuple[str, ...]:
        """The metrics a composite is made of."""

    @property
    def sha256(self) -> str:
        """Hash of the whole card."""

    @property
    def sign(self) -> int:
        """+1 where larger values are better, else -1."""

    def merit(self, values: Any) -> Any:
        """Values turned so that larger is better."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """Everything that has to be stated for two numbers of one name to be comparable (metrics.md section 3).

    ``requires`` is what a prediction must give, ``requires_truth`` what the dataset must have. ``chance`` is
    a number, None (no chance value exists) or the name of a per-condition quantity the function returns.
    ``better`` is higher, lower, nearest (to ``best``) or neither (information about the truth).
    ``worst_of`` names the metrics a composite is made of: its row in an aggregate is that of the one with the
    worse skill, and it has no value of its own in a condition. ``min_cells`` counts cells of a truth part;
    ``min_conditions`` are needed for a place among primary metrics. ``labels`` names the rule of ``LABELS``
    that decides which genes are positives.
    """

    id: str
    version: int
    title: str
    summary: str
    level: str
    space: str
    reference: str
    distance: str
    estimator: str
    weights: str
    candidates: str
    ties: str
    undefined: str
    better: str
    best: float
    chance: float | str | None
    invariances: tuple[str, ...]
    requires: str
    requires_truth: str
    labels: str | None
    min_cells: int
    min_conditions: int
    min_positives: int
    tolerance: float
    citation: str
    worst_of: tuple[str, ...]

    @cached_property
    def sha256(self) -> str:
        """Hash of the whole card; score rows carry it beside ``id@version``."""
        return sha256_json(asdict(self))

    @property
    def unit(self) -> str:
        """What is resampled: conditions that share a target gene are not independent."""
        return "target gene"

    @property
    def sign(self) -> int:
        """+1 where larger values are better, -1 where smaller ones (or distances to ``best``) are."""
        return 1 if self.better == "higher" else -1

    def merit(self, values: Any) -> Any:
        """Values turned so that larger is better; a ratio such as a slope loses by its distance to ``best``.

        Information, which is neither better nor worse, is worth the same whatever its value.
        """
        if self.better == "nearest":
            return -abs(values - self.best)
        return 0 * values if self.better == "neither" else self.sign * values


CARDS: Registry[Scorecard] = Registry("metric")
"""Cards of all metrics of all tasks; whoever registers a metric adds its card."""


@dataclass(frozen=True, kw_only=True)
class Role:
    """What a bound is for.

    A negative bound knows nothing a method is not told, a positive one has seen the truth. ``anchors`` marks
    the positive bound that skill is measured by, ``levels`` the levels of cards it does so for (all where
    empty). ``reference`` marks the negative bound that every method is compared with, paired.
    """

    id: str
    kind: Literal["negative", "positive"]
    anchors: bool = False
    levels: tuple[str, ...] = ()
    reference: bool = False

    def anchors_for(self, level: str) -> bool:
        """Whether skill at metrics of ``level`` is measured by it."""
        return self.anchors and (not self.levels or level in self.levels)


ROLES: Registry[Role] = Registry("bound")
"""Roles of all bounds of all tasks; whoever registers a bound adds its role."""


def components(names: Sequence[str]) -> tuple[str, ...]:
    """The metrics that are computed for ``names``: composites replaced by what they are made of, none twice.

    Raises ConfigurationError for an id nobody registered.
    """
    parts = (CARDS[name].worst_of or (name,) for name in names)
    return tuple(dict.fromkeys(name for group in parts for name in group))
