"""The sealed side of a split as networks are judged by it: truths per context, halves, reference networks.

Made of the sealed truth every task shares, and of two files beside it: who may regulate and what an
intervention does, and the known edges where the dataset has some.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from lanner.networks import Network, NetworkTruth, bounds
from lanner.networks.regression import pseudobulk
from lanner.networks.truth import Gold, Samples, theta_of
from lanner.records import derived_seed
from lanner.store import read_json, write_json
from lanner.truth import Truth

if TYPE_CHECKING:
    from lanner.datasets import Dataset

Array = np.ndarray[Any, Any]

FORMAT = "lanner-network-truth/1"
ACTIVATING = frozenset({"CRISPRa", "overexpression"})
"""Kinds of perturbation that raise their target; all others lower it."""
REPEATS = 2
"""Saved halvings of the held-out cells; both directions of each are scored."""
EDGE_SHARE = 0.1
"""Share of all candidate pairs that reference networks have as edges ..."""
MOST_EDGES = 20_000
"""... and the number they stop at."""
TOP_EDGES = 1_000
"""Edges that cards ending in /top judge, at most a twentieth of all candidate pairs."""
FEW_CONTROLS = 10
"""Staged controls of a context below which correlations are taken over its perturbed cells as well."""
BULK = 10
"""Held-out cells of one pseudobulk."""
GROUPS = 5
"""Groups of pseudobulks that regressions leave out in turn (geneRNIB's number)."""


def seal(truth: Truth, dataset: Dataset, regulators: tuple[str, ...]) -> None:
    """Write what only networks need beside a sealed truth, unless it is there."""
    known = dataset.gold()
    document = {
        "format": FORMAT,
        "regulators": list(regulators),
        "direction": 1 if dataset.entry.perturbation_kind in ACTIVATING else -1,
        "gold": dataset.entry.networks_content,
        "signed": bool((dataset.gold_facts() or {}).get("signed", False)),
    }
    path = truth.folder / "network.json"
    if path.is_file() and read_json(path) == document:
        return
    if known is not None:
        partial = truth.folder / ".gold.partial.npz"
        sp.save_npz(partial, known.astype(np.float32))
        partial.rename(truth.folder / "gold.npz")
    write_json(path, document)


@dataclass(frozen=True, eq=False)
class Part:
    """One half of the held-out cells by context, and the network that the other halves show."""

    truths: Mapping[str, NetworkTruth]
    other: Network


class SealedNetworks:
    """What the networks of one split are judged by; everything is computed when first asked for, once."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        document = read_json(truth.folder / "network.json") or {}
        place = {gene: g for g, gene in enumerate(truth.genes)}
        self.regulators: Array = np.array([place[gene] for gene in document["regulators"]], dtype=np.int64)
        self.direction: int = document["direction"]
        self.signed: bool = document["signed"]
        self.has_gold = bool(document["gold"])
        trained = set(truth.split.train)
        self.unseen = frozenset(
            request.condition.targets[0]
            for request in truth.requests
            if len(request.condition.targets) == 1 and request.condition.id not in trained
        )
        pairs = len(self.regulators) * max(len(truth.genes) - 1, 1)
        self.n_reference = max(1, min(MOST_EDGES, round(EDGE_SHARE * pairs)))
        self.n_top = max(1, min(TOP_EDGES, pairs // 20))

    @cached_property
    def contexts(self) -> dict[str, NetworkTruth]:
        """All held-out cells of each context, by its id."""
        found = {}
        for k, context in enumerate(self.truth.contexts):
            cells: dict[str, list[sp.csr_matrix]] = {}
            for i in np.flatnonzero(self.truth.context_of == k):
                targets = self.truth.requests[i].condition.targets
                if len(targets) == 1 and self.truth.targets[i].any():
                    cells.setdefault(targets[0], []).append(self.truth.cells(int(i)))
            found[context] = NetworkTruth(
                genes=self.truth.genes,
                regulators=self.regulators,
                controls=self.truth.control_cells(k, "b"),
                interventions={
                    name: sp.vstack(blocks, format="csr") for name, blocks in sorted(cells.items())
                },
                direction=self.direction,
                unseen=self.unseen,
                n_edges=self.n_top,
                seed=f"{self.truth.split.sha256}/{context}",
                train_sd=_spread(self.truth.control_cells(k, "a")),
            )
        return found

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """Both halves of every halving; networks are judged on each and averaged."""
        parts = []
        for repeat in range(REPEATS):
            halves = {name: truth.halves(repeat) for name, truth in self.contexts.items()}
            for mine in (0, 1):
                shown = [self._effects(pair[1 - mine]) for pair in halves.values()]
                parts.append(
                    Part(
                        truths={name: pair[mine] for name, pair in halves.items()},
                        other=self._joined(shown),
                    )
                )
        return tuple(parts)

    @cached_property
    def joint(self) -> NetworkTruth:
        """What is asked once of all contexts: samples to explain, and known edges."""
        first = next(iter(self.contexts.values()))
        everything = replace(first, interventions={}, seed=self.truth.split.sha256, gold=self._gold)
        references = [self.correlation, self._joined([self._effects(t) for t in self.contexts.values()])]
        return replace(everything, samples=self._samples, theta=theta_of(references))

    @cached_property
    def correlation(self) -> Network:
        """Pearson correlation over staged controls, each context centred on its mean.

        Where a context has fewer than FEW_CONTROLS, its staged perturbed cells stand in for them.
        """
        blocks = []
        for k in range(len(self.truth.contexts)):
            cells = self.truth.control_cells(k, "a")
            if cells.shape[0] < FEW_CONTROLS:
                cells = sp.vstack([cells, self.truth.train_cells(k)], format="csr")
            blocks.append(cells.astype(np.float64))
        return bounds.correlation(self.truth.genes, self.regulators, _stacked(blocks), self.n_reference)

    def negatives(self) -> dict[str, list[Network]]:
        """Draws of every negative bound."""
        genes, regulators, seed = self.truth.genes, self.regulators, self.truth.split.sha256
        return {
            "correlation": [self.correlation],
            "empty": [bounds.empty(genes, regulators)],
            "full": [bounds.full(genes, regulators, 100 * MOST_EDGES)],
            "random": [
                bounds.random(genes, regulators, self.n_reference, f"{seed}/{draw}")
                for draw in range(bounds.DRAWS)
            ],
            "rewired": [bounds.rewired(self.correlation, f"{seed}/{draw}") for draw in range(bounds.DRAWS)],
        }

    def gold(self) -> Network | None:
        """The known edges as a network, where there are some."""
        return bounds.gold(self.joint) if self.has_gold else None

    def _effects(self, truth: NetworkTruth) -> Network:
        if truth.lacks("interventions"):
            return bounds.empty(truth.genes, truth.regulators)
        return bounds.effects(truth, len(self.regulators) * len(truth.genes))

    def _joined(self, networks: list[Network]) -> Network:
        """The sum of several networks' weights: one answer for all contexts, as methods give."""
        total = networks[0].weights.astype(np.float64)
        for network in networks[1:]:
            total = total + network.weights
        return Network.checked(self.truth.genes, self.regulators, total)

    @property
    def _gold(self) -> Gold | None:
        if not self.has_gold:
            return None
        signs = sp.csr_matrix(sp.load_npz(self.truth.folder / "gold.npz"), dtype=np.float32)
        n = len(self.truth.genes)
        regulators = np.zeros(n, dtype=bool)
        regulators[self.regulators] = True
        return Gold(signs=signs, signed=self.signed, regulators=regulators, targets=np.ones(n, dtype=bool))

    @property
    def _samples(self) -> Samples | None:
        """Pseudobulks of held-out cells, less the mean of their context's staged controls."""
        rows, targets = [], []
        place = {gene: g for g, gene in enumerate(self.truth.genes)}
        for k, (context, truth) in enumerate(self.contexts.items()):
            staged = self.truth.control_a[k]
            for name, cells in {"": truth.controls, **truth.interventions}.items():
                n = cells.shape[0] // BULK
                if not n:
                    continue
                text = f"{self.truth.split.sha256}/{context}/{name}"
                order = np.random.default_rng(derived_seed(text, "pseudobulks")).permutation(cells.shape[0])
                bulk = np.full(cells.shape[0], -1)
                bulk[order[: n * BULK]] = np.arange(n * BULK) // BULK
                kept = bulk >= 0
                rows.append(pseudobulk(cells[kept], bulk[kept]) - staged)
                targets += [place.get(name, -1)] * n
        if len(targets) < 2 * GROUPS:
            return None
        X = np.concatenate(rows).astype(np.float32)
        seed = derived_seed(self.truth.split.sha256, "groups of pseudobulks")
        groups = np.random.default_rng(seed).permutation(len(X)) % GROUPS
        return Samples(X=X, groups=groups.astype(np.int64), target=np.array(targets, dtype=np.int64))


def gold_of(truth: Truth) -> str:
    """The hash of the known edges a truth was sealed with (``Entry.networks_content``); empty for none."""
    return str((read_json(truth.folder / "network.json") or {}).get("gold", ""))


@lru_cache(maxsize=2)
def _opened(folder: Path, gold: str) -> SealedNetworks:
    return SealedNetworks(Truth(folder))


def opened(truth: Truth) -> SealedNetworks:
    """The networks' side of a sealed truth; the last two stay in memory, with what they have computed."""
    return _opened(truth.folder.resolve(), gold_of(truth))


def _spread(cells: sp.csr_matrix) -> Array:
    wide = cells.astype(np.float64)
    mean = np.asarray(wide.mean(axis=0)).ravel()
    square = np.asarray(wide.multiply(wide).mean(axis=0)).ravel()
    spread: Array = np.sqrt(np.maximum(square - mean**2, 0.0))
    return spread


def _stacked(blocks: list[sp.csr_matrix]) -> sp.csr_matrix:
    """Cells of all contexts, each centred: differences between contexts are no regulation."""
    centred = [block.toarray() - np.asarray(block.mean(axis=0)) for block in blocks]
    return sp.csr_matrix(np.concatenate(centred)) if len(blocks) > 1 else sp.csr_matrix(blocks[0])
