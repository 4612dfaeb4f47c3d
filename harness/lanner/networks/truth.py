"""What a network is judged by: held-out cells, samples for regression, gold edges. Never seen by a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from lanner.errors import ConfigurationError
from lanner.networks.effects import Effects, effects_of, significant
from lanner.networks.network import Network, name_ranks
from lanner.records import derived_seed

Array = np.ndarray[Any, Any]
MIN_CELLS = 10
"""Held-out cells of an intervention, and of the controls, below which it is not scored."""
MIN_GROUPS = 2
UNSEEN, SEEN, ALL = "unseen", "seen", "all"


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """Held-out expression that a network's regulators have to explain, with groups to leave out in turn.

    ``X`` is float32 ``(n, n_genes)``, CSR or dense, cells or pseudobulks; ``groups`` int64 ``(n,)`` numbers
    contexts or donors; ``target`` int64 ``(n,)`` is the column of the gene that was intervened on in a
    sample, -1 for none: a gene is never explained in samples where it was set by hand.
    """

    X: Any
    groups: Array
    target: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Theta:
    """How many edges of each gene are judged: frozen with the dataset, never from the submitted methods.

    ``regulators_precision``, ``regulators_recall`` int64 ``(n_genes,)``: regulators of each target, few and
    many; ``targets_precision``, ``targets_recall`` the same for targets of each regulator. 0 leaves a gene
    out. ``theta_of`` makes them from the harness's own reference networks.
    """

    regulators_precision: Array
    regulators_recall: Array
    targets_precision: Array
    targets_recall: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Gold:
    """Known edges. ``signs`` CSR float32 ``(n_genes, n_genes)``: +1 activates, -1 represses, no stored zeros.

    ``signed`` is False where the source gives no signs (all are then +1). ``regulators`` and ``targets`` bool
    ``(n_genes,)`` say what was measured: a pair counts, as positive or negative, if its regulator and its
    target were; others are unknown, not absent.
    """

    signs: sp.csr_matrix
    signed: bool
    regulators: Array
    targets: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class NetworkTruth:
    """The sealed side of a network task on one dataset and split.

    Parameters
    ----------
    genes
        The train genes, in their order; every array's columns.
    regulators
        Candidate regulators, sorted int64 columns of ``genes``.
    controls, interventions
        Held-out cells, CSR float32 ``(n, n_genes)`` on the scale of train: unperturbed ones, and those of
        each intervention by the name of the one gene intervened on. Only candidates are judged.
    direction
        What an intervention does to its gene: -1 knock-down or knock-out, +1 activation or over-expression.
    unseen
        Genes whose interventions the method saw no cell of (held-out interventions).
    n_edges
        Edges that cards ending in ``/top`` judge; frozen with the dataset. 0 leaves those undefined.
    seed
        Text that seeds every draw (the split's sha256).
    samples, theta, gold
        For regression and gold standards, where the dataset has them.
    train_sd
        Standard deviation of each gene over train controls, float64 ``(n_genes,)``, for distances in its
        units.
    """

    genes: tuple[str, ...]
    regulators: Array
    controls: sp.csr_matrix
    interventions: Mapping[str, sp.csr_matrix]
    direction: int = -1
    unseen: frozenset[str] = frozenset()
    n_edges: int = 1000
    seed: str = ""
    samples: Samples | None = None
    theta: Theta | None = None
    gold: Gold | None = None
    train_sd: Array | None = None
    min_cells: int = field(default=MIN_CELLS)

    def __post_init__(self) -> None:
        n = len(self.genes)
        cells = {"controls": self.controls, **self.interventions}
        wrong = [name for name, block in cells.items() if block.shape[1] != n]
        strangers = sorted(set(self.interventions) - set(self.genes))
        problem = (
            (len(set(self.genes)) != n and "gene names are not unique; name every gene once")
            or (wrong and f"the cells of {wrong[0]} have not {n} genes; give every cell all genes")
            or (strangers and f"{strangers[0]} was intervened on but is no gene; leave it out")
            or (self.direction not in (-1, 1) and f"direction is {self.direction}; it is -1 or 1")
            or (
                self.gold is not None
                and self.gold.signs.shape != (n, n)
                and f"gold edges have shape {self.gold.signs.shape}; they must be ({n}, {n})"
            )
        )
        if problem:
            raise ConfigurationError(f"truth of a network task: {problem}")

    def check(self, network: Network) -> None:
        """Raise ConfigurationError unless the network has these genes in this order."""
        if network.genes != self.genes:
            raise ConfigurationError(
                f"the network has {len(network.genes)} genes and the truth {len(self.genes)}, or another "
                "order; give the network over the train genes, in their order"
            )

    def lacks(self, what: str) -> str:
        """Why the truth cannot judge by ``interventions``, ``samples`` or ``gold``; empty where it can."""
        if what == "interventions":
            if self.controls.shape[0] < self.min_cells:
                return f"fewer than {self.min_cells} held-out control cells"
            if not self.intervened.size:
                return f"no candidate regulator with {self.min_cells} held-out cells of its intervention"
        elif what == "samples":
            if self.samples is None or self.theta is None:
                return "no held-out samples with a frozen number of regulators"
            if len(np.unique(self.samples.groups)) < MIN_GROUPS:
                return f"fewer than {MIN_GROUPS} groups to leave out"
        elif what == "gold":
            if self.gold is None:
                return "no gold standard"
        else:
            raise ConfigurationError(f"a truth has no {what!r}; name interventions, samples or gold")
        return ""

    @cached_property
    def intervened(self) -> Array:
        """Candidates with enough held-out cells, sorted int64 columns ``(E,)``: whose edges can be judged."""
        enough = {gene for gene, cells in self.interventions.items() if cells.shape[0] >= self.min_cells}
        wanted = (int(r) for r in self.regulators if self.genes[r] in enough)
        return np.array(sorted(wanted), dtype=np.int64)

    @cached_property
    def effects(self) -> Effects:
        """Effect of every judged intervention on every gene, computed once; memory E x n_genes."""
        cells = [self.interventions[self.genes[r]] for r in self.intervened]
        return effects_of(self.controls, cells, self.intervened)

    @cached_property
    def significant(self) -> sp.csr_matrix:
        """Significant effects and the sign an edge should have, CSR ``(n_genes, n_genes)``, computed once."""
        return significant(self.effects, self.direction)

    def in_scope(self, scope: str) -> Array:
        """Which of ``intervened`` count, bool ``(E,)``: all, or those (un)seen in training."""
        unseen = np.array([self.genes[r] in self.unseen for r in self.intervened], dtype=bool)
        return {ALL: np.ones(len(unseen), dtype=bool), UNSEEN: unseen, SEEN: ~unseen}[scope]

    def halves(self, repeat: int = 0) -> tuple[NetworkTruth, NetworkTruth]:
        """Two truths with disjoint halves of the held-out cells, for a positive bound; drawn by ``seed``."""
        parts: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
        for name, cells in {"": self.controls, **self.interventions}.items():
            text = f"{self.seed}/{repeat}/{name}"
            order = np.random.default_rng(derived_seed(text, "network halves")).permutation(cells.shape[0])
            middle = cells.shape[0] // 2
            for part, rows in zip(parts, (order[:middle], order[middle:]), strict=True):
                part[name] = cells[np.sort(rows)]
        least = max(2, self.min_cells // 2)
        first, second = (
            replace(self, controls=part.pop(""), interventions=part, min_cells=least) for part in parts
        )
        return first, second

    def permuted(self, order: Array) -> NetworkTruth:
        """The same truth with its genes in another order: new column i is old column ``order[i]``."""
        place = np.argsort(order)
        samples, theta, gold = self.samples, self.theta, self.gold
        return replace(
            self,
            genes=tuple(self.genes[g] for g in order),
            regulators=np.sort(place[self.regulators]),
            controls=self.controls[:, order],
            interventions={gene: cells[:, order] for gene, cells in self.interventions.items()},
            samples=samples
            and replace(
                samples,
                X=samples.X[:, order],
                target=np.where(samples.target >= 0, place[samples.target], -1),
            ),
            theta=theta and Theta(**{name: value[order] for name, value in vars(theta).items()}),
            gold=gold
            and replace(
                gold,
                signs=gold.signs[order][:, order],
                regulators=gold.regulators[order],
                targets=gold.targets[order],
            ),
            train_sd=None if self.train_sd is None else self.train_sd[order],
        )


def theta_of(networks: Sequence[Network], few: float = 0.25, many: float = 0.75) -> Theta:
    """The numbers of edges judged per gene: quantiles of the degrees in the harness's reference networks.

    geneRNIB's consensus (``regulators_consensus``: quantiles over networks of the number of regulators of a
    gene), but over networks that are frozen with the dataset, so that no submission moves anyone's score.
    Degrees count no self loops; quantiles are rounded half to even; a gene nobody connects gets 0.

    Raises
    ------
    ConfigurationError
        No network was given.
    """
    if not networks:
        raise ConfigurationError("theta needs at least one reference network; give the dataset's own")
    loopless = [network.without_loops() for network in networks]
    into = np.array([network.in_degree() for network in loopless])
    out = np.array([network.out_degree() for network in loopless])
    return Theta(
        **{
            f"{kind}_{name}": np.rint(np.quantile(degrees, share, axis=0)).astype(np.int64)
            for kind, degrees in (("regulators", into), ("targets", out))
            for name, share in (("precision", few), ("recall", many))
        }
    )


def by_name(genes: Sequence[str], columns: Array) -> Array:
    """``columns`` (indices of genes) sorted by gene name: the order in which units and draws are made."""
    ranks = name_ranks(genes)
    ordered: Array = columns[np.argsort(ranks[columns], kind="stable")]
    return ordered
