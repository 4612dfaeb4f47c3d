"""Hold out combinations: their parts may be known, their joint effect is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lanner.splits.design import Draw, Holdout, Material, ids, split_design
from lanner.splits.parameters import Parameter, fraction
from lanner.splits.targets import count_seen, is_combination, parts, singles


@split_design(
    "unseen-combination",
    fraction(0.5, "Share of the combinations held out, in every context and at every dose."),
    Parameter(
        name="requires_singles",
        default=False,
        help="Test only combinations whose parts were all measured alone in the same context.",
        schema={"type": "boolean"},
    ),
)
def unseen_combination(material: Material, parameters: Mapping[str, Any], draw: Draw) -> Iterator[Holdout]:
    """Hold out combinations, all singles stay in train: predict joint effects.

    Half of the doubles is what Ahlmann-Eltze (doi:10.1038/s41592-025-02772-6) and Miller
    (doi:10.1101/2025.10.20.683304) hold out; PerturBench takes 30 %. ``seen_singles`` stratifies the result.
    A combination whose label is held out is held out in every context. Higher orders are units of their
    own: A+B+C may stay in train while A+B is tested.
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
    test_units = frozenset(draw.held_out(units, parameters.get("fraction"), most=len(units)))
    rest = {c.perturbation for c in combinations} - test_units
    valid_units = frozenset(draw.reserved(rest, parameters["valid_fraction"], most=len(rest)))
    held = ids(c for c in combinations if c.perturbation in test_units)
    yield Holdout(
        test=held & testable,
        valid=ids(c for c in combinations if c.perturbation in valid_units),
        left_out=held - testable,
    )
