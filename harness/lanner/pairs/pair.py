"""Two files opened as a pair: what ``lanner.compat.Pair`` asks, each answer computed once."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cached_property
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from lanner.errors import ConfigurationError
from lanner.h5ad.cells import CellFile
from lanner.pairs.alignment import (
    Labels,
    gene_columns,
    match,
    perturbation_column,
    read_labels,
    shared_genes,
    targets_of,
)
from lanner.pairs.gene_order import WORKERS, Layout, for_gene_blocks
from lanner.pairs.scale import check_scale, normalise
from lanner.pairs.side import FileSide, Progress, each
from lanner.pairs.views import View

Array = np.ndarray[Any, Any]
AnyPath = str | PathLike[str]


class FilePair:
    """One truth file and one prediction file, restricted to the same perturbations and genes.

    Opened by ``open_pair``; close it, or use it in a ``with`` block, to remove its temporary files.
    ``unanswered`` and ``not_in_truth`` map the perturbations of one file only to their numbers of cells.
    ``n_genes`` says how many genes each file has, by its name.
    """

    def __init__(
        self,
        *,
        control: str,
        genes: tuple[str, ...],
        perturbations: tuple[str, ...],
        truth: FileSide,
        prediction: FileSide,
        train: FileSide | None,
        train_perturbations: tuple[str, ...],
        unanswered: Mapping[str, int],
        not_in_truth: Mapping[str, int],
        scale: str,
        context: str,
        progress: Progress | None,
        resources: ExitStack,
    ) -> None:
        self.control, self.genes, self.perturbations = control, genes, perturbations
        self.targets = targets_of(perturbations, genes)
        self.truth, self.prediction = truth, prediction
        self.train, self.train_perturbations = train, train_perturbations
        self.unanswered, self.not_in_truth = unanswered, not_in_truth
        self.scale, self.context = scale, context
        self._progress = progress
        self._resources = resources

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files and remove the temporary folder."""
        self._resources.close()

    def energy(self) -> Array:
        """``2 E|x - y| - E|x - x'| - E|y - y'|`` of predicted and true cells ``(P,)``; diagonals included."""
        return self._energy

    def wasserstein_by_gene(self) -> Array:
        """Exact 1-D Wasserstein distance of predicted and true cells, gene by gene, ``(P, G)``."""
        return self._wasserstein

    @cached_property
    def _energy(self) -> Array:
        from lanner.pairs.distances import between

        centre, sparse = self.truth.frame
        frame = centre, sparse & self.prediction.frame[1]

        def one(p: int) -> float:
            true, predicted = self.truth.cells(p), self.prediction.cells(p)
            n, m = true.shape[0], predicted.shape[0]
            x, y = (
                side.points(cells, single=False, frame=frame)
                for side, cells in ((self.truth, true), (self.prediction, predicted))
            )
            cross = float(between(x, y).sum() / (n * m))
            own = float(self.truth.within(p, x)[0] / n**2 + self.prediction.within(p, y)[0] / m**2)
            return 2 * cross - own

        self.truth.prepare()
        self.prediction.prepare()
        return np.array(each(one, range(len(self.perturbations)), self._progress))

    @cached_property
    def _wasserstein(self) -> Array:
        from lanner.pairs.wasserstein import wasserstein_block

        answer = np.zeros((len(self.perturbations), len(self.genes)))
        n, m = self.truth.n_cells(), self.prediction.n_cells()

        layout = Layout(len(self.genes), len(self.perturbations) + 1, group_first=True)

        def work(start: int, stop: int, keys: Sequence[Array]) -> None:
            answer[:, start:stop] = wasserstein_block(keys[0], keys[1], start, stop, layout, n, m)

        views = [self.truth.view, self.prediction.view]
        for_gene_blocks(views, layout, work, progress=self._progress)
        return answer


