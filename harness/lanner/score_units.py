"""Scoring as a unit that engines place: a spec for each shard, one process for each spec, one exact merge.

A shard's folder holds ``scoring.json`` (what to score), ``exec.log``, and in the end ``scores.parquet`` or
``failure.json``. Shards write nothing else: who asked for them merges them and stores the whole, whose bytes
are those of a scoring in one process. Only the CPU's scores are stored (design.md); a GPU's are returned.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from lanner import scores, staging
from lanner.config import Settings
from lanner.errors import ConfigurationError, ErrorClass, InfrastructureError, LannerError, PredictionError
from lanner.execution.engine import SCORING, Engine
from lanner.owner import token
from lanner.records import Limits, Shard, Split
from lanner.scores import Question
from lanner.store import RunFolder, read_json, write_json
from lanner.tasks import TASKS, Task

if TYPE_CHECKING:
    import pandas as pd

    from lanner.truth import Truth

FORMAT = "lanner-scoring/1"
FRAME, FAILURE = "scores.parquet", "failure.json"
LIMITS = Limits(cpus=1, memory_mb=4096, timeout_s=4 * 3600)
"""What the process of one shard is given room for, unless a leaderboard's maintainer says more."""
TRIES = 2
"""How often a shard is placed whose process ended without a word."""
MOST_AT_A_TIME = 256


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """What is to be scored: a run, or where ``run`` is None the bounds of a split."""

    run: RunFolder | None
    split: Split
    question: Question
    options: Mapping[str, Any]
    residual: str | None = None
    device: str = "cpu"

    def stored(self, home: Path) -> Path:
        """Where the merged scores go, if they are the CPU's."""
        if self.run is None:
            return scores.bounds_path(home / "truth" / self.split.sha256, self.question)
        return scores.scores_path(self.run, self.question, self.residual)

    def folder(self, home: Path, shards: int) -> Path:
        """Where its shards live: this process's own folder, swept once it is gone, and named unlike that of
        any other scoring, as engines call shards by it."""
        whose = self.split.sha256[:12] if self.run is None else self.run.key[:12]
        path = self.stored(home)
        return path.parent / f".{whose}-{path.stem}-{self.device[:4]}-{shards}.{token()}.partial"


def write_specs(scoring: Scoring, home: Path, shards: int) -> list[Path]:
    """Make the folder of every shard with its spec, and return them."""
    folder = scoring.folder(home, shards)
    shutil.rmtree(folder, ignore_errors=True)
    made = []
    for number in range(shards):
        document = {
            "format": FORMAT,
            "run": None if scoring.run is None else str(scoring.run.path.relative_to(home)),
            "key": None if scoring.run is None else scoring.run.key,
            "split": scoring.split.sha256,
            "task": scoring.question.task.id,
            "options": dict(scoring.options),
            "metrics": list(scoring.question.metrics),
            "judged": dict(scoring.question.judged),
            "set": scoring.question.hash,
            "residual": scoring.residual,
            "device": scoring.device,
            "shard": number,
            "shards": shards,
        }
        write_json(folder / f"shard-{number}" / SCORING, document)
        made.append(folder / f"shard-{number}")
    return made


def score_spec(spec: Path, settings: Settings) -> None:
    """Score the shard of a spec: what ``lanner score --spec`` does, wherever an engine placed it.

    Ends with a frame or a failure in its folder; raises ConfigurationError for what is no such spec, or one
    that another version of the scoring wrote.
    """
    document = read_json(spec)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ConfigurationError(f"{spec} is not the spec of a scoring; `leaderboard build` writes them")
    task, metrics = TASKS[document["task"]], tuple(document["metrics"])
    if Question(task=task, metrics=metrics, judged=document["judged"]).hash != document["set"]:
        raise ConfigurationError(
            f"{spec} was written by a Lanner whose metrics differ from those installed here; "
            "install the same version on all machines"
        )
    try:
        scores.write_both(spec.parent / FRAME, *_scored(document, task, metrics, settings))
    except Exception as error:  # the row that this ends says so; nobody else reads this process's traceback
        kind = getattr(error, "error_class", ErrorClass.METRIC_ERROR)
        said = str(error) if isinstance(error, LannerError) else f"{type(error).__name__}: {error}"
        code = error.code if isinstance(error, PredictionError) else None
        write_json(spec.parent / FAILURE, {"error_class": kind, "message": said, "code": code})
        raise


