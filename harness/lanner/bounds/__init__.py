"""Bounds: predictions the harness makes itself to anchor every metric, one file each.

A bound sees the truth; a negative one uses only what a method is staged, a positive one the other half of the
held-out cells. ``lanner.scoring`` treats bounds and predictions alike.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, TypeVar

import numpy as np
import scipy.sparse as sp

from lanner.cards import ROLES, Role
from lanner.records import Request, Split, derived_seed
from lanner.registry import Registry, import_all
from lanner.residual import draw_cells

__all__ = ["BOUNDS", "Bound", "CellPool", "ProfileBound", "SealedTruth", "bound", "control_pool"]

Array = np.ndarray[Any, Any]


class SealedTruth(Protocol):
    """What scoring and bounds read of ``lanner.truth.Truth``; see there for shapes and meaning."""

    split: Split
    kind: str
    scale: str
    genes: tuple[str, ...]
    requests: tuple[Request, ...]
    contexts: tuple[str, ...]
    context_of: Array
    targets: Array
    control_a: Array
    control_b: Array
    train_mean: Array
    train_mean_cells: Array
    full: Array
    halvings: int
    pca: tuple[Array, Array] | None

    def cells(self, i: int) -> sp.csr_matrix:
        """Held-out cells of request ``i``."""

    def half(self, i: int) -> Array:
        """Membership in half 1, ``(halvings, n_i)``."""

    def control_cells(self, k: int, part: str) -> sp.csr_matrix:
        """Controls ``a`` or ``b`` of context ``k``."""

    def train_cells(self, k: int) -> sp.csr_matrix:
        """A sample of the train perturbed cells of context ``k``, or else of all."""

    def train_centroids(self, k: int) -> tuple[Array, Array]:
        """Train centroids of context ``k`` and their targets."""

    def others(self, i: int) -> tuple[Array, Array] | None:
        """Mean and variance of the other train perturbed cells of the context of request ``i``."""

    def additive(self, i: int) -> tuple[Array, Array] | None:
        """What the train singles of a double add up to, and the variance of their means."""


@dataclass(frozen=True, kw_only=True)
class CellPool:
    """Cells that draws are taken from without replacement.

    ``cells`` is CSR or dense ``(n, n_genes)``; ``available`` bool ``(P, n)``, or ``(1, n)`` for all parts:
    which of them a draw may take for each truth part. ``is_truth`` marks the held-out cells themselves.
    """

    cells: sp.csr_matrix | Array
    available: Array
    is_truth: bool = False


class Bound(ABC):
    """A prediction made by the harness.

    ``anchors`` marks the positive bound that skill is measured by, ``reference`` the negative one that every
    method is compared with. ``drawn`` marks a bound that is drawn anew
    for each truth part: its mean over draws is what others have to beat, not each draw's luck.
    """

    id: ClassVar[str]
    kind: ClassVar[Literal["negative", "positive"]]
    anchors: ClassVar[bool] = False
    reference: ClassVar[bool] = False
    drawn: ClassVar[bool] = False

    @abstractmethod
    def centroid(self, truth: SealedTruth, i: int, members: Array) -> Array | None:
        """Mean profile of request ``i``, ``(P, n_genes)`` or ``(1, n_genes)`` for all parts.

        ``members`` is bool ``(P, n_i)``: the cells of each truth part it will be compared with. None where
        the bound does not exist, such as a duplicate of a truth that uses all cells.
        """

    @abstractmethod
    def pool(self, truth: SealedTruth, i: int, members: Array) -> CellPool | None:
        """Cells of request ``i`` for population metrics, or None where there are none."""


B = TypeVar("B", bound=type[Bound])
BOUNDS: Registry[Bound] = Registry("bound")


def bound(cls: B) -> B:
    """Register an instance of the class under its ``id``, and its role."""
    BOUNDS.add(cls.id, cls())
    ROLES.add(cls.id, Role(id=cls.id, kind=cls.kind, anchors=cls.anchors, reference=cls.reference))
    return cls


class ProfileBound(Bound):
    """A negative bound that is one profile per request; its cells are staged controls, shifted."""

    kind = "negative"

    @abstractmethod
    def profile(self, truth: SealedTruth, i: int) -> Array:
        """Mean profile ``(n_genes,)`` of request ``i``."""

    def centroid(self, truth: SealedTruth, i: int, members: Array) -> Array | None:
        """The one profile, for all parts."""
        return self.profile(truth, i)[None, :]

    def pool(self, truth: SealedTruth, i: int, members: Array) -> CellPool | None:
        """Staged controls with the profile's change added."""
        return control_pool(truth, i, self.profile(truth, i), "shift", members.shape[1])


def control_pool(truth: SealedTruth, i: int, profile: Array, model: str, size: int) -> CellPool:
    """Cells of ``profile`` made of a seeded subset of at most ``size`` staged controls of the context."""
    k = int(truth.context_of[i])
    controls = truth.control_cells(k, "a")
    if controls.shape[0] > size:
        seed = derived_seed(truth.split.sha256, f"controls/{truth.requests[i].condition.id}")
        chosen = np.random.default_rng(seed).choice(controls.shape[0], size, replace=False)
        controls = controls[np.sort(chosen)]
    cells = draw_cells(model, profile, controls, truth.control_a[k], scale=truth.scale)
    return CellPool(cells=cells, available=np.ones((1, controls.shape[0]), dtype=bool))


import_all(sys.modules[__name__])
