"""A series of splits in one number: the area under a metric over growing train-test distance."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

STEP = re.compile(
    r"(?P<series>graded-similarity|data-scaling(/.+)?)/[sn](?P<whole>[0-9]{3})(-(?P<rest>[0-9]+))?"
    r"(/r[0-9]+f[0-9]+)?"
)
"""Ids of artefacts of a series: <design>[/<stratum of its base>]/<step in per cent>[/r<i>f<j>]."""


def auspc(series: Mapping[float, float]) -> float:
    """Area under the spectral performance curve, by trapezoids, divided by the range of s.

    SPECTRA (Ektefaie 2024, doi:10.1038/s42256-024-00931-6). PertEval-scFM publishes the area over [0, 0.7]
    itself, 0.7 times ours: series that end at different s could then not be compared.

    Parameters
    ----------
    series
        Value of a metric at each s, in its own unit.

    Returns
    -------
    A mean of the metric over s, in its unit; NaN with fewer than two steps, or where one has no value.
    """
    s = np.array(sorted(series), dtype=np.float64)
    values = np.array([series[step] for step in sorted(series)], dtype=np.float64)
    if len(s) < 2:
        return float("nan")
    return float(((values[1:] + values[:-1]) / 2 * np.diff(s)).sum() / (s[-1] - s[0]))


def step_of(split_id: str) -> tuple[str, float] | None:
    """The series an artefact belongs to and its step there; None for an artefact of no series.

    >>> step_of("graded-similarity/s020/r0f0"), step_of("data-scaling/cd4t/n012-5")
    (('graded-similarity', 0.2), ('data-scaling/cd4t', 0.125))
    """
    match = STEP.fullmatch(split_id)
    if match is None:
        return None
    return match["series"], float(f"{match['whole']}.{match['rest'] or 0}") / 100
