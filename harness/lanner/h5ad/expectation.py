"""The only expression the harness accepts: what it asked for, as the confined child is told it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from lanner.errors import PredictionError
from lanner.matrix import Matrix

if TYPE_CHECKING:
    from lanner.h5ad.checked import CheckedPrediction

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What the harness asked for: the only prediction it accepts.

    ``request_ids`` (C) and ``genes`` (G) are in the order of requests.csv and of train.h5ad. A file holds
    one profile per request (C rows) or ``n_cells`` cells per request (C * n_cells rows). ``minimum`` and
    ``maximum`` bound plausible values in units of ``scale``; None leaves that side open, as on a
    log-fold-change scale.
    """

    layout: ClassVar[str] = "rows-of-X"

    request_ids: tuple[str, ...]
    n_cells: int
    genes: tuple[str, ...]
    scale: str = ""
    minimum: float | None = None
    maximum: float | None = None

    @classmethod
    def on_scale(
        cls, scale: str, *, request_ids: tuple[str, ...], n_cells: int, genes: tuple[str, ...]
    ) -> Self:
        """The expectation with the bounds that go with ``scale``.

        On a log1p scale values lie in [-20, 20]: a cell of 10^8 counts in one gene reaches 18.4 without any
        normalisation. ``ScaleCheck`` tells expression, which unclipped linear predictions leave a
        little below 0, from differences. Other scales are open on both sides.
        """
        low, high = (-20.0, 20.0) if scale.startswith("log1p") else (None, None)
        return cls(
            request_ids=request_ids, n_cells=n_cells, genes=genes, scale=scale, minimum=low, maximum=high
        )

    def to_json(self) -> dict[str, Any]:
        """The form in which the child receives it."""
        return {"layout": self.layout, **asdict(self)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read ``to_json`` back."""
        names = {name: tuple(document[name]) for name in ("request_ids", "genes")}
        fields = {name: value for name, value in document.items() if name != "layout"}
        return cls(**{**fields, **names})

    @property
    def largest_bytes(self) -> int:
        """Bytes of X as float32, cells for every request."""
        return 4 * len(self.request_ids) * self.n_cells * len(self.genes)

    def open(self, path: os.PathLike[str] | str) -> CheckedPrediction:
        """The file at ``path``, its structure, names and flags checked."""
        from lanner.h5ad.checked import CheckedPrediction

        return CheckedPrediction(path, self)

    def described(self, n_rows: int, answered: Array) -> tuple[str, int, Array] | None:
        """``profiles`` or ``cells``, how many a request, and whether all rows of each request are answers."""
        n_requests = len(self.request_ids)
        if n_rows not in (n_requests, n_requests * self.n_cells):
            return None
        flags = np.asarray(answered.reshape(n_requests, -1).all(axis=1))
        if n_rows == n_requests:
            return "profiles", 1, flags
        return "cells", n_rows // max(n_requests, 1), flags

    def check(self, matrix: Matrix) -> None:
        """Nothing beyond what every canonical matrix is held to."""

    def row_names(self, n_rows: int) -> list[str]:
        """The obs names of a file with ``n_rows`` rows; PredictionError when no form has so many."""
        n_requests = len(self.request_ids)
        if n_rows == n_requests:
            return list(self.request_ids)
        if n_rows == n_requests * self.n_cells:
            return [f"{request}/{cell}" for request in self.request_ids for cell in range(self.n_cells)]
        cells = f" or {n_requests * self.n_cells:,} ({self.n_cells} cells each)" if self.n_cells > 1 else ""
        raise PredictionError(
            "shape",
            f"/obs has {n_rows:,} rows; expected {n_requests:,} (one profile per request){cells}",
        )
