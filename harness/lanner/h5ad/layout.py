"""The shapes a prediction may have: what intake asks of each, and how its confined child finds the right one.

A task names one of them by what its ``expectation`` returns. A file of either becomes a canonical matrix; the
rest of the harness sees nothing else of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from lanner.h5ad.checked import CsrBlock
from lanner.h5ad.expectation import Expectation
from lanner.h5ad.network import NetworkExpectation
from lanner.matrix import Matrix

Array = np.ndarray[Any, Any]

__all__ = ["LAYOUTS", "CheckedFile", "Layout", "read_layout"]


class CheckedFile(Protocol):
    """An untrusted file whose structure is as expected; what is in it is checked while it is read."""

    shape: tuple[int, int]
    is_sparse: bool
    n_values: int
    answered: Array

    def blocks(self) -> Iterator[Array | CsrBlock]:
        """All rows in order, float32."""


class Layout(Protocol):
    """What a prediction must look like, told to the child as JSON and held against what the child leaves."""

    layout: ClassVar[str]

    @property
    def genes(self) -> tuple[str, ...]:
        """Names of the columns."""

    @property
    def largest_bytes(self) -> int:
        """Bytes of the largest array that an accepted file gives."""

    def to_json(self) -> dict[str, Any]:
        """The form in which the child receives it."""

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read ``to_json`` back."""

    def open(self, path: str) -> CheckedFile:
        """The file at ``path``, its structure checked; PredictionError where it is not as expected."""

    def described(self, n_rows: int, answered: Array) -> tuple[str, int, Array] | None:
        """Kind, cells per request and flags per request of a file of ``n_rows``; None if none has so many."""

    def check(self, matrix: Matrix) -> None:
        """ValueError where a canonical matrix breaks what the child was told to hold to."""


LAYOUTS: Mapping[str, type[Expectation] | type[NetworkExpectation]] = {
    Expectation.layout: Expectation,
    NetworkExpectation.layout: NetworkExpectation,
}
"""Every layout by its name."""


def read_layout(document: Mapping[str, Any]) -> Expectation | NetworkExpectation:
    """The expectation that ``to_json`` wrote."""
    return LAYOUTS[document["layout"]].from_json(document)
