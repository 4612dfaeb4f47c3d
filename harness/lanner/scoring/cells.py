"""Cells with their pairwise distances, computed once per condition and looked up by every draw."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from lanner.metrics.de_labels import mann_whitney, welch
from lanner.moments import group_moments
from lanner.scoring.marginals import wasserstein

Array = np.ndarray[Any, Any]
Cells: TypeAlias = "sp.csr_matrix | np.ndarray[Any, Any]"

GENE_BLOCK = 2048
"""Columns densified at a time: memory is cells x this, and the order of summation is fixed."""


class CellSet:
    """Cells of one condition, truth or prediction, with the distances already computed between them.

    Parameters
    ----------
    cells
        ``(n, n_genes)``, CSR or dense, on the scale of X.
    targets
        Columns of the condition's own measured targets.
    pca
        Mean ``(n_genes,)`` and components ``(D, n_genes)`` fitted on train cells, or None.
    device
        Where distances are computed; float64 throughout.
    """

    def __init__(
        self,
        cells: Cells,
        targets: np.ndarray[Any, Any],
        pca: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]] | None,
        device: str = "cpu",
    ) -> None:
        self.cells: Cells = sp.csc_matrix(cells) if sp.issparse(cells) else cells
        self.n_cells, self.n_genes = cells.shape
        self.device = device
        self._targets = targets
        self._pca = pca
        self._scores: dict[bool, Tensor] = {}
        self._known: dict[tuple[CellSet, str, bool], Tensor] = {}
        self._results: dict[tuple[Any, ...], tuple[Tensor, ...]] = {}

    def columns(self, columns: slice | Array) -> Tensor:
        """Some genes, dense float64 ``(n, len(columns))``."""
        block: Any = self.cells[:, columns]
        dense = block.toarray() if sp.issparse(block) else block
        return torch.as_tensor(dense, dtype=torch.float64, device=self.device)

    def _blocks(self) -> list[slice]:
        n = self.n_genes
        return [slice(start, min(start + GENE_BLOCK, n)) for start in range(0, n, GENE_BLOCK)]

    def scores(self, *, masked: bool) -> Tensor:
        """PCA scores ``(n, D)``; masked targets are set to the PCA's mean and so add nothing."""
        if masked not in self._scores:
            self._scores[masked] = self._project(masked=masked)
        return self._scores[masked]

    def _project(self, *, masked: bool) -> Tensor:
        if self._pca is None:
            raise ValueError("a PCA-space metric needs Truth.pca, which profile datasets do not have")
        mean, components = (torch.as_tensor(part, device=self.device) for part in self._pca)
        result = torch.zeros(self.n_cells, len(components), dtype=torch.float64, device=self.device)
        for block in self._blocks():
            result += (self.columns(block) - mean[block]) @ components[:, block].T
        if masked and self._targets.size:
            hidden = torch.as_tensor(self._targets, device=self.device)
            result -= (self.columns(self._targets) - mean[hidden]) @ components[:, hidden].T
        return result

    def distances(self, other: CellSet, space: str, *, masked: bool) -> Tensor:
        """Euclidean distances ``(n, n_other)`` in space ``genes`` or ``pca``; zero from a cell to itself."""
        masked = masked and self._targets.size > 0
        key = (other, space, masked)
        if key not in self._known:
            squared = self._squared(other, space, masked=masked)
            if other is self:
                squared = squared.fill_diagonal_(0.0)
            self._known[key] = squared.clamp_min_(0.0).sqrt_()
        return self._known[key]

    def summaries(self, draws: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean, unbiased variance and share of zeros of drawn cells by gene, each ``(B, n_genes)``."""
        size = draws.sum(dim=1, keepdim=True)
        parts = []
        for block in self._blocks():
            values = self.columns(block)
            mean = draws @ values / size
            squares = draws @ values.square() - size * mean.square()
            parts.append((mean, squares.clamp_min(0.0) / (size - 1), draws @ (values == 0).double() / size))
        mean, variance, zeros = (torch.cat(part, dim=1) for part in zip(*parts, strict=True))
        return mean, variance, zeros

    def wasserstein(self, other: CellSet, own_draws: Tensor, other_draws: Tensor) -> Tensor:
        """Exact 1-D Wasserstein distance of drawn cells by gene, ``(B, n_genes)``; computed on the CPU."""
        draws = own_draws.cpu().numpy(), other_draws.cpu().numpy()

        def compute() -> tuple[Tensor, ...]:
            found = wasserstein(self.cells, other.cells, *draws)
            return (torch.as_tensor(found, device=self.device),)

        return self._remembered(("wasserstein", other, *map(_digest, draws)), compute)[0]

    def tests(
        self, draws: Tensor, controls: sp.csr_matrix, part: str, *, test: str = "mann-whitney"
    ) -> tuple[Tensor, Tensor]:
        """Change of the mean and p of drawn cells against controls, ``(B, n_genes)``."""
        members = draws.cpu().numpy() > 0

        def compute() -> tuple[Tensor, ...]:
            cells = sp.csr_matrix(self.cells, dtype=np.float32)
            if test == "welch":
                found = welch(cells, members, controls)
            else:
                everyone = np.ones((1, controls.shape[0]), dtype=bool)
                change = group_moments(cells, members)[1] - group_moments(controls, everyone)[1]
                found = change, mann_whitney(cells, members, controls)[1]
            return tuple(torch.as_tensor(array, device=self.device) for array in found)

        change, p = self._remembered(("tests", test, part, _digest(members)), compute)
        return change, p

    def _remembered(
        self, key: tuple[Any, ...], compute: Callable[[], tuple[Tensor, ...]]
    ) -> tuple[Tensor, ...]:
        """A result of this condition: masked and unmasked variants, and several metrics, ask for the same."""
        if key not in self._results:
            self._results[key] = compute()
        return self._results[key]

    def _squared(self, other: CellSet, space: str, *, masked: bool) -> Tensor:
        if space == "pca":
            return _squared_distances(self.scores(masked=masked), other.scores(masked=masked))
        if masked:  # what the hidden genes add is taken off again, instead of a second pass over all genes
            whole = self.distances(other, space, masked=False).square()
            return whole - _squared_distances(self.columns(self._targets), other.columns(other._targets))
        total = torch.zeros(self.n_cells, other.n_cells, dtype=torch.float64, device=self.device)
        for block in self._blocks():
            total += _squared_distances(self.columns(block), other.columns(block))
        return total


def _squared_distances(left: Tensor, right: Tensor) -> Tensor:
    """Squared Euclidean distances between rows, by Gram's trick in float64."""
    norms = left.square().sum(dim=1)[:, None] + right.square().sum(dim=1)[None, :]
    return norms - 2.0 * (left @ right.T)


def _digest(draws: Array) -> bytes:
    """What tells one set of draws from another."""
    return hashlib.sha256(np.packbits(draws > 0).tobytes()).digest()
