"""Per-condition scores in the store: computed once for a run, once for a truth's bounds, then read back.

Beside them lies what a task's pages show of a prediction beyond its scores (``Task.details``).
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from lanner import staging
from lanner.cards import CARDS, components
from lanner.errors import ConfigurationError, ErrorClass, InfrastructureError, PredictionError
from lanner.ingest import ingest
from lanner.owner import token
from lanner.pipeline import expectation, scratch
from lanner.records import Shard, Split, sha256_json
from lanner.store import RunFolder, read_json, write_bytes, write_json
from lanner.tasks import Task

if TYPE_CHECKING:
    import pandas as pd

    from lanner.datasets import Entry
    from lanner.ingest import IngestResult
    from lanner.truth import Truth

SCORE_COLUMNS = (
    *("metric", "variant", "condition", "request_id", "perturbation", "context"),
    *("value", "status", "reason", "chance"),
)
"""Columns of a scores file, one row per metric, variant and condition."""
BOUND_COLUMNS = ("bound", "kind", "bds")
"""Further columns of a bounds file."""
SHARD_COLUMNS = ("row", "rows")
"""Further columns of a shard: the number of a row in the whole frame, and how many that has."""
NUMBERS = ("value", "chance", "bds")
SCORING_VERSION = 3
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
    return read_frame(scores_path(folder, question, residual))


def stored_bounds(home: Path, split: Split, question: Question) -> pd.DataFrame | None:
    """Per-condition scores of a split's bounds, where they have been computed before."""
    return read_frame(bounds_path(home / "truth" / split.sha256, question))


def stored_details(
    folder: RunFolder, question: Question, residual: str | None = None
) -> dict[str, Any] | None:
    """What the task says of a run's prediction beyond its scores, where it says something."""
    return read_details(scores_path(folder, question, residual))


def stored_bound_details(home: Path, split: Split, question: Question) -> dict[str, Any] | None:
    """The same of a split's bounds."""
    return read_details(bounds_path(home / "truth" / split.sha256, question))


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
    with checked(folder, staged) as (result, declared):
        cells = residual or declared
        frame = staged.task.score(truth, result, metric_ids, residual=cells, device=device)
        details = staged.task.details(truth, result) if device == "cpu" else None
    if device == "cpu":
        question = Question.of_truth(staged.task, metric_ids, truth)
        write_both(scores_path(folder, question, residual), frame, details)
    return frame


def score_shard(
    folder: RunFolder,
    truth: Truth,
    staged: staging.Staged,
    metric_ids: Sequence[str],
    shard: Shard,
    *,
    residual: str | None = None,
    device: str = "cpu",
) -> tuple[pd.DataFrame, dict[str, Any] | None]:
    """One shard of ``score_run``: its rows with ``row`` and ``rows``, and the details of the whole with the
    first shard on a CPU, None with others; nothing is stored."""
    with checked(folder, staged) as (result, declared):
        cells = residual or declared
        frame = staged.task.score_shard(truth, result, metric_ids, shard, residual=cells, device=device)
        wanted = device == "cpu" and shard.number == 0
        return frame, staged.task.details(truth, result) if wanted else None


@contextlib.contextmanager
def checked(folder: RunFolder, staged: staging.Staged) -> Iterator[tuple[IngestResult, str | None]]:
    """The stored prediction of a run, checked anew, and the residual model its method declares.

    Raises ConfigurationError where there is none, PredictionError where it no longer passes intake.
    """
    record, prediction = folder.record(), folder.prediction()
    if record is None or prediction is None:
        raise ConfigurationError(f"{folder.path} holds no prediction to score; run it first")
    with tempfile.TemporaryDirectory(prefix=f"score.{token()}.", dir=scratch(folder.path)) as temporary:
        try:
            result = ingest(prediction, rows=expectation(staged), destination=Path(temporary) / "canonical")
        except PredictionError as error:
            if error.code != "unreadable" or _sha256(prediction) != record["prediction"]["sha256"]:
                raise
            raise InfrastructureError(  # these bytes were read when the run ended: a slow disk, no memory
                f"scoring failed: the stored prediction could not be read again ({error}); build again",
                ErrorClass.METRIC_ERROR,
            ) from None
        yield result, record["residual"]


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def score_bounds(truth: Truth, task: Task, metric_ids: Sequence[str], *, device: str = "cpu") -> pd.DataFrame:
    """Per-condition scores of the task's bounds, frozen beside the sealed truth: computed at most once."""
    path = bounds_path(truth.folder, Question.of_truth(task, metric_ids, truth))
    stored = read_frame(path)
    if stored is not None:
        return stored
    frame = task.score_bounds(truth, metric_ids, device=device)
    if device == "cpu":
        write_both(path, frame, task.bound_details(truth))
    return frame


def merged(shards: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The whole frame of all shards of a scoring, whatever their order: what ``Task.score`` would return.

    Raises InfrastructureError unless every row is there once.
    """
    import numpy as np
    import pandas as pd

    row, rows_of = SHARD_COLUMNS
    frame = pd.concat([shard for shard in shards if len(shard)] or shards[:1]).sort_values(row, kind="stable")
    rows = int(frame[rows_of].max()) if len(frame) else 0
    if not np.array_equal(frame[row].to_numpy(), np.arange(rows)):
        raise InfrastructureError(
            f"the shards hold {len(frame)} rows of {rows}, not each of them once; score it again",
            ErrorClass.METRIC_ERROR,
        )
    whole = frame.drop(columns=list(SHARD_COLUMNS)).reset_index(drop=True)
    texts = [name for name in whole.columns if name not in NUMBERS]
    return whole.astype(dict.fromkeys(texts, object))


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a table of per-condition scores, or a shard, as parquet, atomically, its columns checked."""
    import pyarrow as pa

    number, text, whole = pa.float64(), pa.string(), pa.int64()
    columns = {
        name: number if name in NUMBERS else whole if name in SHARD_COLUMNS else text
        for name in (
            *SCORE_COLUMNS,
            *(BOUND_COLUMNS if "bound" in frame else ()),
            *(SHARD_COLUMNS if "row" in frame else ()),
        )
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


def write_both(path: Path, frame: pd.DataFrame, details: Mapping[str, Any] | None) -> None:
    """Write scores and what goes with them; scores last: where they are, the details are."""
    if details is not None:
        write_json(_details_path(path), details)
    write_frame(path, frame)


def read_details(scores: Path) -> dict[str, Any] | None:
    """What ``write_both`` wrote beside scores; None where there is nothing."""
    found: dict[str, Any] | None = read_json(_details_path(scores))
    return found


def scores_path(folder: RunFolder, question: Question, residual: str | None) -> Path:
    """Where a run's scores are stored."""
    other = f".{residual}" if residual else ""
    return folder.path / "scores" / f"{question.hash}{other}.parquet"


def bounds_path(truth: Path, question: Question) -> Path:
    """Where the scores of the bounds of a sealed truth's folder are stored."""
    return truth / "bounds" / f"{question.hash}.parquet"


def _details_path(scores: Path) -> Path:
    return scores.with_suffix(".details.json")
