"""Lanner: a benchmark platform for methods that predict how gene expression responds to perturbation."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lanner.pairs.scores import score as score

__all__ = ["__version__", "score"]

__version__ = version("lanner")


def __getattr__(name: str) -> Any:
    """``lanner.score``, imported when it is first asked for: scoring needs libraries nothing else does."""
    if name == "score":
        from lanner.pairs.scores import score

        return score
    raise AttributeError(f"module 'lanner' has no attribute {name!r}")
