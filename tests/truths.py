"""A sealed truth in memory, simulated: the attributes of ``lanner.truth.Truth`` without a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from lanner.matrix import write_matrix
from lanner.metrics import Comparison
from lanner.records import Condition, ControlPolicy, Request, Split, derived_seed
from lanner.scoring import Prediction

Array = np.ndarray[Any, Any]


class MemoryTruth:
    """Built from cells: ``test`` and ``train`` map condition -> cells, ``controls`` context -> cells."""

    def __init__(
        self,
        *,
        genes: tuple[str, ...],
        test: dict[Condition, sp.csr_matrix],
        train: dict[Condition, sp.csr_matrix],
        controls: dict[str, sp.csr_matrix],
        halvings: int = 20,
        shared: bool = False,
        kind: str = "cells",
        scale: str = "log1p-cp10k",
        seed: int = 0,
        with_pca: bool = True,
    ) -> None:
        self.genes, self.kind, self.scale, self.task = genes, kind, scale, "perturbation-response"
        ordered = sorted(test, key=lambda condition: condition.id)
        self.requests = tuple(
            Request(request_id=f"r{n:04d}", condition=condition) for n, condition in enumerate(ordered)
        )
        self.contexts = tuple(sorted({condition.context_id for condition in ordered}))
        self.context_of = np.array([self.contexts.index(condition.context_id) for condition in ordered])
        self.split = Split(
            id="custom",
            design={"id": "custom", "parameters": {}, "seed": seed},
            dataset={"id": "memory", "version": "1", "content": "0"},
            train=tuple(sorted(condition.id for condition in train)),
            valid=(),
            test=tuple(condition.id for condition in ordered),
            controls=dict.fromkeys(self.contexts, ControlPolicy.SHARED if shared else ControlPolicy.HALVED),
        )
        place = {gene: g for g, gene in enumerate(genes)}
        self.targets = np.zeros((len(ordered), len(genes)), dtype=bool)
        for i, condition in enumerate(ordered):
            self.targets[i, [place[target] for target in condition.targets if target in place]] = True
        self._cells = [sp.csr_matrix(test[condition], dtype=np.float32) for condition in ordered]
        self.halvings = halvings
        self._half = []
        for i, cells in enumerate(self._cells):
            n, generator = cells.shape[0], np.random.default_rng(derived_seed(f"{seed}/{i}", "halves"))
            half = np.zeros((halvings, n), dtype=bool)
            for r in range(halvings):
                half[r, generator.permutation(n)[: n // 2]] = True
            self._half.append(half)
        self._controls = {}
        for k, context in enumerate(self.contexts):
            cells = sp.csr_matrix(controls[context], dtype=np.float32)
            order = np.random.default_rng(derived_seed(f"{seed}/{context}", "controls")).permutation(
                cells.shape[0]
            )
            a, b = np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :])
            self._controls[k] = (cells, cells) if shared else (cells[a], cells[b])
        self.shared_control = np.full(len(self.contexts), shared)
        self.control_a = np.stack([mean(self._controls[k][0]) for k in range(len(self.contexts))])
        self.control_b = np.stack([mean(self._controls[k][1]) for k in range(len(self.contexts))])
        self.full = np.stack([mean(cells) for cells in self._cells])
        self._train = train
        self.train_mean, self.train_mean_cells = self._train_means(train)
        self.pca = self._pca(train) if with_pca and kind == "cells" else None

    def cells(self, i: int) -> sp.csr_matrix:
        return self._cells[i]

    def half(self, i: int) -> Array:
        return self._half[i]

    def control_cells(self, k: int, part: str) -> sp.csr_matrix:
        return self._controls[k][part == "b"]

    def train_cells(self, k: int) -> sp.csr_matrix:
        inside = [cells for condition, cells in self._train.items() if self._is_in(condition, k)]
        cells = inside or list(self._train.values())
        return sp.csr_matrix(sp.vstack(cells), dtype=np.float32) if self.kind == "cells" else self._none()

    def train_centroids(self, k: int) -> tuple[Array, Array]:
        inside = [condition for condition in self._train if self._is_in(condition, k)]
        profiles = [mean(self._train[condition]) for condition in inside]
        targets = [[gene in condition.targets for gene in self.genes] for condition in inside]
        shape = (len(inside), len(self.genes))
        return np.array(profiles).reshape(shape), np.array(targets, dtype=bool).reshape(shape)

    def others(self, i: int) -> tuple[Array, Array] | None:
        own = self.requests[i].condition
        others = [
            cells
            for condition, cells in self._train.items()
            if self._is_in(condition, int(self.context_of[i])) and condition.perturbation != own.perturbation
        ]
        if len(others) < 5 or self.kind != "cells":
            return None
        cells = sp.vstack(others).toarray().astype(float)
        return cells.mean(axis=0), cells.var(axis=0, ddof=1)

    def additive(self, i: int) -> tuple[Array, Array] | None:
        k = int(self.context_of[i])
        singles = {c.perturbation: cells for c, cells in self._train.items() if self._is_in(c, k)}
        pair = [singles.get(name) for name in self.requests[i].condition.perturbation.split("+")]
        if len(pair) != 2 or pair[0] is None or pair[1] is None:
            return None
        dense = [cells.toarray().astype(float) for cells in pair if cells is not None]
        profile = sum(cells.mean(axis=0) for cells in dense) - self.control_a[k]
        if self.kind != "cells":
            return profile, np.full(len(self.genes), np.nan)
        return profile, np.sum([cells.var(axis=0, ddof=1) / len(cells) for cells in dense], axis=0)

    def _is_in(self, condition: Condition, k: int) -> bool:
        return condition.context_id == self.contexts[k]

    def _none(self) -> sp.csr_matrix:
        return sp.csr_matrix((0, len(self.genes)), dtype=np.float32)

    def _train_means(self, train: dict[Condition, sp.csr_matrix]) -> tuple[Array, Array]:
        equal, weighted = [], []
        for context in self.contexts:
            inside = [cells for condition, cells in train.items() if condition.context_id == context]
            inside = inside or list(train.values())
            equal.append(np.mean([mean(cells) for cells in inside], axis=0))
            weighted.append(mean(sp.vstack(inside, format="csr")))
        return np.stack(equal), np.stack(weighted)

    def _pca(self, train: dict[Condition, sp.csr_matrix]) -> tuple[Array, Array]:
        cells = sp.vstack([*train.values(), *(a for a, _ in self._controls.values())]).toarray().astype(float)
        centre = cells.mean(axis=0)
        gram = (cells - centre).T @ (cells - centre)
        values, vectors = np.linalg.eigh(gram)
        return centre, np.ascontiguousarray(vectors[:, np.argsort(values)[::-1][:50]].T)


def mean(cells: sp.csr_matrix) -> Array:
    """Float64 mean of rows; SciPy's own ``mean(dtype=float64)`` of a float32 matrix sums in float32."""
    return np.asarray(sp.csr_matrix(cells, dtype=np.float64).mean(axis=0)).ravel()


