"""Which scale the files of a pair are on: stated, or guessed from their values and refused when in doubt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lanner.errors import ConfigurationError
from lanner.pairs.views import LARGEST_LOG, Normalisation, Values, View

SCALES = ("auto", "log1p", "counts")


def normalise(views: Sequence[View], how: str | float | None) -> tuple[Values, ...]:
    """Have every view that holds counts give log1p of normalised counts; one pass over each file.

    ``how`` is ``median``, the median total of the file's own cells, which is what cell-eval does to counts,
    each file for itself, so that two files may end on different scales; or a number, such as 10000, which
    puts both on one.
    """
    if how is None:
        return ()
    if how != "median" and not (isinstance(how, int | float) and 0 < how < np.inf):
        raise ConfigurationError(f"normalize is {how!r}; give 'median' or a positive number such as 10000")
    seen = []
    for view in views:
        values = Values(view.name)
        totals = view.totals(values)
        if values.are_counts:
            counted = totals[totals > 0]
            target = float(np.median(counted)) if how == "median" else float(how)
            view.normalisation = Normalisation(totals=totals, target=target)
        seen.append(values)
    return tuple(seen)


def check_scale(found: Sequence[Values], scale: str) -> str:
    """The scale of all files; ConfigurationError where they differ, or hold what no scale of ``SCALES`` has.

    ``found`` are the values of the files that are used as they are; with ``scale`` other than auto they
    are believed to be on it.
    """
    if scale not in SCALES:
        raise ConfigurationError(f"scale is {scale!r}; expected one of {', '.join(SCALES)}")
    if scale != "auto":
        return scale
    counts = [values for values in found if values.are_counts]
    logs = [values for values in found if not values.are_counts]
    advice = "normalise both alike, or let --normalize 10000 do it"
    if counts and logs:
        raise ConfigurationError(
            f"{counts[0].name} holds counts (whole numbers up to {counts[0].highest:g}) and {logs[0].name} "
            f"does not; {advice}, or state one scale for both with --scale"
        )
    if counts:
        raise ConfigurationError(
            f"{counts[0].name} holds counts (whole numbers up to {counts[0].highest:g}) where log1p "
            f"expression is expected; {advice}, or score them as they are with --scale counts"
        )
    high = max(logs, key=lambda values: values.highest, default=None)
    if high is not None and high.highest > LARGEST_LOG:
        raise ConfigurationError(
            f"{high.name} has values up to {high.highest:.4g}, which are neither counts nor log1p "
            "expression; write log1p of normalised counts, or state the scale with --scale"
        )
    return "log1p"
