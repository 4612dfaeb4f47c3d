"""Hold out perturbations: the method never saw what it must predict, in any context."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lanner.records import Condition
from lanner.splits.design import Draw, Holdout, Material, ids, split_design
from lanner.splits.parameters import Parameter, fraction
from lanner.splits.targets import is_combination, parts


@split_design(
    "unseen-perturbation",
    fraction(0.2, "Share of the targets held out, in every context and at every dose.", below_one=True),
    Parameter(
        name="strictness",
        default="strict",
        help="strict: no train combination has a held-out target; loose: it may; label: labels are units.",
        schema={"enum": ["strict", "loose", "label"]},
    ),
    Parameter(
        name="request",
        default="singles",
        help="Request held-out singles only, or also the combinations made of held-out targets alone.",
        schema={"enum": ["singles", "all"]},
    ),
)
def unseen_perturbation(material: Material, parameters: Mapping[str, Any], draw: Draw) -> Iterator[Holdout]:
    """Hold out targets in all contexts: predict perturbations never seen.

    The unit is the target (the label where there are no gene targets). Strict: a condition with any
    held-out target is never trained on, whether it is requested or not. Loose: only what could be requested
    is kept from training, so combinations with held-out targets stay unless ``request`` is all and every
    target of theirs is held out. GEARS (doi:10.1038/s41587-023-01905-6) holds out by gene like this. Label:
    the unit is the label, so A+B may be in train while A is tested, and the other way round: PEREGGRN's
    ``interventional`` and the cross-validation of Wong (doi:10.1093/bioinformatics/btaf317).
    """
    strictness = parameters["strictness"]
    by_label = strictness == "label"

    def units_of(condition: Condition) -> tuple[str, ...]:
        return (condition.perturbation,) if by_label else parts(condition)

    everything = parameters["request"] == "all"
    requestable = [c for c in material.conditions if everything or not is_combination(c)]
    units = {unit for c in requestable if c.id in material.testable for unit in units_of(c)}
    if len(units) < 2:
        raise material.error(
            f"it takes 2 testable targets to hold one out and train on another, and there are {len(units)}",
            "use another design, such as unseen-context, or lower minimum_cells",
        )
    if draw.folds > len(units):
        raise material.error(f"{draw.folds} folds cannot be cut from {len(units)} targets", "lower folds")
    test_units = frozenset(draw.held_out(units, parameters.get("fraction"), most=len(units) - 1))
    rest = units - test_units
    valid_units = frozenset(draw.reserved(rest, parameters["valid_fraction"], most=len(rest) - 1))
    held = test_units | valid_units

    test = ids(c for c in requestable if test_units.issuperset(units_of(c)))
    valid = ids(c for c in requestable if valid_units.issuperset(units_of(c)))
    if strictness == "strict":
        leaking = ids(c for c in material.conditions if not held.isdisjoint(parts(c)))
    else:
        leaking = ids(c for c in requestable if held.issuperset(units_of(c)))
    yield Holdout(
        stratum="" if strictness == "strict" else strictness,
        test=test & material.testable,
        valid=valid,
        left_out=leaking,
    )
