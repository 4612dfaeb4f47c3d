"""What predictions and truths are compared with: means and variances of train cells, in one pass over X.

Written once per dataset and split beside the sealed cells; ``lanner.truth.Truth`` reads them back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lanner.matrix import Matrix
from lanner.records import COMBINATION, Condition, ControlPolicy, Request, Split, derived_seed

if TYPE_CHECKING:
    import scipy.sparse as sp

    from lanner.datasets import Dataset

Array = np.ndarray[Any, Any]

PCA_COMPONENTS = 50
PCA_CELLS = 10_000
"""Train cells the PCA is fitted on; a seeded subset where there are more, so that memory is bounded."""
MIN_OTHERS = 5
"""Other train perturbations of a context without which weights against them are not defined."""


def write_references(
    dataset: Dataset,
    split: Split,
    requests: Sequence[Request],
    contexts: Sequence[str],
    halves: Mapping[str, tuple[Array, Array]],
    train_rows: Array,
    parts: tuple[Array, Array],
    folder: Path,
) -> None:
    """Write references.npz and train_centroids.npy: one pass over X, and the PCA's train cells.

    ``parts`` are the rows of train and of test conditions, bool ``(n_rows,)`` each
    (``lanner.sides.perturbed_parts``): a condition may be both, but no row is.
    Memory is bounded by (train and test conditions) x genes, a block of X, and the PCA's cells.
    """
    obs = dataset.obs
    n_train = len(split.train)
    offset = n_train + len(split.test)
    groups = np.full(len(obs), -1, dtype=np.int64)
    for names, first, rows in ((split.train, 0, parts[0]), (split.test, n_train, parts[1])):
        place = {name: first + g for g, name in enumerate(names)}
        groups[rows] = obs["condition"][rows].map(place).to_numpy(dtype=np.int64)
    if "replicate" in obs:
        groups[obs["replicate"].to_numpy(dtype=str) != "all"] = -1
    for k, context in enumerate(contexts):
        a, b = halves[context]
        groups[b] = offset + 2 * k + 1
        groups[a] = offset + 2 * k
    conditions = {condition.id: condition for condition in dataset.conditions}
    train = _Train([conditions[name] for name in split.train], requests, contexts)
    X = dataset.X()
    has_cells = dataset.entry.kind == "cells"
    squares = _Squares(X, train.square_groups(groups, n_train), train.n_squares)
    matrix = TappedMatrix(X.folder, X.shape[1], squares.add) if has_cells else X
    sums, counts = matrix.group_sums(groups, offset + 2 * len(contexts))

    inside = [np.flatnonzero(train.context == k) for k in range(len(contexts))]
    shown = [rows if rows.size else np.arange(n_train) for rows in inside]
    train_mean_cells = np.array([sums[rows].sum(axis=0) / counts[rows].sum() for rows in shown])
    arrays = train.others(sums, counts, squares.sums if has_cells else None)
    means = np.divide(sums, np.maximum(counts, 1)[:, None], out=sums)  # a second such array may not fit
    train_mean = np.array([means[rows].mean(axis=0) for rows in shown])
    control_a, control_b = means[offset::2], means[offset + 1 :: 2].copy()
    for k, context in enumerate(contexts):
        if split.controls.get(context) is not ControlPolicy.HALVED:
            control_b[k] = control_a[k]
    arrays |= {
        "control_a": control_a,
        "control_b": control_b,
        "train_mean": train_mean,
        "train_mean_cells": train_mean_cells,
        "full": means[n_train:offset],
        **train.additive(means, control_a, counts, squares.sums if has_cells else None),
    }
    arrays |= _write_train_centroids(train, inside, means, dataset.genes, folder)
    if has_cells:
        arrays["pca_mean"], arrays["pca_components"] = _pca(dataset, split, train_rows)
    np.savez(folder / "references.npz", **arrays)  # type: ignore[arg-type]


class TappedMatrix(Matrix):
    """A matrix whose blocks are shown to ``tap`` as they pass: two sums of one pass."""

    def __init__(self, folder: Path, n_columns: int, tap: Callable[[int, int, Any], None]) -> None:
        super().__init__(folder, n_columns)
        self._tap = tap

    def blocks(self) -> Iterator[tuple[int, int, Any]]:
        """The blocks of ``Matrix``."""
        for start, stop, block in super().blocks():
            self._tap(start, stop, block)
            yield start, stop, block
            del block  # or it would be held while the next one is read


class _Squares:
    """Sums of squares by group, float64 ``(n_groups, n_genes)``; rows of a negative group are left out."""

    def __init__(self, matrix: Matrix, groups: Array, n_groups: int) -> None:
        self._groups = groups
        self.sums = np.zeros((n_groups, matrix.shape[1]))

    def add(self, start: int, stop: int, block: Any) -> None:
        """Add the rows ``start:stop``."""
        import scipy.sparse as sp

        rows = np.flatnonzero(self._groups[start:stop] >= 0)
        if not rows.size:
            return
        present, local = np.unique(self._groups[start:stop][rows], return_inverse=True)
        members = sp.csr_matrix((np.ones(rows.size), (local, rows)), shape=(len(present), stop - start))
        values = block.astype(np.float64)
        total = members @ (values.power(2) if sp.issparse(values) else values**2)
        self.sums[present] += total.toarray() if sp.issparse(total) else total


class _Train:
    """Train conditions by context, and which of them are needed by themselves.

    ``context`` ``(n_train,)`` is the index among the requests' contexts, -1 elsewhere. Squares are summed
    over all train cells of a context, but apart for conditions of a requested perturbation (another dose of
    it) and for the singles of a requested double: ``alone`` lists their positions.
    """

    def __init__(
        self, conditions: Sequence[Condition], requests: Sequence[Request], contexts: Sequence[str]
    ) -> None:
        self.conditions, self.requests, self.n_contexts = conditions, requests, len(contexts)
        index = {context: k for k, context in enumerate(contexts)}
        self.context = np.array([index.get(item.context_id, -1) for item in conditions], dtype=np.int64)
        self.context_of = [index[request.condition.context_id] for request in requests]
        place = {(c.context_id, c.dose, c.perturbation): j for j, c in enumerate(conditions)}
        self.singles = [_singles(request.condition, place) for request in requests]
        requested = {(r.condition.context_id, r.condition.perturbation) for r in requests}
        same = [j for j, c in enumerate(conditions) if (c.context_id, c.perturbation) in requested]
        self.alone = sorted({*same, *(j for pair in self.singles for j in pair)})
        self.n_squares = len(self.alone) + self.n_contexts

    def square_groups(self, groups: Array, n_train: int) -> Array:
        """Groups of ``_Squares`` for cells whose train condition, or anything not below n_train, is given."""
        of_condition = np.where(self.context >= 0, len(self.alone) + self.context, -1)
        of_condition[self.alone] = np.arange(len(self.alone))
        answer: Array = np.full(groups.shape, -1, dtype=np.int64)
        is_train = (groups >= 0) & (groups < n_train)
        answer[is_train] = of_condition[groups[is_train]]
        return answer

    def others(self, sums: Array, counts: Array, squares: Array | None) -> dict[str, Array]:
        """Mean and variance of the train perturbed cells of a request's context without its perturbation.

        ``others_of`` ``(C,)`` points into ``others_mean`` and ``others_variance``; -1 with fewer than
        MIN_OTHERS other perturbations, and without cells.
        """
        labels = np.array([condition.perturbation for condition in self.conditions])
        known: dict[tuple[int, ...], int] = {}
        of = np.full(len(self.requests), -1, dtype=np.int64)
        means: list[Array] = []
        variances: list[Array] = []
        for i, request in enumerate(self.requests):
            k = self.context_of[i]
            own = (self.context == k) & (labels == request.condition.perturbation)
            members = (self.context == k) & ~own
            if squares is None or len(set(labels[members])) < MIN_OTHERS:
                continue
            key = (k, *np.flatnonzero(own))
            if key not in known:
                known[key] = len(means)
                n = counts[: len(members)][members].sum()
                mean = sums[: len(members)].sum(axis=0, where=members[:, None]) / n
                alone = [place for place, j in enumerate(self.alone) if members[j]]
                square = squares[len(self.alone) + k] + squares[alone].sum(axis=0)
                means.append(mean)
                variances.append(np.maximum(square - n * mean**2, 0.0) / (n - 1))
            of[i] = known[key]
        empty = np.zeros((0, sums.shape[1]))
        return {
            "others_of": of,
            "others_mean": np.array(means) if means else empty,
            "others_variance": np.array(variances) if variances else empty,
        }

    def additive(
        self, means: Array, control_a: Array, counts: Array, squares: Array | None
    ) -> dict[str, Array]:
        """What the singles of each requested double add up to, and the variance of their means.

        ``additive_mean`` is A + B - (staged controls), ``additive_variance`` v_A / n_A + v_B / n_B, NaN
        without cells; ``additive_of`` ``(C,)`` points into both, -1 where a single is not in train.
        """
        of = np.full(len(self.requests), -1, dtype=np.int64)
        doubles = [i for i, pair in enumerate(self.singles) if pair]
        of[doubles] = np.arange(len(doubles))
        profiles = np.zeros((len(doubles), means.shape[1]))
        variances = np.full(profiles.shape, np.nan)
        for place, i in enumerate(doubles):
            pair = list(self.singles[i])
            profiles[place] = means[pair].sum(axis=0) - control_a[self.context_of[i]]
            if squares is not None:
                n = counts[pair][:, None]
                square = squares[[self.alone.index(j) for j in pair]]
                with np.errstate(divide="ignore", invalid="ignore"):
                    spread = np.maximum(square - n * means[pair] ** 2, 0.0) / (n - 1)
                    variances[place] = (spread / n).sum(axis=0)
        return {"additive_of": of, "additive_mean": profiles, "additive_variance": variances}


def _singles(condition: Condition, place: Mapping[tuple[str, str, str], int]) -> tuple[int, ...]:
    """Positions of a double's two singles in train, same context and dose; empty where one is missing."""
    parts = condition.perturbation.split(COMBINATION)
    found = [place.get((condition.context_id, condition.dose, part), -1) for part in parts]
    return tuple(found) if len(parts) == 2 and min(found) >= 0 else ()


