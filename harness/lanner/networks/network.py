"""A predicted network: signed, weighted edges from regulators to targets, in an order that honours ties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import scipy.sparse as sp

from lanner.errors import ConfigurationError

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Edges:
    """Edges, strongest first: ``source``, ``target`` (int64 columns), ``weight`` (float32), ``(E,)`` each.

    Equal magnitudes follow each other in the order of ``lottery``; ``block`` int64 ``(E,)`` numbers the runs
    of equal magnitude, so that whoever reads a ranking can average over the orders of a run.
    """

    source: Array
    target: Array
    weight: Array
    block: Array

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """What a method returns: who acts on whom, in which direction, how sure it is.

    ``weights`` is CSR float32 ``(n_genes, n_genes)``, row = regulator, column = target, without stored zeros,
    indices sorted. The sign is the direction of the regulator's effect on the target (+ activates), the
    magnitude the confidence, on any scale. Only rows of ``regulators`` (sorted int64 columns of ``genes``)
    may hold edges. Self loops are kept here; every card says what it does with them.
    """

    genes: tuple[str, ...]
    regulators: Array
    weights: sp.csr_matrix

    @classmethod
    def checked(cls, genes: Sequence[str], regulators: Sequence[int] | Array, weights: Any) -> Self:
        """A network from any sparse or dense square matrix, brought into its one form.

        Raises
        ------
        ConfigurationError
            Genes are not unique, the matrix is not ``(n_genes, n_genes)`` or not finite, a regulator is not
            a gene, or a gene that is not a regulator has targets.
        """
        names, n = tuple(genes), len(genes)
        if len(set(names)) != n:
            raise ConfigurationError("a network's gene names are not unique; name every gene once")
        chosen = np.unique(np.asarray(regulators, dtype=np.int64))
        if chosen.size and (chosen[0] < 0 or chosen[-1] >= n):
            raise ConfigurationError(f"a regulator's index is outside 0..{n - 1}; give columns of the genes")
        if getattr(weights, "shape", None) != (n, n):
            raise ConfigurationError(
                f"a network of {n} genes has weights of shape {getattr(weights, 'shape', None)}; "
                f"they must be ({n}, {n}), regulators by targets"
            )
        matrix = sp.csr_matrix(weights, dtype=np.float32, copy=True)
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        if not np.isfinite(matrix.data).all():
            raise ConfigurationError("a network has weights that are not finite; leave unknown edges out")
        acting = np.flatnonzero(np.diff(matrix.indptr))
        strangers = np.setdiff1d(acting, chosen)
        if strangers.size:
            raise ConfigurationError(
                f"{names[strangers[0]]} has targets but is no candidate regulator; only candidates may"
            )
        return cls(genes=names, regulators=chosen, weights=matrix)

    @classmethod
    def from_edges(
        cls,
        genes: Sequence[str],
        regulators: Sequence[int] | Array,
        edges: tuple[Array, Array, Array],
    ) -> Self:
        """A network of ``(source, target, weight)``, each ``(E,)``; an edge named twice is an error.

        Raises
        ------
        ConfigurationError
            As ``checked``, or an edge is given twice.
        """
        source, target, weight = edges
        matrix = sp.csr_matrix((weight, (source, target)), shape=(len(genes), len(genes)), dtype=np.float32)
        if len(np.unique(np.asarray(source, dtype=np.int64) * len(genes) + target)) < len(source):
            raise ConfigurationError("a network has an edge twice; give each pair of genes once")
        return cls.checked(genes, regulators, matrix)

    @property
    def n_edges(self) -> int:
        """Edges with a weight, self loops included."""
        return int(self.weights.nnz)

    @cached_property
    def edges(self) -> Edges:
        """All edges, strongest first, self loops included."""
        matrix = self.weights.tocoo()
        return ordered(self.genes, matrix.row, matrix.col, matrix.data)

    def without_loops(self) -> Network:
        """The same network without edges from a gene to itself."""
        matrix = self.weights.tocoo()
        kept = matrix.row != matrix.col
        edges = (matrix.row[kept], matrix.col[kept], matrix.data[kept])
        return Network.from_edges(self.genes, self.regulators, edges)

    def top(self, k: int) -> Network:
        """The ``k`` strongest edges; which of equals are in is drawn by ``lottery``, not by gene order."""
        if self.n_edges <= k:
            return self
        edges = self.edges
        return Network.from_edges(
            self.genes, self.regulators, (edges.source[:k], edges.target[:k], edges.weight[:k])
        )

    def out_degree(self) -> Array:
        """Targets of each gene, int64 ``(n_genes,)``."""
        degree: Array = np.diff(self.weights.indptr).astype(np.int64)
        return degree

    def in_degree(self) -> Array:
        """Regulators of each gene, int64 ``(n_genes,)``."""
        return np.bincount(self.weights.indices, minlength=len(self.genes)).astype(np.int64)


def ordered(genes: Sequence[str], source: Array, target: Array, weight: Array) -> Edges:
    """Edges by falling magnitude, equals by ``lottery``; arrays ``(E,)``."""
    source, target = np.asarray(source, dtype=np.int64), np.asarray(target, dtype=np.int64)
    weight = np.asarray(weight, dtype=np.float32)
    size = np.abs(weight)
    rows = np.lexsort((lottery(genes, source, target), -size))
    size = size[rows]
    block = np.cumsum(np.concatenate([[False], size[1:] != size[:-1]]))[: len(size)]
    return Edges(source=source[rows], target=target[rows], weight=weight[rows], block=block)


def lottery(genes: Sequence[str], source: Array, target: Array) -> Array:
    """A number per pair of genes that decides between equals, uint64 ``(E,)``.

    The pair's place among all pairs of genes sorted by name, through the finaliser of SplitMix64 (Steele,
    Lea and Flood 2014, doi:10.1145/2714064.2660195), a bijection: so no two pairs have one number, it does
    not depend on the order of the genes, and it favours no gene.
    """
    rank = name_ranks(genes).astype(np.uint64)
    with np.errstate(over="ignore"):
        z = rank[source] * np.uint64(len(genes)) + rank[target] + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed: Array = z ^ (z >> np.uint64(31))
    return mixed


def name_ranks(genes: Sequence[str]) -> Array:
    """Place of each gene among the sorted names, int64 ``(n_genes,)``: what seeded draws are made over."""
    ranks = np.empty(len(genes), dtype=np.int64)
    ranks[np.argsort(np.array(genes, dtype=str), kind="stable")] = np.arange(len(genes))
    return ranks
