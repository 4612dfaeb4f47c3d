"""What a split design is: a function that says which conditions one draw holds out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from lanner.errors import ConfigurationError
from lanner.records import Condition, canonical_json, derived_seed
from lanner.registry import Registry
from lanner.splits.parameters import COMMON, Parameter

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T", str, tuple[str, str])
Effects = Callable[[], Mapping[str, "np.ndarray[Any, Any]"]]


@dataclass(frozen=True, kw_only=True)
class Material:
    """What a design cuts: perturbed conditions sorted by id, and which of them can be tested at all.

    A condition is testable when its context has controls and, for cells, it has ``minimum_cells`` of them.
    ``context_columns`` name the values of a condition's context. ``effects`` gives each condition's measured
    change from its controls, ``(n_genes,)``: truth, which only a design marked so may look at.
    """

    design: str
    dataset: str
    conditions: tuple[Condition, ...]
    testable: frozenset[str]
    kind: str = "cells"
    context_columns: tuple[str, ...] = ()
    effects: Effects | None = None

    def error(self, why: str, advice: str) -> ConfigurationError:
        """The error that this dataset cannot be cut this way."""
        return ConfigurationError(f"split {self.design} of dataset {self.dataset}: {why}; {advice}")


@dataclass(frozen=True, kw_only=True)
class Draw:
    """The random decisions of one artefact: repeat ``repeat``, fold ``fold`` of ``folds``.

    Every item gets its own number, derived from seed, repeat, purpose and the item's name alone, and items
    are ranked by it. So a decision depends on neither the order of the data, nor the process, nor the NumPy
    version, and a new condition in the data moves few of the others.
    """

    seed: int
    repeat: int = 0
    fold: int = 0
    folds: int = 1

    def ranked(self, items: Iterable[T], purpose: str) -> list[T]:
        """Distinct ``items`` in random order."""
        text = f"{self.seed}/{self.repeat}"
        return sorted(
            set(items), key=lambda item: (derived_seed(f"{text}/{canonical_json(item)}", purpose), item)
        )

    def held_out(self, items: Iterable[T], fraction: float | None, most: int) -> list[T]:
        """The units this artefact tests: its fold, or with a fraction at least one and at most ``most``."""
        ranked = self.ranked(items, "test")
        if fraction is None:
            return ranked[self.fold :: self.folds]
        return ranked[: min(max(1, round_half_up(fraction * len(ranked))), most)]

    def reserved(self, items: Iterable[T], fraction: float, most: int) -> list[T]:
        """The units kept for validation: none for fraction 0, else at least one and at most ``most``."""
        ranked = self.ranked(items, "valid")
        if fraction == 0:
            return []
        return ranked[: max(0, min(max(1, round_half_up(fraction * len(ranked))), most))]


@dataclass(frozen=True, kw_only=True)
class Holdout:
    """Condition ids one artefact keeps from training; everything not named here is train.

    ``left_out`` is in no part: conditions that would leak what is tested, or are held out but not testable.
    ``stratum`` becomes part of the artefact's id. ``cells`` is given where cells within conditions are held
    out: the parts then share conditions (``Split.cells``).
    """

    test: frozenset[str]
    valid: frozenset[str] = frozenset()
    left_out: frozenset[str] = frozenset()
    stratum: str = ""
    cells: Mapping[str, Any] | None = None


Function = Callable[[Material, Mapping[str, Any], Draw], Iterator[Holdout]]


@dataclass(frozen=True, kw_only=True)
class SplitDesign:
    """A rule for holding out conditions, by the name a leaderboard uses, and its parameters.

    ``without`` names common parameters that mean nothing for it. ``mark`` is what a reader must be told
    beside every number: that the task is an upper bound, that the cut has looked at the truth.
    """

    id: str
    function: Function
    own: tuple[Parameter, ...] = field(default=())
    without: frozenset[str] = frozenset()
    mark: str = ""

    @property
    def summary(self) -> str:
        """The first line of the function's documentation."""
        return (self.function.__doc__ or "").partition("\n")[0]

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Its own parameters, then the common ones it does not replace."""
        hidden = self.without | {parameter.name for parameter in self.own}
        return (*self.own, *(parameter for parameter in COMMON if parameter.name not in hidden))


SPLITS: Registry[SplitDesign] = Registry("split design")


def split_design(
    name: str, *parameters: Parameter, without: Iterable[str] = (), mark: str = ""
) -> Callable[[Function], SplitDesign]:
    """Register a function as the split design ``name``."""

    def register(function: Function) -> SplitDesign:
        design = SplitDesign(
            id=name, function=function, own=parameters, without=frozenset(without), mark=mark
        )
        return SPLITS.add(name, design)

    return register


def round_half_up(value: float) -> int:
    """The nearest integer; ``round`` would send 0.5 and 2.5 to even numbers."""
    return int(value + 0.5)


def per_cent(share: float) -> str:
    """A share that can stand in an artefact's id and sorts as it should: 0.125 is ``012-5``."""
    whole, _, rest = f"{100 * share:.6f}".partition(".")
    return "-".join(filter(None, (whole.zfill(3), rest.rstrip("0"))))


def ids(conditions: Iterable[Condition]) -> frozenset[str]:
    """The ids of ``conditions``."""
    return frozenset(condition.id for condition in conditions)


def reserve_conditions(
    remaining: Sequence[Condition], draw: Draw, fraction: float, *, min_train_contexts: int
) -> frozenset[str]:
    """Validation conditions out of ``remaining`` that leave each perturbation enough training contexts."""
    contexts: dict[str, set[str]] = {}
    for condition in remaining:
        contexts.setdefault(condition.perturbation, set()).add(condition.context_id)
    pairs = [(condition.perturbation, condition.context_id) for condition in remaining]
    wanted = round_half_up(fraction * len(set(pairs)))
    taken: set[tuple[str, str]] = set()
    for perturbation, context in draw.ranked(pairs, "valid"):
        if len(taken) < wanted and len(contexts[perturbation]) > min_train_contexts:
            contexts[perturbation].discard(context)
            taken.add((perturbation, context))
    return ids(c for c in remaining if (c.perturbation, c.context_id) in taken)
