"""Refuse values that cannot be what the entry says they are, block by block, while they are normalised."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from lanner.datasets.entry import Entry
from lanner.errors import ConfigurationError
from lanner.h5ad.blocks import Block

LARGEST = {"log1p-cp10k": float(np.log1p(1e4)) + 1e-3, "log1p-normalised": float(np.log1p(1e6))}
"""No value on a log1p scale can be above: all of a cell's 10,000 (or 1,000,000) counts in one gene."""


def checked(blocks: Iterable[Block], check: ScaleCheck | CountCheck) -> Iterator[Block]:
    """Pass ``blocks`` on in canonical form while ``check`` sees their stored values.

    Raises
    ------
    ConfigurationError
        A block, or all blocks together, contradict the check.
    """
    for block in blocks:
        if isinstance(block, np.ndarray):
            values = block
        else:
            # Two entries of one place mean their sum and a stored zero means nothing: one form per matrix.
            block.sum_duplicates()
            block.eliminate_zeros()
            values = block.data
        check.see(values)
        yield block
    check.finish()


class ScaleCheck:
    """Refuse values that cannot be on the scale the entry states."""

    def __init__(self, entry: Entry) -> None:
        self._id, self._scale = entry.id, entry.scale
        self._integral = True
        self._maximum = 0.0

    def see(self, values: np.ndarray[Any, Any]) -> None:
        """Look at the values of one block."""
        if values.size == 0:
            return
        if not np.isfinite(values).all():
            raise ConfigurationError(
                f"{self._id}: X holds NaN or infinite values; remove those rows in prepare.py"
            )
        low, high = float(values.min()), float(values.max())
        if self._scale == "lfc":
            return
        if low < 0:
            raise ConfigurationError(
                f"{self._id}: X holds {low:.4g}, but nothing is negative on the scale {self._scale}; "
                "scaled or centred data must be undone in prepare.py"
            )
        self._maximum = max(self._maximum, high)
        self._integral = self._integral and bool((values == np.rint(values)).all())

    def finish(self) -> None:
        """Judge what only all blocks together can tell."""
        if self._scale == "lfc":
            return
        if self._integral or self._maximum > LARGEST[self._scale]:
            raise ConfigurationError(
                f"{self._id}: X looks like counts (largest value {self._maximum:.6g}), but the entry's scale "
                f"is {self._scale}; normalise in prepare.py or correct scale"
            )


class CountCheck:
    """Refuse a counts layer that does not hold counts."""

    def __init__(self, entry: Entry) -> None:
        self._id = entry.id

    def see(self, values: np.ndarray[Any, Any]) -> None:
        """Look at the values of one block."""
        if not (np.isfinite(values).all() and (values >= 0).all() and (values == np.rint(values)).all()):
            raise ConfigurationError(
                f"{self._id}: the counts layer holds values that are no counts; correct counts_layer "
                "in dataset.yaml"
            )

    def finish(self) -> None:
        """Nothing is left to judge."""
