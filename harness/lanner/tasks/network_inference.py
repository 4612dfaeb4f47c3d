"""Which regulator acts on which gene, up or down: a network of the train genes."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lanner.errors import ConfigurationError
from lanner.records import CONTROL, Split, derived_seed
from lanner.tasks import Option, Question, Task, add_task

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from lanner.datasets import Dataset, Entry
    from lanner.h5ad.network import NetworkExpectation
    from lanner.ingest import IngestResult
    from lanner.network_scoring import SealedNetworks
    from lanner.networks import Network
    from lanner.truth import Truth

PRIMARY = ("edge_wasserstein/top", "effect_auprc", "effect_direction", "regression_precision", "gold_auprc")
"""Strength, ranks and direction of held-out effects; explained expression; known edges.

All judge a ranking, so that none depends on how many edges somebody writes; those that do stand beside them.
"""

DETAILS_VERSION = 1
"""Raised when unchanged networks would give other details: stored ones are then computed again."""

REGIMES = {
    "interventional": "every intervention that is not held out",
    "partial": "a seeded share of them",
    "observational": "none, controls alone",
}
"""Which interventions train.h5ad holds beside the controls (CausalBench's training regimes)."""

HELD_OUT = {"id": "held-out-interventions"}
QUESTIONS = (
    Question(name="ordinary", says="interventions, all targets measured", split=HELD_OUT),
    Question(
        name="observational", says="controls alone", split=HELD_OUT, options={"regime": "observational"}
    ),
    Question(
        name="contexts", says="interventions in six cell types", split=HELD_OUT, screen={"cell_types": 6}
    ),
    Question(
        name="unmeasured", says="interventions on genes that are not measured", split=HELD_OUT, unmeasured=6
    ),
    Question(
        name="single",
        says="one intervention to learn from",
        split={**HELD_OUT, "parameters": {"fraction": 0.5}},
        screen={"n_perturbations": 2, "n_combinations": 0},
    ),
    Question(name="sparse", says="no more than ten edges", split=HELD_OUT, options={"max_edges": 10}),
)


@dataclass(frozen=True, kw_only=True)
class NetworkInference(Task):
    """A signed, weighted network: ``varp/network``, regulators in rows, targets in columns."""

    def seal(
        self, dataset: Dataset, split: Split, home: Path, talk: Callable[[str], None] = lambda _: None
    ) -> Truth:
        """The truth every task shares; candidates, known edges and directions beside it."""
        from lanner import network_scoring

        truth = super().seal(dataset, split, home, talk)
        network_scoring.seal(truth, dataset, candidates(dataset))
        return truth

    def train_rows(self, dataset: Dataset, split: Split, options: Mapping[str, Any]) -> np.ndarray[Any, Any]:
        """Controls A and, by regime, cells of interventions that are not held out."""
        rows = super().train_rows(dataset, split, options)
        if options["regime"] == "interventional":
            return rows
        shown = {CONTROL}
        if options["regime"] == "partial":
            train = set(split.train)
            names = {c.perturbation for c in dataset.conditions if c.id in train}
            ranked = sorted(
                names,
                key=lambda name: (derived_seed(f"{split.sha256}/{name}", "partial interventions"), name),
            )
            shown.update(ranked[: max(1, int(options["share"] * len(ranked) + 0.5))])
        kept: np.ndarray[Any, Any] = rows[dataset.obs["perturbation"].isin(shown).to_numpy()[rows]]
        return kept

    def write_shared(
        self, dataset: Dataset, split: Split, truth: Truth, options: Mapping[str, Any], folder: Path
    ) -> dict[str, Any]:
        """Write regulators.csv: every measured gene that some perturbation targets alone, in order."""
        from lanner.store import write_bytes

        regulators = candidates(dataset)
        if not regulators:
            raise ConfigurationError(
                f"dataset {dataset.entry.id} intervenes on no measured gene, so there is no network to infer "
                "from it; use a dataset whose perturbations target genes"
            )
        write_bytes(folder / "regulators.csv", "\n".join(("gene", *regulators, "")).encode(), 0o444)
        return {"regulators": list(regulators), "max_edges": options["max_edges"]}

    def files(self, options: Mapping[str, Any]) -> dict[str, str]:
        """regulators.csv."""
        return {"regulators.csv": "regulators.csv"}

    def document(self, shared: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
        """``regime`` and ``max_edges``."""
        return {"regime": options["regime"], "max_edges": options["max_edges"]}

    def read_back(self, folder: Path, document: Mapping[str, Any]) -> dict[str, Any]:
        """The candidates and the number of edges."""
        with (folder / "regulators.csv").open(encoding="utf-8", newline="") as stream:
            regulators = [row["gene"] for row in csv.DictReader(stream)]
        return {"regulators": regulators, "max_edges": document["max_edges"]}

    def expectation(self, shared: Mapping[str, Any]) -> NetworkExpectation:
        """Genes by genes, edges from candidates alone."""
        from lanner.h5ad.network import NetworkExpectation

        return NetworkExpectation(
            genes=tuple(shared["genes"]),
            regulators=tuple(shared["regulators"]),
            max_edges=int(shared["max_edges"]),
        )

    def questions(self) -> tuple[Question, ...]:
        """One for each kind of training data and of candidates that a network has to be made of."""
        return QUESTIONS

    def load(self) -> None:
        """Import the metrics and bounds of networks."""
        import lanner.network_scoring  # noqa: F401

    def score(
        self,
        truth: Truth,
        result: IngestResult,
        metrics: Sequence[str],
        *,
        residual: str | None = None,
        device: str = "cpu",
    ) -> pd.DataFrame:
        """A value per regulator or target and context, as the metric's card says."""
        from lanner import network_scoring

        sealed = network_scoring.opened(truth)
        return network_scoring.score(sealed, _network(sealed, result), metrics)

    def score_bounds(self, truth: Truth, metrics: Sequence[str], *, device: str = "cpu") -> pd.DataFrame:
        """The bounds' values per regulator or target and context."""
        from lanner import network_scoring

        return network_scoring.score_bounds(network_scoring.opened(truth), metrics)

    def judged_by(self, entry: Entry) -> dict[str, Any]:
        """The known edges, which may be corrected while the data stay as they are."""
        return {"networks": entry.networks_content, "details": DETAILS_VERSION}

    def judged_with(self, truth: Truth) -> dict[str, Any]:
        """The known edges the truth was sealed with."""
        from lanner import network_scoring

        return {"networks": network_scoring.gold_of(truth), "details": DETAILS_VERSION}

    def details(self, truth: Truth, result: IngestResult) -> dict[str, Any]:
        """Edge curves, strongest edges and regulators."""
        from lanner import network_scoring

        sealed = network_scoring.opened(truth)
        return network_scoring.details(sealed, _network(sealed, result))

    def bound_details(self, truth: Truth) -> dict[str, Any]:
        """Edge curves of the bounds."""
        from lanner import network_scoring

        return network_scoring.bound_details(network_scoring.opened(truth))


def _network(sealed: SealedNetworks, result: IngestResult) -> Network:
    """What a method returned, as metrics take it."""
    from lanner.networks import Network

    weights = result.matrix.block(0, result.matrix.shape[0])
    return Network.checked(sealed.truth.genes, sealed.regulators, weights)


def candidates(dataset: Dataset) -> tuple[str, ...]:
    """Names of the measured genes that some perturbation targets alone, in the order of the genes."""
    targets = {c.targets[0] for c in dataset.conditions if len(c.targets) == 1}
    return tuple(gene for gene in dataset.genes if gene in targets)


NETWORK_INFERENCE = add_task(
    NetworkInference(
        id="network-inference",
        version=1,
        summary="Infer which regulator acts on which gene, judged on interventions that were held out.",
        primary=PRIMARY,
        metrics=(
            *PRIMARY,
            *(
                "false_omission",
                "edge_wasserstein",
                "edge_wasserstein/top/unseen",
                "edge_precision",
                "edge_precision/unseen",
            ),
            *("effect_auroc", "regression_recall", "gold_auroc", "gold_early_precision", "gold_direction"),
        ),
        splits=("held-out-interventions",),
        bounds=("correlation", "empty", "full", "gold-standard", "held-out-half", "random", "rewired"),
        reference="the correlation network",
        baselines=("mean-difference", "sparse-regression"),
        simple=("correlation", "random"),
        options={
            "regime": Option(
                default="interventional",
                values=tuple(REGIMES),
                help="Which interventions train.h5ad holds beside the controls.",
            ),
            "share": Option(
                default=0.5,
                minimum=0,
                maximum=1,
                help="Of the interventions, those the partial regime shows.",
            ),
            "max_edges": Option(
                default=100_000, minimum=1, maximum=10_000_000, help="Edges a network may have."
            ),
        },
    )
)
