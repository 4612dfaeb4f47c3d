"""Parts of a split's conditions that are asked about by themselves: contexts, effect sizes, seen singles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from lanner.aggregate.intervals import MIN_CONDITIONS
from lanner.aggregate.pooling import Pooled, Scored

Array = np.ndarray[Any, Any]

EFFECTS = ("small", "medium", "large")
MAX_CONTEXTS = 50
"""More contexts than a reader compares are not listed one by one."""


def stratified(
    pooled: Pooled, effects: Mapping[str, str], seen: Mapping[str, int]
) -> Iterator[tuple[str, str, Array]]:
    """``(by, stratum, bool (n,))`` for every way to cut that gives two strata or more."""
    ways: list[tuple[str, list[str | None], Sequence[str]]] = [
        ("context", list(pooled.contexts), sorted(set(pooled.contexts))),
        ("effect size", [effects.get(name) for name in pooled.conditions], EFFECTS),
    ]
    counts = [str(seen[name]) if name in seen else None for name in pooled.conditions]
    ways.append(("seen singles", counts, sorted({count for count in counts if count is not None})))
    for by, labels, order in ways:
        found = [stratum for stratum in order if stratum in labels]
        if 2 <= len(found) <= MAX_CONTEXTS:
            for stratum in found:
                yield by, stratum, np.array([label == stratum for label in labels])


def effect_sizes(mse: Pooled | None) -> dict[str, str]:
    """Tercile of each condition's effect: small, medium or large; empty below 6 conditions or without mse.

    The squared effect is the product of the deltas of two halves, <t1 - c, t2 - c> with c the staged control
    mean. Noise of the halves cancels in it, so a condition of few cells does not pass for a strong one, and
    no method has a part in it. It is the mse of no-change less half of that of the technical duplicate, up to
    the number of genes; without a duplicate the mse of no-change alone.
    """
    if mse is None or len(mse.values) < MIN_CONDITIONS or "no-change" not in mse.negative:
        return {}
    noise = mse.anchor
    effect = mse.negative["no-change"] - np.where(np.isfinite(noise), noise, 0.0) / 2
    if not np.isfinite(effect).all():
        return {}
    edges = np.quantile(effect, [1 / 3, 2 / 3])
    terciles = np.searchsorted(edges, effect, side="left")
    return {name: EFFECTS[place] for name, place in zip(mse.conditions, terciles, strict=True)}


def seen_singles(runs: Sequence[Scored]) -> dict[str, int]:
    """How many singles of each combination were in train: the fewest, where repeats differ."""
    fewest: dict[str, int] = {}
    for run in runs:
        for name, count in run.seen.items():
            fewest[name] = min(count, fewest.get(name, count))
    return fewest
