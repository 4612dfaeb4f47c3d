"""Tell counts from logs, and which normalisation: what ``dataset add`` reads off the values of a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from lanner.datasets.values import LARGEST
from lanner.errors import ConfigurationError
from lanner.h5ad.blocks import Block
from lanner.h5ad.source import SourceFile

ROWS = 20_000
"""Rows looked at; the whole file is checked when it is normalised."""


@dataclass(frozen=True, kw_only=True)
class Expression:
    """What X holds: ``counts``, or the entry's scale; the layer of raw counts, if any; what to tell."""

    is_counts: bool
    scale: str
    counts_layer: str | None
    note: str


@dataclass(frozen=True)
class _Values:
    integral: bool
    lowest: float
    highest: float
    linear_totals: np.ndarray[Any, Any]


def look(source: SourceFile) -> Expression:
    """What X of a file holds, by its first rows.

    Raises
    ------
    ConfigurationError
        X is empty, not finite, centred, or normalised but not logged.
    """
    where = source.path.name
    layer = next((name for name in source.layers if _values(source, name).integral), None)
    values = _values(source, None)
    if values.lowest < 0:
        raise ConfigurationError(
            f"{where}: X holds {values.lowest:.4g}, so it is centred or scaled; give a file with counts, "
            "or with log1p of normalised counts"
        )
    if values.integral:
        note = "X holds counts: log1p of counts per 10,000 of each cell is made of them"
        return Expression(is_counts=True, scale="log1p-cp10k", counts_layer="counts", note=note)
    if values.highest > LARGEST["log1p-normalised"]:
        raise ConfigurationError(
            f"{where}: X reaches {values.highest:.6g} and is no counts, so it is normalised but not logged; "
            "give a file with counts, or take log1p"
        )
    totals = values.linear_totals[values.linear_totals > 0]
    median, spread = float(np.median(totals)), float(np.std(totals) / np.mean(totals))
    if spread < 0.01 and abs(median / 1e4 - 1) < 0.01:
        scale, note = "log1p-cp10k", "X is log1p of counts per 10,000"
    elif spread < 0.01:
        scale, note = "log1p-normalised", f"X is log1p of counts per {median:.6g}"
    else:
        scale = "log1p-normalised"
        note = f"X is log1p of counts normalised to an unknown total (this file's genes hold {median:.6g})"
    return Expression(is_counts=False, scale=scale, counts_layer=layer, note=note)


def _values(source: SourceFile, layer: str | None) -> _Values:
    where = source.path.name
    integral, low, high, totals = True, 0.0, 0.0, []
    for _, stop, block in source.blocks(layer):
        values = block.data if sp.issparse(block) else block
        values = np.asarray(values)
        if not np.isfinite(values).all():
            raise ConfigurationError(
                f"{where}: X holds NaN or infinite values; leave those cells or genes out"
            )
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
            integral = integral and bool((values == np.rint(values)).all())
        totals.append(_linear_totals(block, high))
        if stop >= ROWS:
            break
    if high == 0 and low == 0:
        raise ConfigurationError(
            f"{where}: X is zero everywhere or has no rows; give the file that holds the data"
        )
    return _Values(integral, low, high, np.concatenate(totals))


def _linear_totals(block: Block, high: float) -> np.ndarray[Any, Any]:
    """Sum of expm1 of each row; zeros where the values are too large to be logs."""
    if high > LARGEST["log1p-normalised"]:
        return np.zeros(block.shape[0])
    linear = np.expm1(block, dtype=np.float64) if isinstance(block, np.ndarray) else block.expm1()
    return np.asarray(linear.sum(axis=1)).ravel()
