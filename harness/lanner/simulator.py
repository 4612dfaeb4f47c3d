"""A small world with known truth: cells whose perturbations spread through a known regulatory network.

Every test, the demo and the benchmarks draw their data here. The model, in natural-log expression units:

1. Regulators form modules of four. A regulator acts on about ``out_degree`` genes, two thirds of them drawn
   from its module's shared pool, so that modules respond alike; regulators of a module act on each other too.
   A quarter of the edges differ between cell types (weight scaled by 0 to 2).
2. A perturbation knocks its target down by an efficiency in [0.6, 0.95]; the shift spreads along the edges
   for ``HOPS`` steps, ``d <- shift + W tanh(d)``: saturation makes overlapping targets of a double
   sub-additive. A double adds a term of its own on a seventh of the genes.
3. Penetrance is incomplete: in a fraction of the cells (0.05 to 0.25 by target) a knock-down does not happen.
4. Each cell has hidden module activities, drawn even in controls, which spread as perturbations do:
   regulators and what they regulate co-vary.
5. A cell's library size is log-normal with a factor per batch, genes have a log-normal factor per batch, and
   counts are negative binomial with a dispersion per gene (variance ``m + m^2 / theta``).

X is ``log1p`` of counts per 10,000 of the cell; ``layers["counts"]`` the counts. ``uns`` carries the network
and the parameters: staging's whitelist never lets them through. The same arguments give the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from lanner.errors import ConfigurationError
from lanner.h5ad.source import assemble, write_source
from lanner.records import COMBINATION, CONTROL, derived_seed

VERSION = 1
"""Raised whenever the same arguments give other numbers; the registry entry states the version it means."""

MODULE = 4
HOPS = 3
BLOCK_VALUES = 4 << 20

Array = np.ndarray[Any, Any]

SIZES: Mapping[str, Mapping[str, Any]] = {
    name: {
        "n_perturbations": n_perturbations,
        "n_combinations": 0,
        "n_cells_per_condition": 100,
        "n_controls": n_controls,
        "n_genes": n_genes,
        "cell_types": 1,
        "library_size": library_size,
        "spread": 2.2,
    }
    for name, n_perturbations, n_controls, n_genes, library_size in (
        ("S", 100, 2_000, 2_000, 1_000.0),
        ("M", 500, 5_000, 5_000, 2_500.0),
        ("L", 2_000, 10_000, 8_000, 4_000.0),
    )
}
"""Benchmark sizes, one cell type, no doubles, about 15 % of X nonzero: ``Simulation(**SIZES["M"])``."""


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """One simulated experiment; nothing is drawn before it is asked for.

    ``n_controls`` is per cell type. ``cell_types`` is a number or names. ``library_size`` is the
    median count per cell before batches, ``spread`` the standard deviation of log expression among genes.
    """

    n_perturbations: int = 24
    n_combinations: int = 16
    n_cells_per_condition: int = 60
    n_controls: int = 250
    n_genes: int = 300
    cell_types: int | Sequence[str] = 2
    n_batches: int = 2
    library_size: float = 3000.0
    spread: float = 1.1
    out_degree: int = 60
    seed: int = 0

    def __post_init__(self) -> None:
        possible = self.n_perturbations * (self.n_perturbations - 1) // 2
        if self.n_perturbations < 1 or self.n_genes <= self.n_regulators:
            raise ConfigurationError(
                f"a simulation of {self.n_perturbations} perturbations needs more than "
                f"{self.n_regulators} genes, got {self.n_genes}; ask for more genes or fewer perturbations"
            )
        if self.n_combinations > possible:
            raise ConfigurationError(
                f"{self.n_perturbations} perturbations have {possible} pairs, not {self.n_combinations}; "
                "ask for fewer combinations"
            )

    @property
    def n_regulators(self) -> int:
        """Regulators in the network: all that are perturbed, rounded up to whole modules."""
        return -(-self.n_perturbations // MODULE) * MODULE

    @cached_property
    def contexts(self) -> tuple[str, ...]:
        """Names of the cell types."""
        given = self.cell_types
        return tuple(f"type{i}" for i in range(given)) if isinstance(given, int) else tuple(given)

    @cached_property
    def genes(self) -> tuple[str, ...]:
        """Names of the genes: the regulators, which include all targets, come first."""
        width = len(str(self.n_genes))
        regulators = [f"REG{i:0{width}d}" for i in range(self.n_regulators)]
        return (*regulators, *(f"GENE{i:0{width}d}" for i in range(self.n_genes - self.n_regulators)))

    @cached_property
    def perturbations(self) -> tuple[tuple[int, ...], ...]:
        """Targets of each perturbation as gene positions: singles, then doubles."""
        singles = [(i,) for i in range(self.n_perturbations)]
        if not self.n_combinations:
            return tuple(singles)
        pairs = list(combinations(range(self.n_perturbations), 2))
        chosen = self._stream("pairs").choice(len(pairs), self.n_combinations, replace=False)
        return (*singles, *(pairs[i] for i in sorted(chosen)))

    def label(self, targets: tuple[int, ...]) -> str:
        """The perturbation label of the given targets."""
        return COMBINATION.join(sorted(self.genes[i] for i in targets)) or CONTROL

    @cached_property
    def network(self) -> sp.csr_matrix:
        """Weights ``(n_genes, n_genes)``: row regulator, column regulated gene, before cell types."""
        random = self._stream("network")
        rows, columns = [], []
        for module in range(self.n_regulators // MODULE):
            members = np.arange(module * MODULE, (module + 1) * MODULE)
            pool = random.choice(self.n_genes, min(self.out_degree, self.n_genes), replace=False)
            for regulator in members:
                shared = random.choice(pool, min(2 * self.out_degree // 3, len(pool)), replace=False)
                own = random.choice(self.n_genes, min(self.out_degree // 3, self.n_genes), replace=False)
                regulated = np.setdiff1d(np.union1d(np.union1d(shared, own), members), [regulator])
                rows.append(np.full(len(regulated), regulator))
                columns.append(regulated)
        row, column = np.concatenate(rows), np.concatenate(columns)
        # A gene answers all regulators of a module in one direction: the sign belongs to (module, gene).
        signs = np.where(random.random((self.n_regulators // MODULE, self.n_genes)) < 0.7, 1.0, -1.0)
        weight = random.uniform(0.3, 1.0, len(row)) * signs[row // MODULE, column]
        weight[column < self.n_regulators] *= 0.3  # regulators are moved less, or shifts would run away
        return sp.csr_matrix((weight, (row, column)), shape=(self.n_genes, self.n_genes))

    @cached_property
    def networks(self) -> tuple[sp.csr_matrix, ...]:
        """The network of each cell type: a quarter of the edges is scaled by a factor in [0, 2]."""
        answer = []
        for name in self.contexts:
            random = self._stream("edges", name)
            network = self.network.copy()
            changed = random.random(network.nnz) < 0.25
            network.data = np.where(changed, network.data * random.uniform(0, 2, network.nnz), network.data)
            answer.append(network)
        return tuple(answer)

    @cached_property
    def baselines(self) -> Array:
        """Log expression of unperturbed cells, ``(n_contexts, n_genes)``; regulators are well expressed."""
        shared = self._stream("baseline").normal(0.0, self.spread, self.n_genes)
        shared[: self.n_regulators] = np.abs(shared[: self.n_regulators]) * 0.5 + 0.5
        own = [self._stream("baseline", name).normal(0.0, 0.5, self.n_genes) for name in self.contexts]
        differs = [self._stream("differs", name).random(self.n_genes) < 0.3 for name in self.contexts]
        return shared + np.where(differs, own, 0.0)

    @cached_property
    def traits(self) -> dict[str, Array]:
        """Per target efficiency (log shift) and penetrance, per gene dispersion."""
        random = self._stream("traits")
        return {
            "shift": np.log(1.0 - random.uniform(0.6, 0.95, self.n_perturbations)),
            "penetrance": random.uniform(0.75, 0.95, self.n_perturbations),
            "dispersion": random.lognormal(2.5, 0.5, self.n_genes),
        }

    def effect(self, targets: tuple[int, ...], context: int) -> Array:
        """Log change of every gene in an affected cell, shape ``(n_genes,)``."""
        shift = np.zeros((1, self.n_genes))
        shift[0, list(targets)] = self.traits["shift"][list(targets)]
        change: Array = self._spread(shift, context)[0]
        if len(targets) > 1:
            random = self._stream("interaction", self.label(targets))
            change += np.where(random.random(self.n_genes) < 0.15, random.normal(0.0, 0.7, self.n_genes), 0.0)
        return change

    def _spread(self, shift: Array, context: int) -> Array:
        """Let log shifts of shape ``(n, n_genes)`` act along the edges for HOPS steps."""
        change = shift
        for _ in range(HOPS):
            change = shift + (self._incoming[context] @ np.tanh(change).T).T
        return change

    @cached_property
    def _incoming(self) -> list[sp.csr_matrix]:
        """Each cell type's network with one row per regulated gene."""
        return [network.T.tocsr() for network in self.networks]

    @cached_property
    def obs(self) -> pd.DataFrame:
        """One row per cell: perturbation, cell_type, batch; controls of a cell type come first."""
        labels = [self.label(targets) for targets, _, _ in self._groups]
        sizes = [size for _, _, size in self._groups]
        contexts = [self.contexts[context] for _, context, _ in self._groups]
        batches = np.concatenate([np.arange(size) % self.n_batches for size in sizes])
        obs = pd.DataFrame(
            {
                "perturbation": pd.Categorical(np.repeat(labels, sizes)),
                "cell_type": pd.Categorical(np.repeat(contexts, sizes)),
                "batch": pd.Categorical([f"batch{batch}" for batch in batches]),
            }
        )
        obs.index = pd.Index([f"cell{i}" for i in range(len(obs))])
        return obs

    @cached_property
    def _groups(self) -> list[tuple[tuple[int, ...], int, int]]:
        """(targets, cell type, cells) in row order; no targets = control."""
        return [
            (targets, context, self.n_cells_per_condition if targets else self.n_controls)
            for context in range(len(self.contexts))
            for targets in ((), *self.perturbations)
        ]

    def blocks(self) -> Iterator[tuple[sp.csr_matrix, sp.csr_matrix]]:
        """Row blocks in the order of ``obs``: ``(X, counts)``, float32 CSR; memory is a few blocks."""
        step = max(BLOCK_VALUES // self.n_genes, 1)
        for targets, context, size in self._groups:
            for start in range(0, size, step):
                counts = sp.csr_matrix(self._counts(targets, context, start, min(start + step, size)))
                total = np.maximum(np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel(), 1.0)
                X = counts.copy()
                X.data = np.log1p(counts.data * np.repeat(1e4 / total, np.diff(counts.indptr))).astype(
                    np.float32
                )
                yield X, counts

    def _counts(self, targets: tuple[int, ...], context: int, start: int, stop: int) -> Array:
        """Counts of cells ``start:stop`` of one condition, float32 ``(stop - start, n_genes)``."""
        random = self._stream("cells", self.label(targets), self.contexts[context], str(start))
        size = stop - start
        hidden = np.zeros((size, self.n_genes))
        activity = random.normal(0.0, 0.15, (size, self.n_regulators // MODULE))
        hidden[:, : self.n_regulators] = np.repeat(activity, MODULE, axis=1)
        log_mean = self.baselines[context] + self._spread(hidden, context)
        works = random.random((size, len(targets))) < self.traits["penetrance"][list(targets)]
        for outcome in np.unique(works, axis=0):
            hit = tuple(target for target, worked in zip(targets, outcome, strict=True) if worked)
            if hit:
                log_mean[(works == outcome).all(axis=1)] += self.effect(hit, context)
        batch = np.arange(start, stop) % self.n_batches
        log_mean += self.batches["genes"][batch]
        library = self.library_size * random.lognormal(0.0, 0.3, size) * self.batches["depth"][batch]
        proportion = np.exp(log_mean - log_mean.max(axis=1, keepdims=True))
        mean = proportion * (library / proportion.sum(axis=1))[:, None]
        theta = self.traits["dispersion"]
        counts: Array = random.poisson(mean * random.standard_gamma(theta, mean.shape) / theta)
        return counts.astype(np.float32)

    @cached_property
    def batches(self) -> dict[str, Array]:
        """Per batch: log shift of every gene, factor of the library size."""
        random = self._stream("batches")
        return {
            "genes": random.normal(0.0, 0.1, (self.n_batches, self.n_genes)),
            "depth": random.lognormal(0.0, 0.2, self.n_batches),
        }

    @property
    def parameters(self) -> dict[str, Any]:
        """All arguments, and the version of the model."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {"version": VERSION, **values, "cell_types": list(self.contexts)}

    def edges(self) -> pd.DataFrame:
        """The true network: one row per edge, ``regulator``, ``target``, ``weight`` (before cell types)."""
        edges = self.network.tocoo()
        names = np.array(self.genes)
        return pd.DataFrame({"regulator": names[edges.row], "target": names[edges.col], "weight": edges.data})

    def _stream(self, *purpose: str) -> np.random.Generator:
        return np.random.default_rng(derived_seed(str(self.seed), "/".join(("simulator", *purpose))))


def simulate(**arguments: Any) -> Any:
    """An in-memory AnnData of one simulated experiment.

    Parameters
    ----------
    arguments
        Those of ``Simulation``: ``n_perturbations``, ``n_combinations``, ``n_cells_per_condition``,
        ``n_controls``, ``n_genes``, ``cell_types``, ``n_batches``, ``library_size``, ``spread``,
        ``out_degree`` and ``seed``.

    Returns
    -------
    AnnData
        X log1p CP10k (CSR float32); obs perturbation, cell_type, batch; layers counts; uns network and
        simulator.
    """
    simulation = Simulation(**arguments)
    X, counts = (sp.vstack(part, format="csr") for part in zip(*simulation.blocks(), strict=True))
    uns = {"network": simulation.edges(), "simulator": simulation.parameters}
    return assemble(X, simulation.obs, simulation.genes, {"counts": counts}, uns)


def write(simulation: Simulation, path: Path) -> None:
    """Write a simulated experiment as .h5ad without holding it in memory; without its network."""
    blocks = ({None: X, "counts": counts} for X, counts in simulation.blocks())
    write_source(path, simulation.obs, simulation.genes, blocks)
