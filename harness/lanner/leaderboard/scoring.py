"""The scores of cells and bounds of a leaderboard: stored ones, made in this process, or by an engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import pandas as pd

from lanner import scores
from lanner.errors import ErrorClass, InfrastructureError, LannerError, PredictionError
from lanner.leaderboard.campaign import Campaign, Cell, Monitor
from lanner.leaderboard.definition import Definition
from lanner.records import State
from lanner.score_units import Scorers, Scoring

ScoringId: TypeAlias = tuple[str, str | None]
"""Key of a run, and the residual model it is scored by where that is not its method's own."""
Problems: TypeAlias = Mapping[ScoringId, LannerError]


def scoring_id(cell: Cell) -> ScoringId:
    """What tells a cell's scoring from others: cells may share a run."""
    return cell.plan.folder.key, cell.choice.other_residual


class Placed:
    """Scorings that an engine does, each begun once, by run and residual model."""

    def __init__(self, scorers: Scorers | None) -> None:
        self._scorers = scorers
        self._runs: dict[ScoringId, Callable[[], pd.DataFrame]] = {}
        self._bounds: dict[str, Callable[[], pd.DataFrame]] = {}

    def begin_all(self, campaign: Campaign, ended: Cell) -> None:
        """Begin the scorings of all cells that share the run of ``ended``, which succeeded."""
        for cell in campaign.cells:
            if cell.skip is None and cell.plan.folder.key == ended.plan.folder.key:
                self._begin(cell)

    def finish(self, campaign: Campaign, monitor: Monitor) -> dict[ScoringId, LannerError]:
        """Begin what nothing is stored of, the bounds too, and wait for all; what failed, by scoring.

        Raised, as in this process, is what says nothing of a method or metric: a full disk, a shard that was
        lost; and any failure of bounds, without which there is no leaderboard.
        """
        for cell in campaign.cells:
            self._begin_bounds(cell)
            record = cell.plan.folder.record() if cell.skip is None else None
            if record is not None and record["state"] == State.SUCCEEDED:
                self._begin(cell)
        monitor.say(f"{len(self._runs)} scorings and {len(self._bounds)} of bounds placed")
        problems = {}
        for name, answer in self._runs.items():
            try:
                answer()
            except LannerError as error:
                if not is_of_a_row(error):
                    raise
                problems[name] = error
        for answer in self._bounds.values():
            answer()
        return problems

    def _begin(self, cell: Cell) -> None:
        name, question = scoring_id(cell), cell.artefact.question
        folder, residual = cell.plan.folder, cell.choice.other_residual
        if name in self._runs or self._scorers is None:
            return
        if scores.scores_path(folder, question, residual).is_file():
            return
        _ = cell.staged  # before several processes ask for it
        scoring = Scoring(
            run=folder,
            split=cell.artefact.split,
            question=question,
            options=cell.choice.options,
            residual=residual,
        )
        self._runs[name] = self._scorers.begin(scoring, cell.artefact.truth)

    def _begin_bounds(self, cell: Cell) -> None:
        question, split = cell.artefact.question, cell.artefact.split
        if split.sha256 in self._bounds or self._scorers is None:
            return
        truth = cell.artefact.truth
        if scores.bounds_path(truth.folder, question).is_file():
            return
        scoring = Scoring(run=None, split=split, question=question, options={})
        self._bounds[split.sha256] = self._scorers.begin(scoring, truth)


def is_of_a_row(error: LannerError) -> bool:
    """Whether a failed scoring says something of a prediction or a metric: all else ends the build."""
    return (
        isinstance(error, PredictionError) or getattr(error, "error_class", None) is ErrorClass.METRIC_ERROR
    )


def frame_of(cell: Cell, definition: Definition) -> pd.DataFrame | LannerError:
    """Per-condition scores of a cell's run, stored ones or made here; an error is the row's, not raised.

    Raises LannerError for what is nobody's row: a store that cannot be read or written.
    """
    residual = cell.choice.other_residual
    cached = scores.stored_scores(cell.plan.folder, cell.artefact.question, residual)
    if cached is not None:
        return cached
    try:
        return scores.score_run(
            cell.plan.folder,
            cell.artefact.truth,
            cell.staged,
            definition.metrics,
            residual=residual,
        )
    except LannerError as error:
        if is_of_a_row(error):
            return error
        raise
    except Exception as error:  # a metric's fault neither ends the campaign nor counts against the method
        reason = f"scoring failed: {type(error).__name__}: {error}"
        return InfrastructureError(reason, ErrorClass.METRIC_ERROR)


def bounds_of(cell: Cell, definition: Definition) -> pd.DataFrame:
    """Per-condition scores of the bounds of a cell's split."""
    artefact = cell.artefact
    stored = scores.stored_bounds(artefact.settings.home, artefact.split, artefact.question)
    if stored is not None:
        return stored
    return scores.score_bounds(artefact.truth, definition.task, definition.metrics)
