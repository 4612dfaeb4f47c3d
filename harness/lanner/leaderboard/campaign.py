"""From a definition to its runs: datasets loaded, splits expanded, every run named and looked up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from lanner import datasets, pipeline, splits, staging, store
from lanner.config import Settings
from lanner.datasets import Dataset
from lanner.leaderboard.costs import Cost, Costs, estimate
from lanner.leaderboard.definition import Definition, MethodChoice
from lanner.pipeline import Plan
from lanner.records import Split
from lanner.scores import Question
from lanner.truth import Truth


class Monitor(Protocol):
    """Where a build reports to: the command line's display, or nowhere."""

    def say(self, text: str) -> None:
        """One line of talk."""

    def progress(self, what: str, done: int, total: int) -> None:
        """Part of one long step: bytes of a download, rows of a normalisation."""

    def begin(self, total: int, cached: int) -> None:
        """How many runs there are to do."""

    def state(self, label: str, state: str) -> None:
        """A run has entered a state."""

    def done(self, label: str, record: Mapping[str, Any]) -> None:
        """A run has ended with this record."""


class Silence:
    """A monitor that reports nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def progress(self, what: str, done: int, total: int) -> None:
        """Nothing."""

    def begin(self, total: int, cached: int) -> None:
        """Nothing."""

    def state(self, label: str, state: str) -> None:
        """Nothing."""

    def done(self, label: str, record: Mapping[str, Any]) -> None:
        """Nothing."""


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """One split artefact of one dataset, with its truth and shared input made when first asked for."""

    dataset: Dataset
    split: Split
    definition: Definition
    settings: Settings
    monitor: Monitor
    hidden: bool = False

    @cached_property
    def truth(self) -> Truth:
        """The sealed truth."""
        return self.definition.task.seal(self.dataset, self.split, self.settings.home, self.monitor.say)

    @property
    def question(self) -> Question:
        """What stored scores have to answer."""
        return Question.of_entry(self.definition.task, self.definition.metrics, self.dataset.entry)

    def staged(self, options: Mapping[str, Any]) -> staging.Staged:
        """The part of the input that all methods share that are asked with the same options of the task."""
        task, home = self.definition.task, self.settings.home
        return staging.open_shared(home, self.split, task, options) or staging.stage_shared(
            self.dataset, self.split, task, self.truth, home, options
        )


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One row to be: a method on a split artefact with a seed. ``skip`` says why it is not run at all.

    Rows that differ in the residual model alone share one run: the same plan.
    """

    artefact: Artefact
    choice: MethodChoice
    seed: int
    plan: Plan
    skip: str | None

    @property
    def staged(self) -> staging.Staged:
        """The shared part of its input, made when first asked for."""
        return self.artefact.staged(self.choice.options)


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """All cells of a leaderboard, sorted by dataset, split, method and seed."""

    definition: Definition
    settings: Settings
    runner: str
    cells: tuple[Cell, ...]

    def missing(self) -> list[tuple[Cell, str]]:
        """Cells that must be run, one for each run, each with the reason it is not cached.

        The longest are first (``lanner.leaderboard.costs``): begun last, they would keep all others waiting.
        """
        runs = {cell.plan.folder.key: cell for cell in reversed(self.cells) if cell.skip is None}
        reasons = ((cell, cell.plan.folder.reason_to_run()) for cell in reversed(runs.values()))
        found = [(cell, reason) for cell, reason in reasons if reason is not None]
        if len(found) < 2:
            return found
        costs = self._costs([cell for cell, _ in found])
        order = sorted(range(len(found)), key=lambda i: -costs[i].wall_seconds)
        return [found[i] for i in order]

    def estimate(self, missing: Sequence[tuple[Cell, str]], workers: int = 1) -> dict[str, Any]:
        """Expected cost of the missing runs on so many workers (``costs.estimate``), and disk_bytes."""
        cells = [cell for cell, _ in missing]
        limits = [self.definition.limits_of(cell.choice.method) for cell in cells]
        disk = sum(_disk_bytes(cell, self.definition) for cell in cells)
        return {**estimate(self._costs(cells), limits, workers), "disk_bytes": disk}

    def _costs(self, cells: Sequence[Cell]) -> list[Cost]:
        recorded = Costs(self.settings.home)
        return [
            recorded.expected(
                cell.choice.method.name,
                cell.artefact.dataset.entry.id,
                self.definition.limits_of(cell.choice.method),
            )
            for cell in cells
        ]


