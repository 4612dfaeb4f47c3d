"""Hold out singles whose combinations are known: take a joint effect apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

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
)
def combination_to_single(material: Material, parameters: Mapping[str, Any], draw: Draw) -> Iterator[Holdout]:
    """Hold out singles, all combinations stay in train: the inverse of unseen-combination.

    PerturBench's combo_inverse (arXiv:2408.10609) and, with every target a candidate, PEREGGRN's
    demultiplexing. A held-out target's singles are held out in every context and at every dose; they are
    tested where, in the same context, a training combination holds the target (or, for all, anywhere).
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
    held = ids(c for c in singles if not test_units.isdisjoint(parts(c)))
    yield Holdout(
        test=held & may_test,
        valid=ids(c for c in singles if not valid_units.isdisjoint(parts(c))),
        left_out=held - may_test,
    )
