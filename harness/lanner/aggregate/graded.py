"""A series of splits in one number: the area under a metric over growing train-test distance."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


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


def step_of(split_id: str) -> float | None:
    """The s of an artefact of graded-similarity, ``graded-similarity/s020/r0f0`` is 0.2; None for others."""
    parts = split_id.split("/")
    if parts[0] != "graded-similarity" or len(parts) < 2:
        return None
    whole, _, rest = parts[1].removeprefix("s").partition("-")
    return float(f"{whole}.{rest or 0}") / 100
