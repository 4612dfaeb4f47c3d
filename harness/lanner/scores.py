"""Per-condition scores in the store: computed once for a run, once for a truth's bounds, then read back.

Beside them lies what a task's pages show of a prediction beyond its scores (``Task.details``).
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from lanner import staging
from lanner.cards import CARDS, components
from lanner.errors import ConfigurationError, ErrorClass, InfrastructureError
from lanner.ingest import ingest
from lanner.owner import token
from lanner.pipeline import expectation, scratch
from lanner.records import Split, sha256_json
from lanner.store import RunFolder, read_json, write_bytes, write_json
from lanner.tasks import Task

if TYPE_CHECKING:
    import pandas as pd

    from lanner.datasets import Entry
    from lanner.truth import Truth

SCORE_COLUMNS = (
    *("metric", "variant", "condition", "request_id", "perturbation", "context"),
    *("value", "status", "reason", "chance"),
)
"""Columns of a scores file, one row per metric, variant and condition."""
BOUND_COLUMNS = ("bound", "kind", "bds")
"""Further columns of a bounds file."""
SCORING_VERSION = 2
"""Raised when unchanged metrics would give other scores: stored ones are then computed again."""


def metric_set(task: Task, metric_ids: Sequence[str], judged: Mapping[str, Any]) -> str:
    """Hash of what a scores file holds: the cards of the metrics, the bounds, the version of the scoring.

    ``judged`` is what else decides scores (``Task.judged_by`` of the dataset's entry).
    """
    task.load()
    cards = sorted(CARDS[name].sha256 for name in {*metric_ids, *components(metric_ids)})
    held = {"scoring": SCORING_VERSION, "cards": cards, "bounds": sorted(task.bounds)}
    return sha256_json({**held, **({"judged": dict(judged)} if judged else {})})[:16]


@dataclass(frozen=True, kw_only=True)
class Question:
    """What stored scores have to answer to be used: a task's metrics, and how they were judged."""

    task: Task
    metrics: Sequence[str]
    judged: Mapping[str, Any]

    @classmethod
    def of_entry(cls, task: Task, metrics: Sequence[str], entry: Entry) -> Self:
        """As it has to be asked now."""
        return cls(task=task, metrics=metrics, judged=task.judged_by(entry))

    @classmethod
    def of_truth(cls, task: Task, metrics: Sequence[str], truth: Truth) -> Self:
        """As it is answered with a sealed truth."""
        return cls(task=task, metrics=metrics, judged=task.judged_with(truth))

    @property
    def hash(self) -> str:
        """What its answers are called by."""
        return metric_set(self.task, self.metrics, self.judged)


def stored_scores(folder: RunFolder, question: Question, residual: str | None = None) -> pd.DataFrame | None:
    """Per-condition scores of a run, where computed before; ``residual`` as in ``score_run``."""
    return read_frame(_scores_path(folder, question, residual))


def stored_bounds(home: Path, split: Split, question: Question) -> pd.DataFrame | None:
    """Per-condition scores of a split's bounds, where they have been computed before."""
    return read_frame(_bounds_path(home / "truth" / split.sha256, question))


def stored_details(
    folder: RunFolder, question: Question, residual: str | None = None
) -> dict[str, Any] | None:
    """What the task says of a run's prediction beyond its scores, where it says something."""
    found: dict[str, Any] | None = read_json(_details_path(_scores_path(folder, question, residual)))
    return found


def stored_bound_details(home: Path, split: Split, question: Question) -> dict[str, Any] | None:
    """The same of a split's bounds."""
    path = _bounds_path(home / "truth" / split.sha256, question)
    found: dict[str, Any] | None = read_json(_details_path(path))
    return found


def score_run(
    folder: RunFolder,
    truth: Truth,
    staged: staging.Staged,
    metric_ids: Sequence[str],
    *,
    residual: str | None = None,
    device: str = "cpu",
) -> pd.DataFrame:
    """Score the stored prediction of a run that succeeded, and store the scores the CPU gave.

    A GPU's agree within each card's tolerance but not bit for bit, and what is stored is published: they are
    returned and not kept. ``residual`` draws cells from its profiles by another model than the one its
    method declares. Raises PredictionError when the prediction no longer passes intake.
    """
    record, prediction = folder.record(), folder.prediction()
    if record is None or prediction is None:
        raise ConfigurationError(f"{folder.path} holds no prediction to score; run it first")
    with tempfile.TemporaryDirectory(prefix=f"score.{token()}.", dir=scratch(folder.path)) as temporary:
        result = ingest(prediction, rows=expectation(staged), destination=Path(temporary) / "canonical")
        cells = residual or record["residual"]
        frame = staged.task.score(truth, result, metric_ids, residual=cells, device=device)
        details = staged.task.details(truth, result) if device == "cpu" else None
    if device == "cpu":
        question = Question.of_truth(staged.task, metric_ids, truth)
        _write_both(_scores_path(folder, question, residual), frame, details)
    return frame


def score_bounds(truth: Truth, task: Task, metric_ids: Sequence[str], *, device: str = "cpu") -> pd.DataFrame:
    """Per-condition scores of the task's bounds, frozen beside the sealed truth: computed at most once."""
    path = _bounds_path(truth.folder, Question.of_truth(task, metric_ids, truth))
    stored = read_frame(path)
    if stored is not None:
        return stored
    frame = task.score_bounds(truth, metric_ids, device=device)
    if device == "cpu":
        _write_both(path, frame, task.bound_details(truth))
    return frame


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a table of per-condition scores as parquet, atomically, its columns checked and typed."""
    import pyarrow as pa

    number, text = pa.float64(), pa.string()
    columns = {
        name: number if name in ("value", "chance", "bds") else text
        for name in (*SCORE_COLUMNS, *(BOUND_COLUMNS if "bound" in frame else ()))
    }
    if set(frame.columns) != set(columns):
        raise InfrastructureError(
            f"a table of scores has the columns {', '.join(frame.columns)}, not {', '.join(columns)}; "
            "this is a fault of Lanner's: report it",
            ErrorClass.METRIC_ERROR,
        )
    write_bytes(path, frame.to_parquet(index=False, schema=pa.schema(list(columns.items()))))


def read_frame(path: Path) -> pd.DataFrame | None:
    """Read a table ``write_frame`` wrote; None where there is none."""
    import pandas as pd

    return pd.read_parquet(path) if path.is_file() else None


def _write_both(path: Path, frame: pd.DataFrame, details: Mapping[str, Any] | None) -> None:
    """Scores last: where they are, the details are."""
    if details is not None:
        write_json(_details_path(path), details)
    write_frame(path, frame)


def _scores_path(folder: RunFolder, question: Question, residual: str | None) -> Path:
    other = f".{residual}" if residual else ""
    return folder.path / "scores" / f"{question.hash}{other}.parquet"


def _bounds_path(truth: Path, question: Question) -> Path:
    return truth / "bounds" / f"{question.hash}.parquet"


def _details_path(scores: Path) -> Path:
    return scores.with_suffix(".details.json")
