"""Notice a prediction on another scale than the training data's: counts, or differences from control."""

from __future__ import annotations

from typing import Any

import numpy as np

from lanner.errors import PredictionError

ENOUGH = 100
"""Fewest non-zero values from which "all are whole numbers" says that they are counts."""

NEGATIVE_SHARE = 0.1
"""Share of the absolute values' sum that may be negative before it is taken for differences from control.

Linear methods go a little below zero where expression is near it: many values, hardly any mass. Of
differences a third to a half of the mass is negative.
"""


class ScaleCheck:
    """Watches the values of answered rows, block by block, against plausible bounds of ``scale``."""

    def __init__(self, scale: str, minimum: float | None, maximum: float | None) -> None:
        self._scale, self._minimum, self._maximum = scale or "the training data's", minimum, maximum
        self._whole = maximum is not None
        self._n_nonzero = 0
        self._mass = 0.0
        self._negative_mass = 0.0
        self._highest = 0.0

    def add(self, values: np.ndarray[Any, Any]) -> None:
        """Take in float32 values of any shape; PredictionError "scale" when one is out of bounds."""
        if not values.size:
            return
        low, high = float(values.min()), float(values.max())
        if self._minimum is not None and low < self._minimum:
            raise PredictionError(
                "scale",
                f"/X has values down to {low:.4g}, but {self._scale} expression stays above "
                f"{self._minimum:g}; write values on the scale of train.h5ad's X",
            )
        if self._maximum is not None and high > self._maximum:
            raise PredictionError(
                "scale",
                f"/X has values up to {high:.4g}, but {self._scale} expression stays below "
                f"{self._maximum:g}; write values on the scale of train.h5ad's X, not counts",
            )
        if self._minimum is not None:
            mass = float(values.sum())
            negative = -float(values[values < 0].sum(dtype=np.float64)) if low < 0 else 0.0
            self._mass += mass + 2 * negative
            self._negative_mass += negative
        if self._whole:  # what follows says nothing once a value is not whole
            self._n_nonzero += int(np.count_nonzero(values))
            self._highest = max(self._highest, high)
            self._whole = bool((values == np.rint(values)).all())

    def finish(self) -> None:
        """PredictionError "scale" when the values as a whole are differences, or counts."""
        if self._negative_mass > NEGATIVE_SHARE * self._mass:
            share = self._negative_mass / self._mass
            raise PredictionError(
                "scale",
                f"{share:.0%} of the absolute sum of /X is negative, as of differences from control; "
                f"write {self._scale} expression, the scale of train.h5ad's X",
            )
        if self._whole and self._n_nonzero >= ENOUGH and self._highest >= 2:
            raise PredictionError(
                "scale",
                f"all {self._n_nonzero:,} non-zero values of /X are whole numbers, as counts are; write "
                f"{self._scale} expression, the scale of train.h5ad's X",
            )
