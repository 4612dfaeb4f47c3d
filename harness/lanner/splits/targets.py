"""What a perturbation acts on: its parts, whether it is a combination, how many of its singles were seen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from lanner.records import COMBINATION, Condition, Split
from lanner.splits.design import Draw, ids


def is_combination(condition: Condition) -> bool:
    """Whether two or more perturbations were given together."""
    return COMBINATION in condition.perturbation


def parts(condition: Condition) -> tuple[str, ...]:
    """The targets, or for perturbations without gene targets (a drug, a cytokine) the names in the label."""
    return condition.targets or tuple(condition.perturbation.split(COMBINATION))


def singles(conditions: Iterable[Condition]) -> frozenset[tuple[str, str]]:
    """``(part, context id)`` of everything measured alone, at whatever dose."""
    return frozenset(
        (part, condition.context_id)
        for condition in conditions
        if not is_combination(condition)
        for part in parts(condition)
    )


def count_seen(condition: Condition, seen: frozenset[tuple[str, str]]) -> int:
    """How many parts of ``condition`` are, alone and in its own context, among ``seen``."""
    return sum((part, condition.context_id) in seen for part in parts(condition))


def seen_singles(split: Split, conditions: Sequence[Condition]) -> dict[str, int]:
    """How many singles of each tested combination are in train: 0, 1 or 2 (more for higher orders).

    The levels of GEARS (Roohani 2024, doi:10.1038/s41587-023-01905-6: seen 0, 1, 2 of 2). A single counts
    as seen in the combination's own context, which is what an additive prediction needs; any dose counts.
    Keys are condition ids in test order; tested singles have no entry.
    """
    by_id = {condition.id: condition for condition in conditions}
    seen = singles(by_id[name] for name in split.train)
    return {name: count_seen(by_id[name], seen) for name in split.test if is_combination(by_id[name])}


def held_out_by_target(
    conditions: Iterable[Condition], draw: Draw, targets: float, combinations: float, purpose: str
) -> frozenset[str]:
    """Conditions to hold out where a drawn share of ``targets`` stays, and a share of the other combinations.

    What stays is rounded down, as in GEARS' ``get_simulation_split``; one target at least goes and one stays.
    """
    conditions = list(conditions)
    units = {part for c in conditions for part in parts(c)}
    count = min(max(1, _rest(targets, len(units))), len(units) - 1)
    held = frozenset(draw.ranked(units, f"{purpose} targets")[:count])
    others = {c.perturbation for c in conditions if is_combination(c) and held.isdisjoint(parts(c))}
    also = frozenset(draw.ranked(others, f"{purpose} combinations")[: _rest(combinations, len(others))])
    return ids(c for c in conditions if not held.isdisjoint(parts(c)) or c.perturbation in also)


def _rest(share: float, n: int) -> int:
    """What is left of ``n`` things when ``share`` of them, rounded down, stay; 0.9 of 10 are 9."""
    return n - math.floor(share * n + 1e-9)
