"""Numbers as they are published."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

SIGNIFICANT_DIGITS = 12


def rounded(value: Any) -> Any:
    """``value`` with every float at SIGNIFICANT_DIGITS, so that last bits never show; NaN is refused."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} in a document of results")
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return value
