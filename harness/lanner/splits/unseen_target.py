"""Hold out targets with everything they are part of: singles and combinations by how much was seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lanner.splits.design import Draw, Holdout, Material, ids, split_design
from lanner.splits.parameters import Parameter
from lanner.splits.targets import held_out_by_target, is_combination, parts

SHARE = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}


@split_design(
    "unseen-target",
    Parameter(
        name="train_gene_set_size",
        default=0.75,
        help="Share of the targets that may be trained on, as GEARS names it.",
        schema=SHARE,
    ),
    Parameter(
        name="combo_seen2_train_frac",
        default=0.75,
        help="Share of the combinations of such targets that are trained on, as GEARS names it.",
        schema={"type": "number", "minimum": 0, "maximum": 1},
    ),
    Parameter(
        name="request",
        default="all",
        help="Request all that is held out, or held-out singles only.",
        schema={"enum": ["all", "singles"]},
    ),
    without=["folds"],
)
def unseen_target(material: Material, parameters: Mapping[str, Any], draw: Draw) -> Iterator[Holdout]:
    """Hold out targets and part of the other combinations: the simulation split of GEARS.

    Roohani 2024 (doi:10.1038/s41587-023-01905-6). What is tested falls into the levels unseen_single,
    combo_seen0, combo_seen1 and combo_seen2 (``seen_singles`` counts them), in one artefact, because they
    share one train part; ``unseen-combination`` with ``by_seen`` gives the levels apart. With
    ``valid_fraction`` the rule is applied once more to what is left, as GEARS does with 0.1.
    """
    units = {part for c in material.conditions for part in parts(c)}
    if len(units) < 2:
        raise material.error(
            f"it takes 2 targets to hold one out and train on another, and there are {len(units)}",
            "use another design, such as unseen-context",
        )
    targets, combinations = parameters["train_gene_set_size"], parameters["combo_seen2_train_frac"]
    held = held_out_by_target(material.conditions, draw, targets, combinations, "test")
    rest = [c for c in material.conditions if c.id not in held]
    valid: frozenset[str] = frozenset()
    if parameters["valid_fraction"] and len({part for c in rest for part in parts(c)}) > 1:
        share = 1 - parameters["valid_fraction"]
        valid = held_out_by_target(rest, draw, share, share, "valid")
    wanted = held & material.testable
    if parameters["request"] == "singles":
        wanted &= ids(c for c in material.conditions if not is_combination(c))
    yield Holdout(test=wanted, valid=valid, left_out=held - wanted)