def _write_train_centroids(
    train: _Train, inside: Sequence[Array], means: Array, genes: Sequence[str], folder: Path
) -> dict[str, Array]:
    """Centroids of the train perturbations, context by context, in a file of their own: they may be many."""
    order = np.concatenate(inside)
    index = {gene: g for g, gene in enumerate(genes)}
    targets = []
    with (folder / "train_centroids.npy").open("wb") as file:  # row by row: a copy of them may not fit
        header = {"descr": "<f8", "fortran_order": False, "shape": (len(order), len(genes))}
        np.lib.format.write_array_header_1_0(file, header)
        for place, j in enumerate(order):
            means[j].tofile(file)
            targets += [(place, index[gene]) for gene in train.conditions[j].targets if gene in index]
    return {
        "train_context": train.context[order],
        "train_targets": np.array(targets, dtype=np.int64).reshape(-1, 2),
    }


def _pca(dataset: Dataset, split: Split, rows: Array) -> tuple[Array, Array]:
    """The PCA of at most PCA_CELLS train cells."""
    generator = np.random.default_rng(derived_seed(split.sha256, "pca"))
    return fit_pca(dataset.X().rows, rows, generator)


def fit_pca(
    read: Callable[[Array], sp.csr_matrix], rows: Array, generator: np.random.Generator
) -> tuple[Array, Array]:
    """Mean ``(n_genes,)`` and components ``(<= 50, n_genes)`` of at most PCA_CELLS of ``rows``, by ARPACK.

    ``read`` gives the cells of some rows, which it is called with in rising order.
    """
    from sklearn.decomposition import PCA
    from threadpoolctl import threadpool_limits

    if len(rows) > PCA_CELLS:
        rows = np.sort(generator.choice(rows, PCA_CELLS, replace=False))
    cells = read(rows).astype(np.float64)
    n_components = min(PCA_COMPONENTS, len(rows) - 1, cells.shape[1] - 1)
    with threadpool_limits(1):  # one thread: the bits must not depend on how many there are
        pca = PCA(n_components, svd_solver="arpack", random_state=int(generator.integers(2**31)))
        pca.fit(cells)
    return pca.mean_, pca.components_
