"""Hold out interventions whole, and cells of the others and of the controls: for what acts on what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lanner.splits.design import Draw, Holdout, Material, ids, split_design
from lanner.splits.parameters import Parameter, fraction
from lanner.splits.stratified_cells import cell_parts
from lanner.splits.targets import is_combination


@split_design(
    "held-out-interventions",
    fraction(0.25, "Share of the interventions that are held out, in every context.", below_one=True),
    Parameter(
        name="cell_fraction",
        default=0.3,
        help="Share of the cells of every other intervention that is held out.",
        schema={"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    ),
    without=("valid_fraction",),
)
def held_out_interventions(
    material: Material, parameters: Mapping[str, Any], draw: Draw
) -> Iterator[Holdout]:
    """Hold out interventions on single genes whole, and cells of all others.

    CausalBench holds out cells alone. Tested are the held-out interventions with all their cells, and the
    others with the part of theirs that nobody trains on, so that a network can be judged on causes that were
    seen at work and on causes that were not. Controls are cut by the control policy, as everywhere.
    Combinations are in no part: an intervention here is one gene, and a combination would show what is held
    out. Labels without gene targets are no interventions on a gene and only train.
    """
    if material.kind != "cells":
        raise material.error("profiles have no cells to hold out", "use a dataset of cells")
    single = [c for c in material.conditions if not is_combination(c) and len(c.targets) == 1]
    combined = ids(c for c in material.conditions if is_combination(c))
    units = {c.targets[0] for c in single if c.id in material.testable}
    if len(units) < 2:
        raise material.error(
            f"it takes 2 testable interventions to hold one out and train on another, there are {len(units)}",
            "lower minimum_cells, or use a dataset whose perturbations target genes",
        )
    if draw.folds > len(units):
        raise material.error(
            f"{draw.folds} folds cannot be cut from {len(units)} interventions", "lower folds"
        )
    held = frozenset(draw.held_out(units, parameters.get("fraction"), most=len(units) - 1))
    how = {"fraction": parameters["cell_fraction"], "repeat": draw.repeat, "valid_fraction": 0.0}
    least = parameters["minimum_cells"]
    unseen = ids(c for c in single if c.targets[0] in held)
    seen = ids(
        c
        for c in single
        if c.targets[0] not in held and len(cell_parts(range(c.n_cells), how)[2]) >= least and c.n_cells > 1
    )
    yield Holdout(test=(unseen | seen) & material.testable, left_out=unseen | combined, cells=how)
