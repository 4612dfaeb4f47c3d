"""Per-condition scores in the store: computed once for a run, once for a truth's bounds, then read back."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lanner import staging
from lanner.cards import CARDS, components
from lanner.errors import ConfigurationError, ErrorClass, InfrastructureError
from lanner.ingest import ingest
from lanner.owner import token
from lanner.pipeline import expectation, scratch
from lanner.records import Split, sha256_json
from lanner.store import RunFolder, write_bytes
from lanner.tasks import Task

if TYPE_CHECKING:
    import pandas as pd

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


def metric_set(task: Task, metric_ids: Sequence[str]) -> str:
    """Hash of what a scores file holds: the cards of the metrics, the bounds, the version of the scoring."""
    task.load()
    cards = sorted(CARDS[name].sha256 for name in {*metric_ids, *components(metric_ids)})
    return sha256_json({"scoring": SCORING_VERSION, "cards": cards, "bounds": sorted(task.bounds)})[:16]


def stored_scores(
    folder: RunFolder, task: Task, metric_ids: Sequence[str], residual: str | None = None
) -> pd.DataFrame | None:
    """Per-condition scores of a run, where computed before; ``residual`` as in ``score_run``."""
    return read_frame(_scores_path(folder, task, metric_ids, residual))


def stored_bounds(home: Path, split: Split, task: Task, metric_ids: Sequence[str]) -> pd.DataFrame | None:
    """Per-condition scores of a split's bounds, where they have been computed before."""
    return read_frame(_bounds_path(home / "truth" / split.sha256, task, metric_ids))


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
    if device == "cpu":
        write_frame(_scores_path(folder, staged.task, metric_ids, residual), frame)
    return frame


def score_bounds(truth: Truth, task: Task, metric_ids: Sequence[str], *, device: str = "cpu") -> pd.DataFrame:
    """Per-condition scores of the task's bounds, frozen beside the sealed truth: computed at most once."""
    path = _bounds_path(truth.folder, task, metric_ids)
    stored = read_frame(path)
    if stored is not None:
        return stored
    frame = task.score_bounds(truth, metric_ids, device=device)
    if device == "cpu":
        write_frame(path, frame)
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


def _scores_path(folder: RunFolder, task: Task, metric_ids: Sequence[str], residual: str | None) -> Path:
    other = f".{residual}" if residual else ""
    return folder.path / "scores" / f"{metric_set(task, metric_ids)}{other}.parquet"


def _bounds_path(truth: Path, task: Task, metric_ids: Sequence[str]) -> Path:
    return truth / "bounds" / f"{metric_set(task, metric_ids)}.parquet"
