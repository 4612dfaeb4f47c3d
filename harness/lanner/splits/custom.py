"""Hold out what a list says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from lanner.records import CONTROL
from lanner.registry import unknown_name
from lanner.splits.design import Draw, Holdout, Material, ids, split_design
from lanner.splits.parameters import Parameter

IDS = {"type": "array", "items": {"type": "string", "minLength": 1}}


@split_design(
    "custom",
    Parameter(name="test", default=[], help="Ids of the conditions to test, at least one.", schema=IDS),
    Parameter(name="valid", default=[], help="Ids of the conditions kept for validation.", schema=IDS),
    Parameter(
        name="train",
        default=None,
        help="Ids of the conditions to train on; all that are not listed elsewhere when null.",
        schema={"anyOf": [{"type": "null"}, IDS]},
    ),
    without=["repeats", "folds", "valid_fraction"],
)
def custom(material: Material, parameters: Mapping[str, Any], draw: Draw) -> Iterator[Holdout]:
    """Hold out the conditions of a list: any question the other designs do not ask.

    Every id must exist, once, in one list. Controls are never listed: the control policy alone says which of
    them are staged. What a tested condition lacks to be tested is an error, not an omission.
    """
    listed = {name: parameters[name] or [] for name in ("test", "valid", "train")}
    if not listed["test"]:
        raise material.error("test lists no condition", "list the ids of the conditions to test")
    known = ids(material.conditions)
    for where, names in listed.items():
        for name in names:
            if name.split("|")[0] == CONTROL:
                raise material.error(
                    f"{where} lists the control condition {name!r}",
                    "leave controls out: the parameter controls says how they are shared",
                )
            if name not in known:
                raise unknown_name(f"condition of dataset {material.dataset}", name, known)
    times = Counter(name for names in listed.values() for name in names)
    twice = next((name for name in sorted(times) if times[name] > 1), None)
    if twice is not None:
        where = " and ".join(key for key, names in listed.items() if twice in names)
        raise material.error(f"condition {twice!r} is listed twice, in {where}", "keep it in one list")
    untestable = sorted(set(listed["test"]) - material.testable)
    if untestable:
        raise material.error(
            f"{untestable[0]!r} and {len(untestable) - 1} more cannot be tested: no controls in the context, "
            "or fewer than minimum_cells cells",
            "take them out of test or lower minimum_cells",
        )
    held = frozenset(listed["test"]) | frozenset(listed["valid"])
    unlisted = known - held - frozenset(listed["train"]) if parameters["train"] is not None else frozenset()
    yield Holdout(
        test=frozenset(listed["test"]), valid=frozenset(listed["valid"]), left_out=frozenset(unlisted)
    )
