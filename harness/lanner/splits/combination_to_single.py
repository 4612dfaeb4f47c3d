"""Hold out singles whose combinations are known: take a joint effect apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lanner.records import Condition
from lanner.splits.design import Draw, Holdout, Material, ids, split_design
from lanner.splits.parameters import Parameter, fraction
from lanner.splits.targets import is_combination, parts


@split_design(
    "combination-to-single",
    fraction(1.0, "Share of the candidate targets whose singles are held out, everywhere."),
    Parameter(
        name="candidates",
        default="combined",
        help="combined: targets that are part of a combination in the same context; all: every target.",
        schema={"enum": ["combined", "all"]},
    ),
    Parameter(
        name="partners_stay",
        default=False,
        help="Hold out at most one target of any combination, so that the singles of its partners stay.",
        schema={"type": "boolean"},
        only={"folds": 1},
        implicit=True,
    ),
)
def combination_to_single(material: Material, parameters: Mapping[str, Any], draw: Draw) -> Iterator[Holdout]:
    """Hold out singles, all combinations stay in train: the inverse of unseen-combination.

    PEREGGRN's demultiplexing where every target is a candidate and, where partners stay besides,
    PerturBench's combine_inverse (arXiv:2408.10609). A held-out target's singles are held out in every
    context and at every dose; they are tested where, in the same context, a training combination holds the
    target (or, for all, anywhere).
    """
    combinations = [c for c in material.conditions if is_combination(c)]
    if not combinations:
        raise material.error("it has no combinations", "use unseen-perturbation or unseen-context")
    combined = {(part, c.context_id) for c in combinations for part in parts(c)}
    singles = [c for c in material.conditions if not is_combination(c)]
    may_test = ids(
        c
        for c in singles
        if c.id in material.testable
        and (parameters["candidates"] == "all" or any((p, c.context_id) in combined for p in parts(c)))
    )
    units = {part for c in singles if c.id in may_test for part in parts(c)}
    if not units:
        raise material.error(
            f"none of its {len(singles)} singles is part of a combination and can be tested",
            "set candidates to all or lower minimum_cells",
        )
    if draw.folds > len(units):
        raise material.error(f"{draw.folds} folds cannot be cut from {len(units)} targets", "lower folds")
    test_units = frozenset(draw.held_out(units, parameters.get("fraction"), most=len(units)))
    rest = {part for c in singles for part in parts(c)} - test_units
    valid_units = frozenset(draw.reserved(rest, parameters["valid_fraction"], most=len(rest)))
    if parameters.get("partners_stay"):
        partners = _partners(combinations)
        test_units = _strangers(draw.ranked(units, "test"), len(test_units), partners, frozenset())
        rest = {part for c in singles for part in parts(c)} - test_units
        valid_units = _strangers(draw.ranked(rest, "valid"), len(valid_units), partners, test_units)
    held = ids(c for c in singles if not test_units.isdisjoint(parts(c)))
    yield Holdout(
        test=held & may_test,
        valid=ids(c for c in singles if not valid_units.isdisjoint(parts(c))),
        left_out=held - may_test,
    )


def _partners(combinations: Sequence[Condition]) -> dict[str, set[str]]:
    """Of every target that is part of a combination, the others it is ever combined with."""
    partners: dict[str, set[str]] = {}
    for c in combinations:
        for part in parts(c):
            partners.setdefault(part, set()).update(other for other in parts(c) if other != part)
    return partners


def _strangers(
    ranked: Sequence[str], most: int, partners: Mapping[str, set[str]], chosen: frozenset[str]
) -> frozenset[str]:
    """The first ``most`` of ``ranked`` that are partners neither of one another nor of those ``chosen``."""
    taken: list[str] = []
    near = {other for unit in chosen for other in partners.get(unit, ())}
    for unit in ranked:
        if len(taken) < most and unit not in near:
            taken.append(unit)
            near |= partners.get(unit, set())
    return frozenset(taken)
