"""The sealed side of a split, opened: held-out cells, control halves, halvings, references fitted on train.

``lanner.sealing`` writes the folder. It lies under ``$LANNER_HOME/truth`` (mode 0700) and is never below a
mounted folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lanner.errors import InfrastructureError
from lanner.matrix import Matrix
from lanner.records import Condition, Request, Split

if TYPE_CHECKING:
    import scipy.sparse as sp

Array = np.ndarray[Any, Any]

FORMAT = "lanner-truth/2"
TEST, CONTROL_A, CONTROL_B, TRAIN = 0, 1, 2, 3
"""What a sealed cell is for; what owns it is a request, or a context."""


class Truth:
    """A sealed truth folder, opened for scoring. Attributes are float64 unless they say otherwise.

    ``requests`` (C of them) are in the order of requests.csv; ``contexts`` (K) are those of the requests.
    ``control_a`` and ``control_b`` are the mean profiles ``(K, n_genes)`` of the staged and of the sealed
    controls: the reference of every prediction and that of the truth; equal where ``shared_control``.
    ``train_mean`` averages train perturbation centroids with equal weight, ``train_mean_cells`` train
    perturbed cells; both of the request's context where it has a train perturbation, else of all contexts.
    ``full`` ``(C, n_genes)`` is each condition's centroid over all its cells. ``targets`` is bool
    ``(C, n_genes)``. ``pca`` is ``(mean, components)`` fitted on train cells, None for profiles.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self._open()
        except (OSError, ValueError, KeyError) as error:
            raise InfrastructureError(
                f"{folder} is not a sealed truth of {FORMAT} ({error}); remove the folder and try again"
            ) from None

    def _open(self) -> None:
        folder = self.folder
        document = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise ValueError(f"its format is {document['format']}")
        self.split = Split.from_json(document["split"])
        self.task: str = document["task"]
        self.kind: str = document["kind"]
        self.scale: str = document["scale"]
        self.genes: tuple[str, ...] = tuple(document["genes"])
        self.contexts: tuple[str, ...] = tuple(document["contexts"])
        self.requests = tuple(
            Request(request_id=item["request_id"], condition=_condition(item["condition"]))
            for item in document["requests"]
        )
        self.halvings: int = document["halvings"]
        self.shared_control = np.array(document["shared_control"], dtype=bool)
        index = {context: k for k, context in enumerate(self.contexts)}
        self.context_of = np.array([index[r.condition.context_id] for r in self.requests], dtype=np.int64)
        genes = {gene: g for g, gene in enumerate(self.genes)}
        self.targets = np.zeros((len(self.requests), len(self.genes)), dtype=bool)
        for i, request in enumerate(self.requests):
            self.targets[i, [genes[target] for target in request.condition.targets if target in genes]] = True
        with np.load(folder / "references.npz", allow_pickle=False) as arrays:
            self.control_a: Array = arrays["control_a"]
            self.control_b: Array = arrays["control_b"]
            self.train_mean: Array = arrays["train_mean"]
            self.train_mean_cells: Array = arrays["train_mean_cells"]
            self.full: Array = arrays["full"]
            self.pca = (arrays["pca_mean"], arrays["pca_components"]) if "pca_mean" in arrays else None
            self._others, self._additive = (
                _Indexed(arrays[f"{name}_of"], arrays[f"{name}_mean"], arrays[f"{name}_variance"])
                for name in ("others", "additive")
            )
            self._train_context: Array = arrays["train_context"]
            self._train_targets: Array = arrays["train_targets"]
        with np.load(folder / "layout.npz", allow_pickle=False) as arrays:
            self._part: Array = arrays["part"]
            self._owner: Array = arrays["owner"]
            self._half: Array = arrays["half"]
            self._train_cells: Array = arrays["train_cells"]
            self._train_owner: Array = arrays["train_owner"]
        if not (folder / "train_centroids.npy").is_file():
            raise ValueError("train_centroids.npy is missing")
        self._matrix = Matrix(folder / "cells", len(self.genes))

    def cells(self, i: int) -> sp.csr_matrix:
        """Cells of request ``i``, float32 CSR ``(n_i, n_genes)``; for profiles the measured halves."""
        return self._matrix.rows(self._rows(TEST, i))

    def half(self, i: int) -> Array:
        """Bool ``(halvings, n_i)``: whether each cell of request ``i`` is in half 1 of each halving."""
        return self._half[:, self._rows(TEST, i)]

    def control_cells(self, k: int, part: str) -> sp.csr_matrix:
        """Control cells of context ``k``: part ``a`` (staged) or ``b`` (sealed), float32 CSR."""
        wanted = CONTROL_A if part == "a" or self.shared_control[k] else CONTROL_B
        return self._matrix.rows(self._rows(wanted, k))

    def train_cells(self, k: int) -> sp.csr_matrix:
        """A sample of the train perturbed cells of context ``k``, of all contexts where it has none."""
        return self._matrix.rows(self._train_cells[self._train_owner == k])

    def train_centroids(self, k: int) -> tuple[Array, Array]:
        """Centroids of the train perturbations of context ``k`` and their targets, bool; ``(T, n_genes)``."""
        file = self.folder / "train_centroids.npy"
        rows = np.flatnonzero(self._train_context == k)
        centroids = np.load(file, mmap_mode="r", allow_pickle=False)[rows] if rows.size else np.zeros((0, 0))
        targets = np.zeros((rows.size, len(self.genes)), dtype=bool)
        mine = self._train_targets[np.isin(self._train_targets[:, 0], rows)]
        targets[np.searchsorted(rows, mine[:, 0]), mine[:, 1]] = True
        return np.asarray(centroids).reshape(rows.size, len(self.genes)), targets

    def others(self, i: int) -> tuple[Array, Array] | None:
        """Mean and variance ``(n_genes,)`` of the train perturbed cells of the context of request ``i``.

        Without those of its own perturbation; None with fewer than 5 other perturbations, and for profiles.
        """
        return self._others[i]

    def additive(self, i: int) -> tuple[Array, Array] | None:
        """What the train singles of a double add up to from controls A, and the variance of their two means.

        ``(n_genes,)`` each, the variance NaN for profiles; None where a single is not in train.
        """
        return self._additive[i]

    def _rows(self, part: int, owner: int) -> Array:
        return np.flatnonzero((self._part == part) & (self._owner == owner))


@dataclass(frozen=True)
class _Indexed:
    """Pairs of profiles that requests share: ``of`` ``(C,)`` points to them, -1 where there is none."""

    of: Array
    first: Array
    second: Array

    def __getitem__(self, i: int) -> tuple[Array, Array] | None:
        place = int(self.of[i])
        return None if place < 0 else (self.first[place], self.second[place])


def _condition(document: Mapping[str, Any]) -> Condition:
    return Condition(
        perturbation=document["perturbation"],
        targets=tuple(document["targets"]),
        context=tuple(document["context"]),
        dose=document["dose"],
        n_cells=document["n_cells"],
    )
