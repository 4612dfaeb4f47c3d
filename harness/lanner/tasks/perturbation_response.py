"""Expression after a perturbation that the method did not see there."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lanner.errors import ConfigurationError
from lanner.tasks import Option, Question, Task, add_task

if TYPE_CHECKING:
    import pandas as pd

    from lanner.datasets import Dataset
    from lanner.h5ad.expectation import Expectation
    from lanner.ingest import IngestResult
    from lanner.records import Shard, Split
    from lanner.scoring import Prediction
    from lanner.truth import Truth

PRIMARY = ("mse", "pearson_delta", "pds_cosine", "energy", "de_auprc")
"""One for each thing a prediction can get wrong: size, direction, identity, distribution, affected genes."""

REVEAL_MODES = {
    "none": "the name of the perturbation only",
    "dose": "also its dose",
    "level": "also the measured level of the target genes after perturbation, as PEREGGRN gives it",
}
"""What requests.csv may say of a held-out condition beyond its context."""

OTHERS = ("held-out-interventions",)
"""Split designs of other tasks, which an entry recommends to them."""

QUESTIONS = (
    Question(
        name="ordinary",
        says="unseen perturbations, all targets measured",
        split={"id": "unseen-perturbation"},
    ),
    Question(name="combinations", says="unseen doubles", split={"id": "unseen-combination"}),
    Question(
        name="contexts",
        says="perturbations unseen in one of six cell types",
        split={"id": "unseen-context"},
        screen={"cell_types": 6},
    ),
    Question(
        name="unmeasured",
        says="targets that are not among the genes",
        split={"id": "unseen-perturbation"},
        unmeasured=6,
    ),
    Question(
        name="single",
        says="one perturbation, unseen in one of three cell types",
        split={"id": "unseen-context", "parameters": {"mode": "whole"}},
        screen={"cell_types": 3, "n_perturbations": 1, "n_combinations": 0},
    ),
)


@dataclass(frozen=True, kw_only=True)
class PerturbationResponse(Task):
    """Cells or a mean profile over the train genes for every requested condition.

    ``n_cells`` is how many cells a method is asked for per request, 1 for profile datasets.
    """

    n_cells: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_cells < 1:
            raise ConfigurationError(f"task {self.id}: n_cells is {self.n_cells}; ask for at least 1")

    def recommended(self, designs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """All designs the entry recommends, but those of other tasks."""
        return [design for design in designs if design["id"] not in OTHERS]

    def keyed(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The number of cells and what requests reveal."""
        return {"n_cells": self.n_cells, "reveal": options["reveal"]}

    def published(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """What requests reveal, where it is more than a name."""
        return {"reveal": options["reveal"]} if options["reveal"] != "none" else {}

    def shared_by(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The number of cells; requests are written for every mode."""
        return {"n_cells": self.n_cells}

    def write_shared(
        self, dataset: Dataset, split: Split, truth: Truth, options: Mapping[str, Any], folder: Path
    ) -> dict[str, Any]:
        """Write requests.csv for each reveal mode."""
        from lanner.requests import requests_csv
        from lanner.store import write_bytes

        n_cells = 1 if dataset.entry.kind == "profile" else self.n_cells
        for reveal in self.options["reveal"].values:
            text = requests_csv(truth, dataset, n_cells, reveal)
            write_bytes(folder / _requests_file(reveal), text.encode(), 0o444)
        return {"n_cells": n_cells, "request_ids": [request.request_id for request in truth.requests]}

    def files(self, options: Mapping[str, Any]) -> dict[str, str]:
        """requests.csv."""
        return {"requests.csv": _requests_file(options["reveal"])}

    def document(self, shared: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
        """``reveal``, ``n_cells``, and the columns as far as the mode reveals them."""
        from lanner.requests import TARGET_LEVELS

        reveal = options["reveal"]
        # Without doses in the requests none is named, so that a method does not look for one among train's.
        columns = {
            name: column for name, column in shared["columns"].items() if name != "dose" or reveal != "none"
        }
        columns |= {TARGET_LEVELS: TARGET_LEVELS} if reveal == "level" else {}
        return {"columns": columns, "reveal": reveal, "n_cells": shared["n_cells"]}

    def read_back(self, folder: Path, document: Mapping[str, Any]) -> dict[str, Any]:
        """The number of cells and the ids of the requests."""
        with (folder / "requests.csv").open(encoding="utf-8", newline="") as stream:
            request_ids = [row["request_id"] for row in csv.DictReader(stream)]
        return {"n_cells": document["n_cells"], "request_ids": request_ids}

    def is_of(self, shared: Mapping[str, Any], truth: Truth) -> bool:
        """The genes, and the requests in their order."""
        asked = [request.request_id for request in truth.requests]
        return super().is_of(shared, truth) and shared["request_ids"] == asked

    def expectation(self, shared: Mapping[str, Any]) -> Expectation:
        """Rows of X: a profile or cells for every request, on the dataset's scale."""
        from lanner.h5ad.expectation import Expectation

        return Expectation.on_scale(
            str(shared["dataset"]["scale"]),
            request_ids=tuple(shared["request_ids"]),
            n_cells=int(shared["n_cells"]),
            genes=tuple(shared["genes"]),
        )

    def questions(self) -> tuple[Question, ...]:
        """One for each way in which requests differ from what was trained on."""
        return QUESTIONS

    def output_bytes(self, n_requests: int, n_genes: int) -> int:
        """Cells for every request, and a profile."""
        return 4 * n_requests * n_genes * (self.n_cells + 1)

    def load(self) -> None:
        """Import the metrics and bounds of expression."""
        import lanner.bounds
        import lanner.metrics  # noqa: F401

    def score(
        self,
        truth: Truth,
        result: IngestResult,
        metrics: Sequence[str],
        *,
        residual: str | None = None,
        device: str = "cpu",
    ) -> pd.DataFrame:
        """A value per requested condition. ``residual`` draws cells from profiles, None does not."""
        from lanner import scoring

        return scoring.score(truth, _prediction(result, residual), metrics, device=device)

    def most_shards(self, truth: Truth) -> int:
        """One for each requested condition."""
        return max(len(truth.requests), 1)

    def score_shard(
        self,
        truth: Truth,
        result: IngestResult | None,
        metrics: Sequence[str],
        shard: Shard,
        *,
        residual: str | None = None,
        device: str = "cpu",
    ) -> pd.DataFrame:
        """Some conditions of ``score`` or ``score_bounds``; retrieval metrics by whole contexts."""
        from lanner import scoring

        if result is None:
            return scoring.score_bounds(truth, metrics, device=device, shard=shard)
        return scoring.score(truth, _prediction(result, residual), metrics, device=device, shard=shard)

    def score_bounds(self, truth: Truth, metrics: Sequence[str], *, device: str = "cpu") -> pd.DataFrame:
        """The bounds' values per requested condition."""
        from lanner import scoring

        return scoring.score_bounds(truth, metrics, device=device)


def _prediction(result: IngestResult, residual: str | None) -> Prediction:
    from lanner.scoring import Prediction

    return Prediction(
        matrix=result.matrix,
        n_cells=result.n_cells,
        answered=result.answered,
        residual=residual if result.kind == "profiles" else None,
    )


def _requests_file(reveal: str) -> str:
    """Name in the shared folder, which holds one file per mode."""
    return "requests.csv" if reveal == "none" else f"requests-{reveal}.csv"


PERTURBATION_RESPONSE = add_task(
    PerturbationResponse(
        id="perturbation-response",
        version=1,
        summary="Predict expression under perturbations, combinations or contexts that were held out.",
        primary=PRIMARY,
        # The references and spaces that decide how a primary number is to be read.
        metrics=(*PRIMARY, "pearson_delta/train-mean", "energy/pca50", "energy/gene", "pca_residual_norm"),
        splits=(
            "unseen-perturbation",
            "unseen-target",
            "unseen-combination",
            "combination-to-single",
            "unseen-context",
            "stratified-cells",
            "graded-similarity",
            "data-scaling",
            "time",
            "custom",
        ),
        bounds=(
            "interpolated-duplicate",
            "no-change",
            "shuffled-cells",
            "technical-duplicate",
            "train-mean",
            "train-mean-cells",
        ),
        baselines=("additive", "context-mean-delta", "linear-embedding"),
        simple=("no-change", "train-mean"),
        gates_controls=False,  # informative, skill_reason and above_duplicate say so by condition
        options={
            "reveal": Option(
                default="none",
                values=tuple(REVEAL_MODES),
                help="What requests say beyond the perturbation's name.",
            )
        },
    )
)
