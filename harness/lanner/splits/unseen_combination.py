"""Hold out combinations: their parts may be known, their joint effect is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from lanner.splits.design import Draw, Holdout, Material, ids, split_design
from lanner.splits.parameters import FOLDS, Parameter, fraction
from lanner.splits.targets import count_seen, held_out_by_target, is_combination, parts, singles


@split_design(
    "unseen-combination",
    fraction(0.5, "Share of the combinations held out, in every context and at every dose."),
    Parameter(
        name="requires_singles",
        default=False,
        help="Test only combinations whose parts were all measured alone in the same context.",
        schema={"type": "boolean"},
    ),
    Parameter(
        name="by_seen",
        default=False,
        help="Hold out targets too, and test combinations apart by how many of their singles were seen.",
        schema={"type": "boolean"},
        implicit=True,
    ),
    Parameter(
        name="target_fraction",
        default=0.25,
        help="Share of the targets whose singles and combinations are all held out.",
        schema={"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        only={"by_seen": True},
    ),
    replace(FOLDS, only={"by_seen": False}),
    apart=True,
)
def unseen_combination(material: Material, parameters: Mapping[str, Any], draw: Draw) -> Iterator[Holdout]:
    """Hold out combinations, all singles stay in train: predict joint effects.

    Half of the doubles is what Ahlmann-Eltze (doi:10.1038/s41592-025-02772-6) and Miller
    (doi:10.1101/2025.10.20.683304) hold out; PerturBench takes 30 %. ``seen_singles`` stratifies the result.
    A combination whose label is held out is held out in every context. Higher orders are units of their
    own: A+B+C may stay in train while A+B is tested. ``by_seen`` asks the three questions of GEARS
    (doi:10.1038/s41587-023-01905-6) apart: the artefacts seen0, seen1 and seen2 have one train part.
    """
    combinations = [c for c in material.conditions if is_combination(c)]
    if not combinations:
        raise material.error("it has no combinations", "use unseen-perturbation or unseen-context")
    testable = material.testable
    if parameters["requires_singles"]:
        alone = singles(material.conditions)
        testable &= ids(c for c in combinations if count_seen(c, alone) == len(parts(c)))
    units = {c.perturbation for c in combinations if c.id in testable}
    if not units:
        raise material.error(
            f"none of its {len(combinations)} combinations can be tested",
            "set requires_singles to false or lower minimum_cells",
        )
    if draw.folds > len(units):
        raise material.error(
            f"{draw.folds} folds cannot be cut from {len(units)} combinations", "lower folds"
        )
    if parameters.get("by_seen"):
        yield from _by_seen(material, parameters, draw, testable & ids(combinations))
        return
    test_units = frozenset(draw.held_out(units, parameters.get("fraction"), most=len(units)))
    rest = {c.perturbation for c in combinations} - test_units
    valid_units = frozenset(draw.reserved(rest, parameters["valid_fraction"], most=len(rest)))
    held = ids(c for c in combinations if c.perturbation in test_units)
    yield Holdout(
        test=held & testable,
        valid=ids(c for c in combinations if c.perturbation in valid_units),
        left_out=held - testable,
    )


def _by_seen(
    material: Material, parameters: Mapping[str, Any], draw: Draw, testable: frozenset[str]
) -> Iterator[Holdout]:
    """Tested combinations by how many of their parts are, alone and in their context, in the train part."""
    if len({part for c in material.conditions for part in parts(c)}) < 2:
        raise material.error("it takes 2 targets to hold one out", "set by_seen to false")
    targets, combinations = 1 - parameters["target_fraction"], 1 - parameters["fraction"]
    held = held_out_by_target(material.conditions, draw, targets, combinations, "test")
    rest = [c for c in material.conditions if c.id not in held]
    doubles = {c.perturbation for c in rest if is_combination(c)}
    chosen = frozenset(draw.reserved(doubles, parameters["valid_fraction"], most=len(doubles)))
    valid = ids(c for c in rest if c.perturbation in chosen)
    seen = singles(c for c in rest if c.id not in valid)
    levels: dict[int, set[str]] = {}
    for condition in material.conditions:
        if condition.id in held & testable:
            levels.setdefault(count_seen(condition, seen), set()).add(condition.id)
    if not levels:
        raise material.error("no held-out combination can be tested", "raise fraction or target_fraction")
    for level in sorted(levels):
        test = frozenset(levels[level])
        yield Holdout(stratum=f"seen{level}", test=test, valid=valid, left_out=held - test)
