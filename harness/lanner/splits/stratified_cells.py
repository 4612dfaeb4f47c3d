"""Hold out cells within conditions: how well a condition's own cells tell of its other cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from lanner.splits.design import Draw, Holdout, Material, ids, round_half_up, split_design
from lanner.splits.parameters import fraction

T = TypeVar("T")
MARK = "upper-bound task: every tested condition is trained on with its other cells"


@split_design(
    "stratified-cells",
    fraction(0.5, "Share of the cells of every condition that is held out.", below_one=True),
    mark=MARK,
)
def stratified_cells(material: Material, parameters: Mapping[str, Any], draw: Draw) -> Iterator[Holdout]:
    """Hold out cells of every condition: an upper bound, not a prediction of anything unseen.

    PEREGGRN's stratified. A condition is tested where minimum_cells of its cells are held out and one is
    left to train on; otherwise all of its cells train. Controls are cut by the control policy, as everywhere.
    """
    if material.kind != "cells":
        raise material.error("profiles have no cells to hold out", "use another design")
    if parameters.get("folds", 1) > 1:
        how: dict[str, Any] = {"fold": draw.fold, "folds": draw.folds}
    else:
        how = {"fraction": parameters["fraction"]}
    how |= {"repeat": draw.repeat, "valid_fraction": parameters["valid_fraction"]}
    sizes = {c.id: [len(part) for part in cell_parts(range(c.n_cells), how)] for c in material.conditions}
    least = parameters["minimum_cells"]
    tested = frozenset(name for name in material.testable if sizes[name][0] >= 1 and sizes[name][2] >= least)
    if not tested:
        raise material.error(
            f"no condition has {least} cells to hold out and one to train on",
            "lower minimum_cells or raise fraction",
        )
    if any(c.n_cells < 1 for c in material.conditions):
        raise material.error("a condition has no cells", "check the dataset entry")
    valid = frozenset(name for name in tested if sizes[name][1])
    yield Holdout(test=tested, valid=valid & ids(material.conditions), cells=how)


def cell_parts(ranked: Sequence[T], how: Mapping[str, Any]) -> tuple[list[T], list[T], list[T]]:
    """Train, valid and test cells of one condition, cut from its cells in random order.

    ``how`` is ``Split.cells``: a ``fraction``, or a ``fold`` of ``folds``, is test; ``valid_fraction`` of the
    rest is valid. One cell at least is left to train on.
    """
    n = len(ranked)
    if "folds" in how:
        test = list(ranked[how["fold"] :: how["folds"]])
        rest = [item for place, item in enumerate(ranked) if place % how["folds"] != how["fold"]]
    else:
        cut = min(round_half_up(how["fraction"] * n), n - 1)
        test, rest = list(ranked[:cut]), list(ranked[cut:])
    n_valid = max(0, min(round_half_up(how["valid_fraction"] * len(rest)), len(rest) - 1))
    return rest[n_valid:], rest[:n_valid], test
