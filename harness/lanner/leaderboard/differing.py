"""What changed between two builds of a leaderboard: rows that came, went, or have other numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

COLUMNS = ("change", "dataset", "split", "method", "seed", "what", "before", "after")
FACTS = ("status", "error_class", "reason", "identity", "key", "unsealed", "verified")
NUMBERS = ("value", "skill", "n", "informative")


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Items with ``COLUMNS``, in the order of the rows; nothing where both documents agree in all of them.

    A row is recognised by dataset, split id, method label and seed, so a split drawn anew is a change of it.
    """
    old, new = _by_place(before), _by_place(after)
    for place in sorted({*old, *new}):
        dataset, split, method, seed = place
        first = {"dataset": dataset, "split": split, "method": method, "seed": seed}
        if place not in new or place not in old:
            change, row = ("added", new[place]) if place not in old else ("removed", old[place])
            yield {"change": change, **first, "what": "row", "before": None, "after": None} | {
                ("after" if change == "added" else "before"): row["status"]
            }
            continue
        for what, was, now in _changes(old[place], new[place]):
            yield {"change": "changed", **first, "what": what, "before": was, "after": now}


def _by_place(document: Mapping[str, Any]) -> dict[tuple[str, str, str, int], Mapping[str, Any]]:
    return {(row["dataset"], row["split"], row["method"], row["seed"]): row for row in document["rows"]}


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in ("split_sha256", *FACTS):
        if old.get(name) != new.get(name):
            yield name, old.get(name), new.get(name)
    before, after = old["scores"] or {}, new["scores"] or {}
    for metric in sorted({*before, *after}):
        for name in NUMBERS:
            was, now = before.get(metric, {}).get(name), after.get(metric, {}).get(name)
            if was != now:
                yield f"{metric} {name}", was, now