def _scored(
    document: Mapping[str, Any], task: Task, metrics: tuple[str, ...], settings: Settings
) -> tuple[pd.DataFrame, dict[str, Any] | None]:
    from lanner.truth import Truth

    shard = Shard(number=document["shard"], of=document["shards"])
    truth = Truth(settings.home / "truth" / document["split"])
    task.load()
    if document["run"] is None:
        frame = task.score_shard(truth, None, metrics, shard, device=document["device"])
        return frame, task.bound_details(truth) if shard.number == 0 else None
    staged = staging.open_shared(settings.home, truth.split, task, document["options"])
    if staged is None:
        raise ConfigurationError(f"the input of {truth.split.id} is no longer staged; build again")
    folder = RunFolder(path=settings.home / document["run"], key=document["key"])
    return scores.score_shard(
        folder, truth, staged, metrics, shard, residual=document["residual"], device=document["device"]
    )


class Scorers:
    """Has scorings done by an engine, cut into shards, several at a time, beside runs that it also places."""

    def __init__(self, engine: Engine, home: Path, shards: int, limits: Limits = LIMITS) -> None:
        """Raises ConfigurationError where the engine runs methods' own containers and nothing else."""
        if engine.has_own_containers:
            raise ConfigurationError(
                f"the {engine.id} engine places runs only; leave out --score-shards, and the harness scores"
            )
        self.engine, self.home, self.shards, self.limits = engine, home, shards, limits
        self._cancel: list[bool] = []
        threads = min(engine.in_flight, MOST_AT_A_TIME)
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="lanner-score")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None:
            self._cancel.append(True)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def begin(self, scoring: Scoring, truth: Truth) -> Callable[[], pd.DataFrame]:
        """Place the shards of a scoring; the answer waits for them, merges them and stores the CPU's.

        It raises what scoring in this process would: PredictionError, or InfrastructureError for a fault of
        a metric (METRIC_ERROR), an engine that takes no shard, or a shard that was lost TRIES times (LOST).
        """
        n = min(self.shards, scoring.question.task.most_shards(truth))
        folders = write_specs(scoring, self.home, n)
        placed = [self._pool.submit(self._see_through, folder) for folder in folders]
        return lambda: self._answer(scoring, folders[0].parent, placed)

    def _answer(
        self, scoring: Scoring, folder: Path, placed: Sequence[Future[tuple[Path, str]]]
    ) -> pd.DataFrame:
        try:
            return self._gathered(scoring, [future.result() for future in placed])
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _gathered(self, scoring: Scoring, endings: Sequence[tuple[Path, str]]) -> pd.DataFrame:
        path = scoring.stored(self.home)
        frames = []
        for folder, ending in endings:
            frame = scores.read_frame(folder / FRAME)
            if frame is None:
                stored = scores.read_frame(path) if scoring.device == "cpu" else None
                if stored is not None:  # another harness was at the same scoring, and has tidied up
                    return stored
                raise _failure(folder, ending)
            frames.append(frame)
        whole = scores.merged(frames)
        if scoring.device == "cpu":
            scores.write_both(path, whole, scores.read_details(endings[0][0] / FRAME))
        return whole

    def _see_through(self, first: Path) -> tuple[Path, str]:
        """The folder of a shard's last try, and how that ended in the engine's words, which may be empty.

        Each try has a folder of its own: an engine may take one it has seen for the one it has lost.
        """
        folder, ending = first, "cancelled"
        for number in range(1, TRIES + 1):
            if self._cancel:
                break
            if number > 1:
                folder = first.with_name(f"{first.name}-{number}")
                write_json(folder / SCORING, read_json(first / SCORING))
            try:
                placed = self.engine.submit(folder, self.limits, lambda: bool(self._cancel))
            except InfrastructureError as error:
                return folder, str(error)
            asked = False
            while (said := placed.poll()) is None:
                if self._cancel and not asked:
                    placed.cancel()
                    asked = True
                time.sleep(self.engine.poll_seconds)
            ending = said
            if (folder / FRAME).is_file() or (folder / FAILURE).is_file():
                break
        return folder, ending


def _failure(folder: Path, ending: str) -> LannerError:
    known = read_json(folder / FAILURE)
    if known is None:
        log = folder / "exec.log"
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.is_file() else []
        last = ending or next((line.strip() for line in reversed(lines) if line.strip()), "")
        said = f"its process ended without a word{': ' + last[:300] if last else ''}"
        return InfrastructureError(f"scoring failed: {said}; build again to try again", ErrorClass.LOST)
    if known["code"] is not None:
        return PredictionError(known["code"], known["message"])
    return InfrastructureError(f"scoring failed: {known['message']}", ErrorClass(known["error_class"]))