def simulate(
    *,
    n_conditions: int = 6,
    n_cells: int = 60,
    n_controls: int = 120,
    n_genes: int = 60,
    n_contexts: int = 1,
    strength: float = 1.0,
    doubles: bool = False,
    seed: int = 0,
    **options: Any,
) -> MemoryTruth:
    """Poisson counts, log-normalised; each perturbation lowers its gene and moves a tenth of the others."""
    generator = np.random.default_rng(seed)
    genes = tuple(f"G{g}" for g in range(n_genes))
    base = generator.gamma(1.0, 2.0, n_genes) + 0.05
    effects = generator.normal(0, strength, (n_genes, n_genes)) * (generator.random((n_genes, n_genes)) < 0.1)
    effects[np.arange(n_genes), np.arange(n_genes)] = -2.0
    interactions = effects[::-1] * (2.0 if doubles else 0.0)

    def draw(targets: tuple[int, ...], n: int, context: int) -> sp.csr_matrix:
        log_rate = (
            np.log(base)
            + effects[list(targets)].sum(axis=0)
            + (len(targets) > 1) * interactions[sum(targets) % n_genes]
            + 0.3 * context * np.cos(np.arange(n_genes))
        )
        counts = generator.poisson(np.exp(log_rate), (n, n_genes)).astype(float)
        total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
        return sp.csr_matrix(np.log1p(counts / total * 100).astype(np.float32))

    def condition(targets: tuple[int, ...], context: int) -> Condition:
        names = tuple(sorted(genes[g] for g in targets))
        return Condition(
            perturbation="+".join(names), targets=names, context=(f"c{context}",), n_cells=n_cells
        )

    test, train, controls = {}, {}, {}
    for context in range(n_contexts):
        controls[f"c{context}"] = draw((), n_controls, context)
        for c in range(n_conditions):
            targets = (c, c + 1) if doubles else (c,)
            if doubles:
                for single in (c, c + 1):
                    train[condition((single,), context)] = draw((single,), n_cells, context)
            test[condition(targets, context)] = draw(targets, n_cells, context)
            train[condition((n_genes - 1 - c,), context)] = draw((n_genes - 1 - c,), n_cells + 3 * c, context)
    return MemoryTruth(genes=genes, test=test, train=train, controls=controls, seed=seed, **options)


def comparison(
    predicted: Any,
    truth: Any,
    *,
    control: Any = None,
    sealed_control: Any = None,
    train_mean: Any = None,
    masked: Any = None,
    labels: Any = None,
    n_cells: int = 100,
) -> Comparison:
    """What a metric is given; references default to zero, controls to one shared profile."""
    predicted, truth = np.atleast_2d(predicted), np.atleast_2d(truth)
    zero = np.zeros(truth.shape[1])
    control = zero if control is None else control
    masked = np.zeros(truth.shape, dtype=bool) if masked is None else np.atleast_2d(masked)
    return Comparison(
        predicted=torch.as_tensor(predicted, dtype=torch.float64),
        truth=torch.as_tensor(truth, dtype=torch.float64),
        predicted_reference=torch.as_tensor(np.atleast_2d(control), dtype=torch.float64),
        truth_reference=torch.as_tensor(np.atleast_2d(control if sealed_control is None else sealed_control)),
        train_reference=torch.as_tensor(np.atleast_2d(zero if train_mean is None else train_mean)),
        masked=torch.as_tensor(masked),
        n_cells=torch.full((len(truth),), n_cells),
        labels=None if labels is None else torch.as_tensor(np.atleast_2d(labels)),
    )


def predict(
    folder: Path,
    rows: Array | sp.csr_matrix,
    *,
    n_cells: int = 1,
    residual: str | None = None,
    answered: Any = None,
) -> Prediction:
    """A prediction written to and read from canonical files, as ingest leaves it."""
    folder = folder / f"prediction-{len(list(folder.iterdir()))}"
    matrix = write_matrix(folder, rows.shape[1], [rows], sparse=sp.issparse(rows))
    n = rows.shape[0] // n_cells
    answered = np.ones(n, dtype=bool) if answered is None else np.asarray(answered)
    return Prediction(matrix=matrix, n_cells=n_cells, answered=answered, residual=residual)
