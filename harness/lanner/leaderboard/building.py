"""Build a leaderboard: do what is missing, score what was done, write results whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from lanner import execution, pipeline, store
from lanner.config import Settings
from lanner.errors import ErrorClass, LannerError
from lanner.execution import Engine
from lanner.execution.local import LocalEngine
from lanner.leaderboard.campaign import Campaign, Cell, Monitor, Silence, expand
from lanner.leaderboard.definition import Definition
from lanner.leaderboard.outcomes import Scored
from lanner.leaderboard.results import execution_document, leaderboard_document
from lanner.leaderboard.scoring import Placed, Problems, bounds_of, frame_of, scoring_id
from lanner.records import State
from lanner.runners import RUNNERS
from lanner.runners.outcome import published
from lanner.score_units import Scorers

LOG_LINES = 10
"""Last lines of an image's build log that are shown; the attempt's stderr.log keeps more."""


@dataclass(frozen=True, kw_only=True)
class Results:
    """What a build made: leaderboard.json's document, the paths written, and what the document is made of.

    ``bounds`` maps a split's sha256 to the per-condition scores of its bounds.
    """

    document: Mapping[str, Any]
    pages: tuple[Path, ...] = ()
    scored: tuple[Scored, ...] = ()
    bounds: Mapping[str, pd.DataFrame] = field(default_factory=dict)


def build(
    definition: Definition,
    settings: Settings,
    *,
    runner: str,
    jobs: int,
    engine: Engine | None = None,
    trust_process: bool = False,
    monitor: Monitor | None = None,
    site: Path | None = None,
    score_shards: int | None = None,
) -> Results:
    """Bring every cell to a record, score it, and write leaderboard.json, execution.json, tables and pages.

    Results go to ``$LANNER_HOME/leaderboards/<name>/`` and, when ``site`` is given, to that folder too. One
    method's failure is a row; InfrastructureError is raised only where nothing could be built. ``engine``
    places the runs; without one they are ``jobs`` processes of this machine. ``score_shards``: it also
    places the scoring, each in so many shards; without, it is done in this process, one run after another.
    """
    monitor = monitor or Silence()
    campaign = expand(definition, settings, runner=runner, trust_process=trust_process, monitor=monitor)
    engine = engine or LocalEngine(settings, jobs)
    if score_shards is None:
        problems = _run(campaign, engine, monitor)
    else:
        with Scorers(engine, settings.home, score_shards) as scorers:
            problems = _run(campaign, engine, monitor, scorers=scorers)
    scored = [outcome(cell, definition, problems) for cell in campaign.cells]
    bounds = {cell.artefact.split.sha256: bounds_of(cell, definition) for cell in campaign.cells}
    document = leaderboard_document(definition, scored, bounds)
    folder = settings.home / "leaderboards" / definition.name
    store.write_json(folder / "leaderboard.json", document)
    store.write_json(folder / "execution.json", execution_document(scored))
    results = Results(document=document, scored=tuple(scored), bounds=bounds)
    if site is None:
        return results
    from lanner.site import gather, write_site

    return replace(results, pages=(write_site(gather(document, scored, bounds), site),))


def place(
    definition: Definition,
    settings: Settings,
    *,
    runner: str,
    engine: Engine,
    trust_process: bool = False,
    monitor: Monitor | None = None,
) -> None:
    """Give every missing run to the engine and return; a later ``build`` with it collects them."""
    monitor = monitor or Silence()
    campaign = expand(definition, settings, runner=runner, trust_process=trust_process, monitor=monitor)
    _run(campaign, engine, monitor, detach=True)


def _run(
    campaign: Campaign,
    engine: Engine,
    monitor: Monitor,
    *,
    detach: bool = False,
    scorers: Scorers | None = None,
) -> Problems:
    """Complete the runs that are missing; what scorings that were placed elsewhere failed of."""
    missing = campaign.missing()
    runs = len({cell.plan.folder.key for cell in campaign.cells if cell.skip is None})
    monitor.begin(len(missing), runs - len(missing))
    for cell, reason in missing:
        if reason != "never run":
            monitor.say(f"{_label(cell)}: {reason}")
    if not engine.has_own_containers:
        _prepare(campaign, missing, monitor)
    cells = {cell.plan.folder.key: cell for cell, _ in missing}
    placed = Placed(scorers)

    def ended(plan: pipeline.Plan, record: Mapping[str, Any]) -> None:
        cell = cells[plan.folder.key]
        monitor.done(_label(cell), record)
        if record["state"] == State.SUCCEEDED:
            # Scored while the next runs are under way; a failure is told when the rows are made.
            if scorers is None:
                frame_of(cell, campaign.definition)
            else:
                placed.begin_all(campaign, cell)

    for cell in cells.values():
        _ = cell.staged  # sealed and staged once, before several processes ask for it
    execution.complete(
        [cell.plan for cell in cells.values()],
        campaign.settings,
        engine,
        detach=detach,
        on_state=lambda plan, state: monitor.state(_label(cells[plan.folder.key]), state),
        on_record=ended,
    )
    return {} if scorers is None or detach else placed.finish(campaign, monitor)


def _prepare(campaign: Campaign, missing: list[tuple[Cell, str]], monitor: Monitor) -> None:
    """Build or pull images one after another: they share layers, so two at a time would do the work twice.

    A failure is left to the run, which records it.
    """
    if campaign.runner == "process":
        return
    runner = RUNNERS[campaign.runner]()
    programs = (cell.choice.method for cell, _ in missing if not cell.choice.method.predictions)
    for method in {method.name: method for method in programs}.values():
        monitor.say(f"image of {method.name}")
        try:
            runner.prepare(method)
        except LannerError as error:
            monitor.say(str(error))
            for line in getattr(error, "log_tail", "").splitlines()[-LOG_LINES:]:
                monitor.say(f"  {line}")


def outcome(cell: Cell, definition: Definition, problems: Problems | None = None) -> Scored:
    """What became of a cell: its record and, where it succeeded, its per-condition scores.

    ``problems``: what scorings failed of that were done elsewhere; the others are done here where none is
    stored.
    """
    if cell.skip is not None:
        record = {
            "state": State.SKIPPED,
            "error_class": ErrorClass.NOT_APPLICABLE,
            "message": cell.skip,
            "key": cell.plan.folder.key,
        }
        return Scored(cell=cell, record=record)
    hidden = cell.artefact.hidden
    record = cell.plan.folder.record() or pipeline.lost("the run left no record")
    if record["state"] != State.SUCCEEDED:
        return Scored(cell=cell, record=published(record, hidden=hidden))
    frame = (problems or {}).get(scoring_id(cell)) or frame_of(cell, definition)
    if isinstance(frame, LannerError):
        kind = getattr(frame, "error_class", ErrorClass.METRIC_ERROR)
        failed = {**record, "state": State.FAILED, "error_class": kind, "message": str(frame)}
        return Scored(cell=cell, record=published(failed, hidden=hidden))
    return Scored(cell=cell, record=record, frame=frame)


def _label(cell: Cell) -> str:
    return f"{cell.artefact.dataset.entry.id} {cell.artefact.split.id} {cell.choice.label} seed {cell.seed}"
