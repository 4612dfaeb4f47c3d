"""Lanner's own metrics on a pair of files: the truth file as a sealed truth of which nothing is held apart.

The rule of the harness holds here too (metrics.md section 1): the truth's controls are the reference of both
sides, and predicted controls are not looked at. There are no halves, so there are no bounds and no skill.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from lanner.bounds import CellPool, SealedTruth
from lanner.metrics import METRICS, Card
from lanner.records import COMBINATION, Condition, ControlPolicy, Request, Split, derived_seed

if TYPE_CHECKING:
    import pandas as pd
    import scipy.sparse as sp

    from lanner.pairs.pair import FilePair
    from lanner.pairs.side import FileSide, Progress

Array = np.ndarray[Any, Any]

DISCOVERY, CHANGE = 0.05, 0.1
"""What the label rule ``mann-whitney`` calls changed: BH below the first, difference above the second."""
MIN_OTHERS = 5
VARIANTS = {"@all-cells": "", "@all-cells.unmasked": "@unmasked"}
"""The engine's variants without halves, and their names here: with own targets masked, and without."""


def needs_train(card: Card) -> bool:
    """Whether a card's definition mentions training cells, which a pair need not have."""
    if card.worst_of:
        return any(needs_train(METRICS[name].card) for name in card.worst_of)
    return any("train" in text for text in (card.space, card.reference, card.weights, card.candidates))


class PairTruth:
    """The truth side of a pair, as ``lanner.bounds.SealedTruth`` states it, with no halvings."""

    kind = "cells"
    halvings = 0

    def __init__(self, pair: FilePair, progress: Progress | None = None) -> None:
        self._pair, self._progress, self._read = pair, progress, -1
        self.scale, self.genes = pair.scale, pair.genes
        n_cells = pair.truth.n_cells()
        self.requests = tuple(
            Request(
                request_id=f"r{p:05d}",
                condition=Condition(
                    perturbation=name,
                    targets=tuple(name.split(COMBINATION)),
                    context=(pair.context,),
                    n_cells=int(n_cells[p]),
                ),
            )
            for p, name in enumerate(pair.perturbations)
        )
        self.contexts: tuple[str, ...] = (pair.context,)
        self.context_of = np.zeros(len(self.requests), dtype=np.int64)
        # Seeds of draws depend on the conditions and on nothing else, such as the order of rows.
        self.split = Split(
            id="pair",
            design={"id": "pair", "parameters": {}, "seed": 0},
            dataset={"id": "pair", "version": "", "content": ""},
            train=(),
            valid=(),
            test=tuple(request.condition.id for request in self.requests),
            controls={pair.context: ControlPolicy.SHARED},
        )
        self.targets = np.zeros((len(self.requests), len(self.genes)), dtype=bool)
        for p, columns in enumerate(pair.targets):
            self.targets[p, list(columns)] = True
        self.full: Array = pair.truth.means()
        self.control_a = self.control_b = pair.truth.control_mean()[None, :]
        # Without a train file any origin will do: metrics whose number depends on it are not computed.
        self.train_mean = self.train_mean_cells = self.control_a
        if pair.train is not None:
            n, means = pair.train.n_cells(), pair.train.means()
            self.train_mean = means.mean(axis=0, keepdims=True)
            self.train_mean_cells = (n @ means / n.sum())[None, :]

    def cells(self, i: int) -> sp.csr_matrix:
        """True cells of request ``i``."""
        if self._progress is not None and i != self._read:
            self._read = i
            self._progress("perturbations", i + 1, len(self.requests))
        return self._pair.truth.cells(i)

    def half(self, i: int) -> Array:
        """No halves: bool ``(0, n_i)``."""
        return np.zeros((0, int(self._pair.truth.n_cells()[i])), dtype=bool)

    def control_cells(self, k: int, part: str) -> sp.csr_matrix:
        """The truth's controls, the reference of both sides."""
        return self._pair.truth.control_cells()

    def train_cells(self, k: int) -> sp.csr_matrix:
        """Train perturbed cells; none without a train file."""
        train = self._pair.train
        if train is None:
            return self._pair.truth.control_cells()[:0]
        return train.some_cells(np.flatnonzero(train.groups < len(self._pair.train_perturbations)))

    def train_centroids(self, k: int) -> tuple[Array, Array]:
        """Train centroids and their targets, ``(T, n_genes)`` each."""
        from lanner.pairs.alignment import targets_of

        if self._pair.train is None:
            return np.zeros((0, len(self.genes))), np.zeros((0, len(self.genes)), dtype=bool)
        targets = np.zeros((len(self._pair.train_perturbations), len(self.genes)), dtype=bool)
        for p, columns in enumerate(targets_of(self._pair.train_perturbations, self.genes)):
            targets[p, list(columns)] = True
        return self._pair.train.means(), targets

    def others(self, i: int) -> tuple[Array, Array] | None:
        """Mean and variance of the train perturbed cells without those of the request's perturbation."""
        train = self._pair.train
        if train is None:
            return None
        name = self._pair.perturbations[i]
        kept = np.array([other != name for other in self._pair.train_perturbations])
        if kept.sum() < MIN_OTHERS:
            return None
        total, sums, squares = self._train_totals
        if not kept.all():
            (p,) = np.flatnonzero(~kept)
            n, own, own_squares = self._train_sums(train, slice(p, p + 1))
            total, sums, squares = total - n, sums - own, squares - own_squares
        mean = sums / total
        return mean, np.maximum(squares - total * mean**2, 0.0) / (total - 1)

    def additive(self, i: int) -> tuple[Array, Array] | None:
        """What the train singles of a double add up to, and the variance of their means."""
        train, parts = self._pair.train, self._pair.perturbations[i].split(COMBINATION)
        place = {name: p for p, name in enumerate(self._pair.train_perturbations)}
        if train is None or len(parts) != 2 or not set(parts) <= place.keys():
            return None
        rows = [place[part] for part in parts]
        n = train.n_cells()[rows][:, None]
        profile = train.means()[rows].sum(axis=0) - self.control_a[0]
        variance: Array = (train.variances()[rows] / n).sum(axis=0)
        return profile, variance

    @cached_property
    def pca(self) -> tuple[Array, Array] | None:
        """Mean and components fitted on train cells and train controls; None without a train file."""
        from lanner.references import fit_pca

        train = self._pair.train
        if train is None:
            return None
        generator = np.random.default_rng(derived_seed(self.split.sha256, "pca"))
        mean, components = fit_pca(train.some_cells, np.arange(len(train.groups)), generator)
        return np.ascontiguousarray(mean), np.ascontiguousarray(components)

    @cached_property
    def _train_totals(self) -> tuple[Array, Array, Array]:
        assert self._pair.train is not None
        return self._train_sums(self._pair.train, slice(None))

    def _train_sums(self, train: FileSide, rows: slice) -> tuple[Array, Array, Array]:
        """Cells, sum and sum of squares of some train perturbations together."""
        n = train.n_cells()[rows][:, None].astype(np.float64)
        means, variances = train.means()[rows], np.nan_to_num(train.variances()[rows])
        squares = (variances * (n - 1) + n * means**2).sum(axis=0)
        return n.sum(), (n * means).sum(axis=0), squares


