"""The small deterministic data set every peer is run on. NumPy only: peers' environments import this file.

Values are multiples of 2^-12, so float32 and float64 hold the same numbers and no difference of rounding in
somebody's logarithm can change them. It holds what metrics stumble over: ties, genes at zero, a gene that is
constant, genes absent from one group (infinite fold changes), twin perturbations (equal distances), a
perfect prediction, a constant one, one that copies the control, a perturbation with few cells.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

SEED = 7
CONTROL = "control"
GENES = tuple(f"gene_{g:03d}" for g in range(160))
SILENT, CONSTANT = 159, 158
ONLY_PERTURBED, ONLY_CONTROL = (150, 151, 152), (153, 154, 155)
SIZES = {
    "drug_a": (48, 44),
    "gene_003": (60, 52),
    "gene_010+gene_020": (36, 36),
    "gene_030": (33, 40),
    "gene_031": (40, 34),
    "gene_040": (45, 45),
    "gene_041": (38, 38),
    "gene_050": (42, 50),
    "gene_060": (24, 30),
    "twin_a": (35, 35),
    "twin_b": (35, 39),
}
"""Cells of truth and of prediction by perturbation, in the order of ``Side.groups``."""
CONTROLS = (64, 50)
CHANGED = {"drug_a": 110, "gene_003": 45, "gene_010+gene_020": 30, "gene_030": 4, "gene_031": 0}


@dataclass(frozen=True)
class SmallSide:
    """Dense float64 cells by perturbation, and controls."""

    groups: dict[str, Array]
    controls: Array

    def stacked(self) -> tuple[Array, list[str]]:
        """All cells ``(N, G)`` and their labels; the control stands in the middle."""
        order = list(self.groups)
        order.insert(len(order) // 2, CONTROL)
        parts = {**self.groups, CONTROL: self.controls}
        labels = [label for label in order for _ in range(len(parts[label]))]
        return np.concatenate([parts[label] for label in order]), labels


@dataclass(frozen=True)
class Small:
    """Truth and prediction of the same perturbations and genes."""

    truth: SmallSide
    prediction: SmallSide

    @property
    def sha256(self) -> str:
        """Hash of every value, in order."""
        digest = hashlib.sha256()
        for side in (self.truth, self.prediction):
            cells, labels = side.stacked()
            digest.update("\n".join(labels).encode())
            digest.update(np.ascontiguousarray(cells, dtype="<f8").tobytes())
        return digest.hexdigest()


def small(seed: int = SEED) -> Small:
    """The data set; equal for equal seeds."""
    generator = np.random.default_rng(seed)
    base = np.round(np.exp(generator.normal(-0.3, 1.1, len(GENES))), 3)
    base[[SILENT, CONSTANT, *ONLY_PERTURBED, *ONLY_CONTROL]] = 0.0
    folds = {label: _folds(label, generator) for label in SIZES}
    folds["twin_b"] = folds["twin_a"]

    def cells(n: int, label: str, share: float) -> Array:
        fold = np.ones(len(GENES)) if label == CONTROL else 1.0 + share * (folds[label] - 1.0)
        depth = generator.integers(60, 140, size=(n, 1)) / 100.0
        counts = generator.poisson(base * fold * depth)
        counts[:, list(ONLY_CONTROL if label == CONTROL else ONLY_PERTURBED)] = generator.poisson(0.6, (n, 3))
        values = np.log1p(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) * 200.0)
        values[:, CONSTANT] = 1.25
        return np.round(values * 4096.0) / 4096.0

    sides = [
        SmallSide(
            {label: cells(n[s], label, share) for label, n in SIZES.items()}, cells(CONTROLS[s], CONTROL, 0)
        )
        for s, share in enumerate((1.0, 0.6))
    ]
    truth, prediction = sides
    truth.groups["twin_b"] = truth.groups["twin_a"].copy()
    prediction.groups["gene_040"] = truth.groups["gene_040"].copy()
    mean = np.round(truth.groups["gene_041"].mean(axis=0) * 4096.0) / 4096.0
    prediction.groups["gene_041"] = np.repeat(mean[None, :], SIZES["gene_041"][1], axis=0)
    prediction.groups["gene_050"] = prediction.controls.copy()
    return Small(truth, prediction)


def _folds(label: str, generator: np.random.Generator) -> Array:
    """Fold change of each gene under a perturbation; its own targets nearly vanish."""
    folds = np.ones(len(GENES))
    changed = generator.choice(150, CHANGED.get(label, 15), replace=False)
    folds[changed] = generator.choice([0.2, 0.4, 2.0, 3.0, 4.0], len(changed))
    for part in label.split("+"):
        if part in GENES and label != "gene_031":
            folds[GENES.index(part)] = 0.05
    return folds
