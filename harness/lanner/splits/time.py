"""Hold out later time points: predict how a response goes on."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from lanner.splits.design import Draw, Holdout, Material, ids, reserve_conditions, split_design
from lanner.splits.parameters import Parameter

NUMBER = re.compile(r"[^0-9.+-]*([+-]?[0-9]+(?:\.[0-9]+)?)(.*)")


@split_design(
    "time",
    Parameter(
        name="column",
        default="time",
        help="Context column that holds the time.",
        schema={"type": "string", "minLength": 1},
    ),
    Parameter(
        name="order",
        default=None,
        help="Its values from early to late; by the number in them when null.",
        schema={
            "anyOf": [
                {"type": "null"},
                {"type": "array", "minItems": 2, "uniqueItems": True, "items": {"type": "string"}},
            ]
        },
    ),
    Parameter(
        name="held_out",
        default=1,
        help="How many of the latest time points are held out.",
        schema={"type": "integer", "minimum": 1},
    ),
    without=["repeats", "folds"],
)
def time(material: Material, parameters: Mapping[str, Any], draw: Draw) -> Iterator[Holdout]:
    """Hold out the latest time points: train on the earlier ones.

    Only perturbed cells are held out; the controls of the late contexts stay, as in unseen-context, and are
    the reference there. A perturbation first measured late is requested all the same.
    """
    column = parameters["column"]
    if column not in material.context_columns:
        known = ", ".join(material.context_columns) or "none"
        raise material.error(f"it has no context column {column!r}, only {known}", "name another column")
    place = material.context_columns.index(column)
    found = {c.context[place] for c in material.conditions}
    order = _ordered(material, found, parameters["order"])
    if len(order) <= parameters["held_out"]:
        raise material.error(
            f"{parameters['held_out']} of {len(order)} time points cannot be held out", "lower held_out"
        )
    late = frozenset(order[-parameters["held_out"] :])
    inside = ids(c for c in material.conditions if c.context[place] in late)
    rest = [c for c in material.conditions if c.id not in inside]
    yield Holdout(
        test=inside & material.testable,
        valid=reserve_conditions(rest, draw, parameters["valid_fraction"], min_train_contexts=0),
        left_out=inside - material.testable,
    )


def _ordered(material: Material, found: set[str], order: list[str] | None) -> list[str]:
    """Time points from early to late; those of ``order`` that no perturbed condition has are passed over."""
    if order is not None:
        missing = sorted(found - set(order))
        if missing:
            raise material.error(f"order leaves out the time point {missing[0]!r}", "add it")
        return [value for value in order if value in found]
    parsed = {value: _number(value) for value in found}
    units = {unit for number, unit in parsed.values() if not math.isnan(number)}
    if len(units) > 1 or any(math.isnan(number) for number, _ in parsed.values()):
        example = ", ".join(map(repr, sorted(found)[:3]))
        raise material.error(f"its time points have no common unit ({example})", "give their order")
    return sorted(found, key=lambda value: (parsed[value][0], value))


def _number(text: str) -> tuple[float, str]:
    """The first number of a time point and the unit behind it; NaN where there is none."""
    match = NUMBER.fullmatch(text.strip())
    return (float(match[1]), match[2].strip().lower()) if match else (math.nan, "")