class Predicted:
    """The predicted cells of a pair as a source of the engine."""

    def __init__(self, pair: FilePair) -> None:
        self._pair = pair

    def centroid(self, truth: SealedTruth, i: int, members: Array) -> Array | None:
        """Mean of the predicted cells ``(1, n_genes)``."""
        profile: Array = self._pair.prediction.means()[i][None, :]
        return profile

    def pool(self, truth: SealedTruth, i: int, members: Array) -> CellPool | None:
        """The predicted cells."""
        cells = self._pair.prediction.cells(i)
        return CellPool(cells=cells, available=np.ones((1, cells.shape[0]), dtype=bool))


def native_frame(
    pair: FilePair, metrics: Sequence[str], *, device: str = "cpu", progress: Progress | None = None
) -> pd.DataFrame:
    """Lanner's metrics of all perturbations, the columns of ``lanner.scoring.score``.

    Variants are ``""`` (own targets masked) and ``@unmasked``. Metrics that need train cells the pair has not
    are not applicable, with the reason. Population metrics average 20 draws of equal size.
    """
    from lanner.scoring.engine import evaluate
    from lanner.scoring.tables import scores_frame

    truth: Any = PairTruth(pair, progress)
    able = [name for name in metrics if pair.train is not None or not needs_train(METRICS[name].card)]
    chosen = [METRICS[name] for name in able]
    labels = _known_labels(pair) if any(m.card.labels == "mann-whitney" for m in chosen) else {}
    tables = evaluate(truth, {"": Predicted(pair)}, chosen, device, labels=labels)
    frame = scores_frame(truth, tables, np.ones(len(truth.requests), dtype=bool))
    frame = frame[frame["variant"].isin(VARIANTS)].replace({"variant": VARIANTS})
    return frame.reset_index(drop=True)


def _known_labels(pair: FilePair) -> Mapping[tuple[str, int], Array]:
    """The labels of rule ``mann-whitney`` from the tests of all perturbations at once."""
    from scipy.stats import false_discovery_control

    _, p = pair.truth.mann_whitney()
    change = np.abs(pair.truth.means() - pair.truth.control_mean())
    labels = {}
    for i in range(len(p)):
        changed = (false_discovery_control(p[i]) < DISCOVERY) & (change[i] > CHANGE)
        labels["mann-whitney", i] = np.packbits(np.stack([changed, changed]), axis=1)
    return labels
