"""Parameters of split designs: declared once, checked, and filled in before anything is drawn."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from lanner.errors import ConfigurationError
from lanner.registry import unknown_name


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter of a split design.

    ``schema`` is a JSON Schema of the value. ``only`` maps other parameters to the value they must have for
    this one to mean anything: elsewhere it is left out of the split, and giving it is an error. ``implicit``
    ones are left out of the split where they have their default: a parameter that a design gains later must
    not change the hash of splits that do without it.
    """

    name: str
    default: Any
    help: str
    schema: Mapping[str, Any]
    only: Mapping[str, Any] = field(default_factory=dict)
    implicit: bool = False


COMMON = (
    Parameter(
        name="repeats",
        default=1,
        help="Independent draws of the design; artefacts are then named r<i>f<j>.",
        schema={"type": "integer", "minimum": 1, "maximum": 1000},
    ),
    Parameter(
        name="folds",
        default=1,
        help="Cut the units into this many folds and test each in turn, instead of holding out a fraction.",
        schema={"type": "integer", "minimum": 1, "maximum": 1000},
    ),
    Parameter(
        name="valid_fraction",
        default=0.0,
        help="Part of the remaining units reserved for validation: neither in train nor requested.",
        schema={"type": "number", "minimum": 0, "exclusiveMaximum": 1},
    ),
    Parameter(
        name="controls",
        default="auto",
        help="Stage half of each context's controls and seal the rest, or share all; auto halves from 100.",
        schema={"enum": ["auto", "halved", "shared"]},
    ),
    Parameter(
        name="minimum_cells",
        default=2,
        help="Conditions with fewer cells are never tested, and held out all the same where training leaks.",
        schema={"type": "integer", "minimum": 1},
    ),
)
"""What every design understands. A design that declares one of these names itself replaces it."""

FOLDS = next(parameter for parameter in COMMON if parameter.name == "folds")


def fraction(
    default: float, help: str, *, below_one: bool = False, only: Mapping[str, Any] | None = None
) -> Parameter:
    """The ``fraction`` parameter of a design that holds out part of its units unless ``folds`` are given."""
    bound = {"exclusiveMaximum": 1} if below_one else {"maximum": 1}
    return Parameter(
        name="fraction",
        default=default,
        help=help,
        schema={"type": "number", "exclusiveMinimum": 0, **bound},
        only={"folds": 1, **(only or {})},
    )


def filled_in(design: str, declared: Iterable[Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """``given`` checked against ``declared``, with every default that applies. Idempotent.

    Raises
    ------
    ConfigurationError
        For an unknown name (with the nearest one), a value out of range, or a parameter that means nothing
        beside the others.
    """
    known = {parameter.name: parameter for parameter in declared}
    for name in given:
        if name not in known:
            raise unknown_name(f"parameter of split {design}", name, known)
    values = {
        name: _checked(design, parameter, given.get(name, parameter.default))
        for name, parameter in known.items()
    }
    for name, parameter in known.items():
        unmet = {other: value for other, value in parameter.only.items() if values.get(other, value) != value}
        if unmet and values[name] != parameter.default:
            other, value = next(iter(unmet.items()))
            raise ConfigurationError(
                f"split {design}: parameter {name} applies only where {other} is {value!r}, "
                f"and it is {values[other]!r}; leave {name} out"
            )
        if unmet:
            del values[name]
    return {
        name: value
        for name, value in values.items()
        if not (known[name].implicit and value == known[name].default)
    }


def _checked(design: str, parameter: Parameter, value: Any) -> Any:
    """``value`` in the one form it is hashed in: 1 and 1.0 are the same fraction."""
    kind = parameter.schema.get("type")
    error = best_match(Draft202012Validator(parameter.schema).iter_errors(value))
    finite = not isinstance(value, float) or math.isfinite(value)
    if error is not None or not finite:
        reason = error.message if error else f"{value} is not a finite number"
        raise ConfigurationError(f"split {design}: parameter {parameter.name}: {reason}; correct the value")
    return float(value) if kind == "number" else int(value) if kind == "integer" else value