def expand(
    definition: Definition,
    settings: Settings,
    *,
    runner: str,
    trust_process: bool = False,
    monitor: Monitor | None = None,
) -> Campaign:
    """Load the datasets, expand their splits and name every run; downloads what is not cached."""
    monitor = monitor or Silence()
    for resource in definition.resources:
        resource.make(monitor.progress)
    cells = []
    for name in sorted(definition.datasets):
        entry = datasets.find_entry(settings, name)
        dataset = datasets.load(entry, settings, monitor.progress)
        for artefact in artefacts(definition, settings, dataset, monitor):
            for choice in definition.choices:
                cells += [
                    _cell(definition, settings, artefact, choice, seed, runner, trust_process)
                    for seed in definition.seeds_of(choice.method)
                ]
    return Campaign(definition=definition, settings=settings, runner=runner, cells=tuple(cells))


def artefacts(
    definition: Definition, settings: Settings, dataset: Dataset, monitor: Monitor
) -> Iterator[Artefact]:
    """Every split artefact a leaderboard asks of a dataset, its split saved, and marked where hidden."""
    for split, hidden in _splits(definition, dataset):
        save_split(settings.home, split)
        if hidden:
            store.hide(settings.home, split.sha256)
        yield Artefact(
            dataset=dataset,
            split=split,
            definition=definition,
            settings=settings,
            monitor=monitor,
            hidden=hidden,
        )


def save_split(home: Path, split: Split) -> None:
    """Keep a split's saved form, so that its truth can be rebuilt from its hash alone."""
    path = home / "splits" / f"{split.sha256}.json"
    if not path.is_file():
        store.write_json(path, split.to_json())


def _splits(definition: Definition, dataset: Dataset) -> list[tuple[Split, bool]]:
    """The split artefacts of a dataset, sorted, and whether each is hidden, by any item that names it."""
    designs = definition.datasets[dataset.entry.id]
    if designs is None:
        designs = tuple(definition.task.recommended(dataset.entry.splits))
    artefacts: dict[str, tuple[Split, bool]] = {}
    for design in designs:
        hidden = False
        if not isinstance(design, str):
            hidden = bool(design.get("hidden", False))
            design = {name: value for name, value in design.items() if name != "hidden"}
        for split in splits.resolve(dataset, design):
            name = f"{split.id} {split.sha256}"
            artefacts[name] = (split, hidden or (name in artefacts and artefacts[name][1]))
    return [artefacts[name] for name in sorted(artefacts)]


def _cell(
    definition: Definition,
    settings: Settings,
    artefact: Artefact,
    choice: MethodChoice,
    seed: int,
    runner: str,
    trust_process: bool,
) -> Cell:
    task = definition.task
    supported = task.id in choice.method.tasks
    return Cell(
        artefact=artefact,
        choice=choice,
        seed=seed,
        skip=None if supported else f"{choice.method.name} does not declare the task {task.id}",
        plan=pipeline.plan(
            settings,
            dataset=artefact.dataset.identity,
            split=artefact.split,
            task=task,
            method=choice.method,
            parameters=choice.parameters,
            seed=seed,
            limits=definition.limits_of(choice.method),
            runner=runner,
            options=choice.options,
            granted=choice.granted,
            trust_process=trust_process,
            hidden=artefact.hidden,
        ),
    )


def _disk_bytes(cell: Cell, definition: Definition) -> int:
    return definition.task.output_bytes(len(cell.artefact.split.test), len(cell.artefact.dataset.genes))
