"""Whether a metric orders its own controls on a dataset: geneRNIB's positive control is beaten on several."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lanner.networks import NetworkCard

__all__ = ["control_sanity"]


def control_sanity(
    card: NetworkCard,
    positive: float,
    negatives: Mapping[str, Sequence[float]],
    methods: Mapping[str, float],
) -> tuple[str, ...]:
    """What is wrong with a metric's controls on one dataset and split, as sentences; empty where nothing is.

    ``positive`` is the positive bound's number, ``negatives`` the draws of each negative bound by its name,
    ``methods`` the numbers of methods. NaN stands for undefined and is passed over. The first sentence, if
    any, says that the positive bound is not better than every draw of every negative one: then the metric
    can rank nothing here. The others name methods that are better than the positive bound.
    """
    if card.better == "neither":
        return ()
    if math.isnan(positive):
        return (f"{card.id}: the positive bound is undefined here, so its skill is too",)
    found = []
    for name, draws in negatives.items():
        known = [draw for draw in draws if not math.isnan(draw)]
        if known and max(card.merit(draw) for draw in known) >= card.merit(positive):
            found.append(
                f"{card.id}: the positive bound ({positive:.3g}) is no better than the negative bound {name} "
                f"({max(known, key=card.merit):.3g}); it can rank nothing here"
            )
    found += [
        f"{card.id}: {name} ({value:.3g}) is better than the positive bound ({positive:.3g})"
        for name, value in methods.items()
        if not math.isnan(value) and card.merit(value) > card.merit(positive)
    ]
    return tuple(found)
