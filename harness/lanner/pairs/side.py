"""One side of a pair: what compatibility metrics ask of one file's cells (``lanner.compat.Side``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

from lanner.matrix import Matrix, MatrixWriter
from lanner.pairs.gene_order import WORKERS, Layout, for_gene_blocks
from lanner.pairs.sums import group_sums, means_and_variances
from lanner.pairs.views import Values, View

if TYPE_CHECKING:
    import scipy.sparse as sp

    from lanner.pairs.distances import Points

Array = np.ndarray[Any, Any]
Progress = Callable[[str, int, int], None]
Frame: TypeAlias = tuple[Array, Array]
"""Float64 and bool ``(G,)``, as ``FileSide.frame`` has them."""
T = TypeVar("T")

ROWS_AT_A_TIME = 256
"""Cells whose distances to the controls are computed in one go; a larger group is done in portions."""


class FileSide:
    """The cells of one file. One pass gives counts, means and variances; everything else is done on demand.

    Arrays are kept and must not be written to. ``values`` says what the file holds, ``groups`` the number of
    the perturbation of each cell that takes part, P for controls.
    """

    def __init__(
        self,
        view: View,
        n_perturbations: int,
        folder: Path,
        *,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> None:
        self.view = view
        self.values = Values(view.name)
        self._n = n_perturbations
        self._folder = folder
        self._device = device
        self._progress = progress
        inside = view.groups[view.groups >= 0]
        self._sizes: Array = np.bincount(inside, minlength=n_perturbations + 1)
        self.groups = inside
        self._rows = np.split(np.argsort(inside, kind="stable"), np.cumsum(self._sizes)[:-1])
        seen = None if view.normalisation is not None else self.values
        sums, squares = group_sums(view.blocks(seen), n_perturbations + 1, view.n_genes)
        self._means: Array
        self._variances: Array
        self._means, self._variances = means_and_variances(sums, squares, self._sizes)
        self._within = np.full(n_perturbations, np.nan)
        self._to_control: dict[tuple[float, ...], tuple[Array, ...]] = {}

    def n_cells(self) -> Array:
        """Cells of each perturbation, int64 ``(P,)``."""
        sizes: Array = self._sizes[: self._n]
        return sizes

    def n_control(self) -> int:
        """Control cells of this file; 0 where it has none."""
        return int(self._sizes[self._n])

    def means(self) -> Array:
        """Mean profile of each perturbation, float64 ``(P, G)``; NaN without cells."""
        means: Array = self._means[: self._n]
        return means

    def variances(self) -> Array:
        """Variance over cells, N - 1 denominator, float64 ``(P, G)``; NaN below 2 cells."""
        variances: Array = self._variances[: self._n]
        return variances

    def control_mean(self) -> Array:
        """Mean profile of this file's own controls, float64 ``(G,)``; NaN without any."""
        mean: Array = self._means[self._n]
        return mean

    def control_variance(self) -> Array:
        """Their variance ``(G,)``, N - 1 denominator."""
        variance: Array = self._variances[self._n]
        return variance

    def cells(self, p: int) -> sp.csr_matrix:
        """Cells of perturbation ``p``, float32 CSR ``(n, G)``, in the order of the file."""
        return self._copy.rows(self._rows[p])

    def some_cells(self, rows: Array) -> sp.csr_matrix:
        """Cells by their number among those that take part ``(n,)``, int64, in any order."""
        return self._copy.rows(rows)

    def control_cells(self) -> sp.csr_matrix:
        """Control cells, float32 CSR ``(n, G)``, in the order of the file."""
        return self._copy.rows(self._rows[self._n])

    def mann_whitney(self) -> tuple[Array, Array]:
        """U of each perturbation against this file's own controls, and its two-sided p; ``(P, G)`` each.

        Asymptotic, with tie and continuity correction; p is 1 where a gene is constant in both; both are NaN
        without controls.
        """
        return self._tests

    def energy_to_control(self) -> Array:
        """``2 E|x - c| - E|x - x'| - E|c - c'|`` to own controls ``(P,)``: Euclid, diagonals included.

        NaN without controls (Rizzo and Szekely 2016, with V-statistics).
        """
        return self.distances_to_control()[0]

    def distances_to_control(self, gammas: tuple[float, ...] = ()) -> tuple[Array, ...]:
        """``energy_to_control`` and, for each gamma, the squared MMD to own controls; float64 ``(P,)`` each.

        ``E k(x, x') + E k(c, c') - 2 E k(x, c)`` with ``k = exp(-gamma d^2)`` over all genes, diagonals
        included (Gretton et al. 2012, the V-statistic). One pass over the distances gives all; it is kept.
        """
        if gammas not in self._to_control:
            self._to_control[gammas] = self._compare_with_control(gammas)
        return self._to_control[gammas]

    def prepare(self) -> None:
        """Make what several threads will ask for: the copy that ``cells`` reads."""
        _ = self._copy

    @cached_property
    def _copy(self) -> Matrix:
        """The cells that take part, in canonical form in a temporary folder: rows in any order, quickly."""
        folder = self._folder
        with MatrixWriter(folder, self.view.n_genes, sparse=True) as writer:
            for _, block in self.view.blocks():
                writer.append(block)
        return Matrix(folder, self.view.n_genes)

    @cached_property
    def _tests(self) -> tuple[Array, Array]:
        from lanner.pairs.rank_tests import mann_whitney_block

        shape = (self._n, self.view.n_genes)
        statistic, p = np.full(shape, np.nan), np.full(shape, np.nan)
        n_control = self.n_control()

        layout = Layout(self.view.n_genes, self._n + 1)

        def work(start: int, stop: int, keys: Sequence[Array]) -> None:
            found = mann_whitney_block(keys[0], start, stop, layout, self.n_cells(), n_control)
            statistic[:, start:stop], p[:, start:stop] = found

        if n_control:
            for_gene_blocks([self.view], layout, work, progress=self._progress)
        return statistic, p

    def _compare_with_control(self, gammas: tuple[float, ...]) -> tuple[Array, ...]:
        from lanner.pairs.distances import between

        n, m = self.n_cells().astype(np.float64), self.n_control()
        if m == 0:
            return tuple(np.full(self._n, np.nan) for _ in (None, *gammas))
        controls = self.points(self.control_cells(), single=True)
        grouped = np.concatenate(self._rows[:-1])

        def among_controls(rows: slice) -> Array:
            some = controls.part(rows)
            later: Array = between(some, controls, gammas, first=rows.stop).sum(axis=1)
            both: Array = between(some, some, gammas).sum(axis=1) + 2 * later
            return both

        def to_controls(rows: slice) -> Array:
            cells = self.points(self.some_cells(grouped[rows]), single=True)
            return between(cells, controls, gammas)

        def own(p: int) -> Array:
            return self.within(p, self.points(self.cells(p), single=False), gammas)

        of_controls = np.sum(self._each(among_controls, _portions(m)), axis=0)[:, None] / m**2
        of_cells = np.concatenate(self._each(to_controls, _portions(len(grouped))), axis=1)
        numbers = np.repeat(np.arange(self._n), self._sizes[:-1])
        across = np.stack([np.bincount(numbers, sums, self._n) for sums in of_cells])
        within = np.stack(each(own, range(self._n), self._progress), axis=1)
        energies = 2 * across / (n * m) - within / n**2 - of_controls
        energies[1:] *= -1  # distances grow where kernels shrink
        return tuple(energies)

    def within(self, p: int, points: Points, gammas: tuple[float, ...] = ()) -> Array:
        """``distances.within`` of ``points``, the cells of perturbation ``p``; distances are kept."""
        from lanner.pairs.distances import within

        if gammas or np.isnan(self._within[p]):
            totals = within(points, gammas)
            self._within[p] = totals[0]
            return totals
        return self._within[p : p + 1]

    def points(self, cells: sp.csr_matrix, *, single: bool, frame: Frame | None = None) -> Points:
        """Cells as points in ``frame``, this file's own unless given; float32 or float64."""
        import torch

        from lanner.pairs.distances import Points

        dtype = torch.float32 if single else torch.float64
        centre, sparse = self.frame if frame is None else frame
        return Points(cells, self._device, dtype, centre, sparse if sparse.any() else None)

    @cached_property
    def frame(self) -> Frame:
        """The mean of all cells, which points are taken about, and the genes that stay sparse.

        Distances depend on neither, their rounding and their cost do.
        """
        from lanner.pairs.points import DENSE_SHARE

        mean: Array = self._sizes @ np.nan_to_num(self._means) / max(int(self._sizes.sum()), 1)
        if self._device != "cpu":
            return mean, np.zeros(self.view.n_genes, dtype=bool)
        expressed = np.zeros(self.view.n_genes, np.int64)
        for _, block in self.view.blocks():
            expressed += np.bincount(block.indices, minlength=self.view.n_genes)
        return mean, expressed < DENSE_SHARE * len(self.groups)

    def _each(self, work: Callable[[Any], T], items: Sequence[Any]) -> list[T]:
        return each(work, items, self._progress)


def each(work: Callable[[Any], T], items: Sequence[Any], progress: Progress | None = None) -> list[T]:
    """``work`` of each item, from WORKERS threads of one operation thread each; answers in order."""
    import torch

    answers: list[T] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(WORKERS, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for answer in pool.map(work, items):
                answers.append(answer)
                if progress is not None:
                    progress("perturbations", len(answers), len(items))
    finally:
        torch.set_num_threads(threads)
    return answers


def _portions(n: int) -> list[slice]:
    return [slice(low, min(low + ROWS_AT_A_TIME, n)) for low in range(0, n, ROWS_AT_A_TIME)]