def open_pair(
    truth: AnyPath,
    prediction: AnyPath,
    *,
    control: str,
    perturbation_column: str | None = None,
    train: AnyPath | None = None,
    context_column: str | None = None,
    context: str | None = None,
    intersect_genes: bool = False,
    scale: str = "auto",
    normalize: str | float | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> FilePair:
    """Open two .h5ad files of cells as a pair; each is read once, and must be log1p expression or counts.

    Parameters
    ----------
    truth, prediction
        Files of cells: obs names the perturbation, X holds expression (CSR, CSC or dense; any number type,
        rounded to float32). A prediction without control cells is accepted: what needs them is NaN.
    control
        Label of the control cells.
    perturbation_column
        The obs column of the perturbation, in all files; guessed among the usual names unless given.
    train
        A third file: training cells, for metrics with a reference fitted on them.
    context_column, context
        Take only the cells with this value in this obs column.
    intersect_genes
        Score the shared genes of files with different ones, which is an error otherwise.
    scale
        ``auto`` expects log1p expression and refuses what looks like counts; ``log1p`` and ``counts`` are
        believed.
    normalize
        ``median`` or a number: turn files of counts into log1p of counts of this total per cell.
    device
        Where distances are computed: ``cpu``, ``cuda``, ``cuda:1``.
    progress
        Called with what is counted, how many are done, and of how many.

    Raises
    ------
    ConfigurationError
        The files cannot be compared: one sentence says why and what to do.
    """
    with ExitStack() as stack:
        paths = [Path(path) for path in (truth, prediction, *(() if train is None else (train,)))]
        files = [stack.enter_context(CellFile(path)) for path in paths]
        labels = [_labels(file, control, perturbation_column, context_column, context) for file in files]
        matched = match(labels[0], labels[1], control, (paths[0].name, paths[1].name))
        genes = shared_genes(files[0], files[1:], intersect=intersect_genes)
        of_file = [matched.perturbations, matched.perturbations]
        if train is not None:
            of_file.append(tuple(sorted(labels[2].counts().keys() - {control})))
        views = [
            View(
                file,
                of_cell.groups(perturbations, control),
                len(perturbations) + 1,
                gene_columns(file, genes),
                len(genes),
            )
            for file, of_cell, perturbations in zip(files, labels, of_file, strict=True)
        ]
        normalise(views, normalize)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lanner-pair-")))

        def opened(view: View, name: str) -> FileSide:
            return FileSide(view, view.n_groups - 1, folder / name, device=device, progress=progress)

        with ThreadPoolExecutor(WORKERS) as pool:  # one pass over each file, side by side
            sides = list(pool.map(opened, views, ("truth", "prediction", "train")))
        found = check_scale([side.values for side in sides if side.view.normalisation is None], scale)
        return FilePair(
            control=control,
            genes=genes,
            perturbations=matched.perturbations,
            truth=sides[0],
            prediction=sides[1],
            train=sides[2] if train is not None else None,
            train_perturbations=of_file[2] if train is not None else (),
            unanswered=matched.unanswered,
            not_in_truth=matched.not_in_truth,
            scale=found,
            context=context or "",
            progress=progress,
            resources=stack.pop_all(),
        )


def contexts_of(truth: AnyPath, column: str) -> tuple[str, ...]:
    """Sorted values of an obs column of the truth that any cell has."""
    with CellFile(Path(truth)) as file:
        names, codes = file.labels(column)
        return tuple(sorted(names[code] for code in np.unique(codes)))


def cells_of(
    path: AnyPath, *, control: str, perturbation_column: str | None, context_column: str, context: str
) -> dict[str, int]:
    """Cells of each perturbation of one context of a file, without the control."""
    with CellFile(Path(path)) as file:
        counts = _labels(file, control, perturbation_column, context_column, context).counts()
    counts.pop(control, None)
    return counts


def _labels(
    file: CellFile, control: str, column: str | None, context_column: str | None, context: str | None
) -> Labels:
    if context_column is not None and context is None and len(file.labels(context_column)[0]) > 1:
        raise ConfigurationError(
            f"{file.path.name} has several values in obs column {context_column!r}; name one with context"
        )
    found = perturbation_column(file, control, column)
    return read_labels(file, found, context_column=context_column, context=context)
