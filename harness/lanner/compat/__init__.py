"""Compatibility metrics: a peer's number under the peer's name, from one truth file and one prediction file.

They exist to be compared with published tables, faults included, and never rank anything: a leaderboard
is judged by ``lanner.metrics``. One file per peer, one decorated function per name, such as
``cell_eval/mse``. A function takes a ``Pair`` and returns ``PeerValues``. It knows nothing of files:
``lanner.pairs`` reads them and computes what several metrics share (means, tests, distances) once.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp

from lanner.records import sha256_json
from lanner.registry import Registry, import_all

__all__ = ["COMPAT", "Pair", "PeerCard", "PeerMetric", "PeerValues", "Side", "peer_metric"]

Array = np.ndarray[Any, Any]


class Side(Protocol):
    """The cells of one file, by perturbation; values on the log1p scale unless the pair says otherwise.

    P perturbations and G genes are those of the pair, in its order; the control is apart. Answers are
    computed when first asked for and kept, so they must not be written to. Means, variances and tests are
    float64.
    """

    def n_cells(self) -> Array:
        """Cells of each perturbation, int64 ``(P,)``."""

    def n_control(self) -> int:
        """Control cells of this file; 0 where it has none."""

    def means(self) -> Array:
        """Mean profile of each perturbation ``(P, G)``."""

    def variances(self) -> Array:
        """Variance over each perturbation's cells, N - 1 denominator, ``(P, G)``; NaN below 2 cells."""

    def control_mean(self) -> Array:
        """Mean profile of this file's own control cells ``(G,)``."""

    def control_variance(self) -> Array:
        """Their variance ``(G,)``, N - 1 denominator."""

    def cells(self, p: int) -> sp.csr_matrix:
        """Cells of perturbation ``p``, float32 CSR ``(n, G)``, in the order of the file."""

    def control_cells(self) -> sp.csr_matrix:
        """Control cells, float32 CSR ``(n, G)``, in the order of the file."""

    def mann_whitney(self) -> tuple[Array, Array]:
        """U of each perturbation against this file's own controls, and its two-sided p; ``(P, G)`` each.

        Asymptotic, with tie and continuity correction; p is 1 where a gene is constant in both.
        """

    def energy_to_control(self) -> Array:
        """``2 E|x - c| - E|x - x'| - E|c - c'|`` to own controls ``(P,)``: Euclid, diagonals included."""


class Pair(Protocol):
    """One truth file and one prediction file, restricted to the same perturbations and genes."""

    perturbations: tuple[str, ...]
    """Sorted labels of both files, without the control."""
    genes: tuple[str, ...]
    control: str
    targets: tuple[tuple[int, ...], ...]
    """Columns of each perturbation's own measured targets: the parts of its label that name genes."""
    truth: Side
    prediction: Side
    train: Side | None
    """A third file: training cells with perturbations of their own, for peers whose reference is fitted on
    train. Its perturbations are ``train_perturbations``, which need not be those of the pair."""
    train_perturbations: tuple[str, ...]

    def energy(self) -> Array:
        """``2 E|x - y| - E|x - x'| - E|y - y'|`` of predicted and true cells ``(P,)``; diagonals included."""

    def wasserstein_by_gene(self) -> Array:
        """Exact 1-D Wasserstein distance of predicted and true cells, gene by gene, ``(P, G)``."""


@dataclass(frozen=True, kw_only=True)
class PeerCard:
    """What a peer's number is, exactly, and where the peer's definition surprises.

    ``family`` is the name under which people compare it (``pearson delta``, ``energy``, ``pds`` ...): all
    members of a family are shown side by side by ``lanner metric compare``. ``better`` is higher, lower,
    nearest or neither; ``best`` the value of a perfect prediction. ``needs`` lists what a pair must have:
    ``cells`` (in both files), ``truth cells``, ``prediction controls``, ``train``. ``faults`` says what is
    reproduced though it is wrong.
    """

    id: str
    version: int
    peer: str
    peer_version: str
    family: str
    summary: str
    space: str
    reference: str
    estimator: str
    ties: str
    undefined: str
    faults: str
    better: str
    best: float
    needs: tuple[str, ...]
    per: str
    citation: str

    @cached_property
    def sha256(self) -> str:
        """Hash of the whole card."""
        return sha256_json(asdict(self))


@dataclass(frozen=True, kw_only=True)
class PeerValues:
    """Values as the peer gives them: float64 ``(P,)``, or ``(1,)`` where the peer has one for the file.

    NaN is the peer's own "undefined"; ``reason`` says in half a sentence why.
    """

    values: Array
    reason: str = "the peer leaves it undefined"


@dataclass(frozen=True, kw_only=True)
class PeerMetric:
    """A compatibility metric: a function of a pair and its card."""

    card: PeerCard
    function: Callable[[Pair], PeerValues]

    @property
    def definition(self) -> str:
        """The function's docstring: formula and source."""
        return inspect.cleandoc(self.function.__doc__ or "")

    def __call__(self, pair: Pair) -> PeerValues:
        """One value per perturbation, or one for the file."""
        return self.function(pair)


COMPAT: Registry[PeerMetric] = Registry("compatibility metric")


def peer_metric(
    *,
    id: str,
    peer: str,
    peer_version: str,
    family: str,
    better: str,
    best: float,
    citation: str,
    version: int = 1,
    space: str = "all genes",
    reference: str = "none",
    estimator: str = "plug-in",
    ties: str = "none",
    undefined: str = "NaN",
    faults: str = "none",
    needs: tuple[str, ...] = (),
    per: str = "perturbation",
) -> Callable[[Callable[[Pair], PeerValues]], PeerMetric]:
    """Register a function under ``id``; the first line of its docstring becomes the card's summary."""
    fields: Mapping[str, Any] = dict(locals())

    def register(function: Callable[[Pair], PeerValues]) -> PeerMetric:
        summary = (function.__doc__ or "").partition("\n")[0]
        return COMPAT.add(id, PeerMetric(card=PeerCard(summary=summary, **fields), function=function))

    return register


import_all(sys.modules[__name__])
