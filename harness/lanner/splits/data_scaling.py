"""Train on nested subsets: what is gained by more data, on one test set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import ceil
from typing import Any

from lanner.splits.design import SPLITS, Draw, Holdout, Material, ids, per_cent, split_design
from lanner.splits.parameters import Parameter, filled_in
from lanner.splits.targets import parts

BASES = ("unseen-perturbation", "unseen-combination", "unseen-context", "unseen-target", "custom")
SHARED = ("repeats", "folds", "valid_fraction", "controls", "minimum_cells")


@split_design(
    "data-scaling",
    Parameter(
        name="base",
        default="unseen-perturbation",
        help="Design that holds out the test set.",
        schema={"enum": list(BASES)},
    ),
    Parameter(
        name="base_parameters",
        default={},
        help="Parameters of that design but the common ones, which are given here.",
        schema={"type": "object"},
    ),
    Parameter(
        name="fractions",
        default=[0.125, 0.25, 0.5, 1.0],
        help="Shares of the training perturbations, each subset part of the next.",
        schema={
            "type": "array",
            "minItems": 1,
            "uniqueItems": True,
            "items": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        },
    ),
    Parameter(
        name="keep_relatives",
        default=True,
        help="Keep what shares a target with a tested condition in every subset, so that the question stays.",
        schema={"type": "boolean"},
    ),
    without=["folds"],
)
def data_scaling(material: Material, parameters: Mapping[str, Any], draw: Draw) -> Iterator[Holdout]:
    """Hold out as another design does, and train on nested subsets of the rest.

    PerturBench's small, medium and full (arXiv:2408.10609). Perturbations are ranked once and the first ones
    make each subset, in all their contexts; the test set, the validation part and the controls are the same
    for all. Strata are named by per cent, ``n012-5`` for an eighth.
    """
    base = SPLITS[parameters["base"]]
    common = {name for name in SHARED if name in parameters} & {p.name for p in base.parameters}
    given = {**parameters["base_parameters"]}
    for name in given:
        if name in SHARED:
            raise material.error(
                f"base_parameters holds the common parameter {name!r}", "give it beside base"
            )
    inner = filled_in(base.id, base.parameters, {**given, **{name: parameters[name] for name in common}})
    for cut in base.function(material, inner, draw):
        held = cut.test | cut.valid | cut.left_out
        rest = [c for c in material.conditions if c.id not in held]
        tested = {part for c in material.conditions if c.id in cut.test for part in parts(c)}
        keep = parameters["keep_relatives"]
        scaled = {c.perturbation for c in rest if not keep or tested.isdisjoint(parts(c))}
        if len(scaled) < 2:
            raise material.error(
                f"{len(scaled)} training perturbations share nothing with what is tested",
                "hold out less or set keep_relatives to false",
            )
        ranked = draw.ranked(scaled, "data scaling")
        for fraction in sorted(parameters["fractions"]):
            dropped = frozenset(ranked[ceil(fraction * len(ranked)) :])
            yield replace(
                cut,
                stratum="/".join(filter(None, (cut.stratum, f"n{per_cent(fraction)}"))),
                left_out=cut.left_out | ids(c for c in rest if c.perturbation in dropped),
            )
