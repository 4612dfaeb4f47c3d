"""What ``run``, ``demo`` and ``leaderboard build`` share: runner, progress, tables."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import click
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from lanner.cli.output import print_json, print_table, talk
from lanner.config import Settings
from lanner.errors import ConfigurationError, InfrastructureError
from lanner.leaderboard.definition import Definition
from lanner.methods import Method
from lanner.records import State, printable


class Display:
    """Progress on stderr: a live bar on a terminal, one line per finished run elsewhere."""

    def __init__(self, bars: Progress) -> None:
        self.bars = bars
        self.bar = bars.add_task("", total=None, visible=False, rate="")
        self._states: dict[str, str] = {}
        self._began, self._done, self._total = time.monotonic(), 0, 0

    def say(self, text: str) -> None:
        """One line of talk."""
        self.bars.console.print(printable(text), markup=False)

    def progress(self, what: str, done: int, total: int) -> None:
        """Part of a download or a normalisation."""
        self.bars.update(self.bar, description=printable(what), completed=done, total=total, visible=True)

    def begin(self, total: int, cached: int) -> None:
        """Announce how many runs there are to do."""
        self.say(f"{total} runs to do, {cached} cached")
        self._began, self._done, self._total = time.monotonic(), 0, total
        self.bars.update(self.bar, description="", completed=0, total=total, visible=total > 0)

    def state(self, label: str, state: str) -> None:
        """A run has entered a state."""
        self._states[label] = state
        busy = "  ".join(f"{name}: {value}" for name, value in list(self._states.items())[-3:])
        self.bars.update(self.bar, description=printable(busy))

    def done(self, label: str, record: Mapping[str, Any]) -> None:
        """A run has ended."""
        self._states.pop(label, None)
        self._done += 1
        self.bars.update(self.bar, advance=1, rate=self._throughput())
        reason = f" ({record['error_class']}: {record['message']})" if record["error_class"] else ""
        if record["state"] != State.SUCCEEDED or not self.bars.console.is_terminal:
            self.say(f"{record['state']:<10} {label}{reason}")

    def _throughput(self) -> str:
        """Runs a minute so far, and how long the others take at that rate: the longest were begun first."""
        passed = max(time.monotonic() - self._began, 1e-3)
        left = (self._total - self._done) * passed / self._done
        return f"{60 * self._done / passed:.1f} runs/min, {clock(left)} left"


@contextmanager
def display() -> Iterator[Display]:
    """A progress display on stderr while something is built."""
    columns = (
        SpinnerColumn(),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=talk, transient=True) as bars:
        yield Display(bars)


def choose_runner(wanted: str, settings: Settings) -> str:
    """What was asked for, or ``docker`` where an Engine answers and else ``process``, with one line of it."""
    from lanner.runners.docker import docker_available

    if wanted not in ("auto", "docker"):
        return wanted
    reason = docker_available()
    if reason is None:
        return "docker"
    if wanted == "docker":
        raise InfrastructureError(reason)
    talk.print(
        "No Docker Engine answers: methods run as plain processes, unsealed, and only Lanner's own ones.",
        markup=False,
    )
    return "process"


def check_task(chosen: Sequence[Method], task: str) -> None:
    """Refuse a task that none of the methods declares: every run would be skipped."""
    from lanner.tasks import TASKS

    if task not in TASKS or any(task in method.tasks for method in chosen):
        return
    first = chosen[0]
    raise click.UsageError(
        f"{first.name} does not answer {task}; give --task {first.tasks[0]}, or add the task to method.yaml"
    )


def clock(seconds: float) -> str:
    """A duration for people: 42 s, 3 min, 2 h 05 min."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def default_jobs() -> int:
    """Runs at a time: one per core."""
    return len(os.sched_getaffinity(0))


def build_and_show(
    definition: Definition,
    settings: Settings,
    *,
    runner: str,
    trust_process: bool,
    jobs: int | None,
    as_json: bool,
    site: Path | None,
    engine: str = "local",
    engine_config: Path | None = None,
    detach: bool = False,
    score_shards: int | None = None,
) -> int:
    """Build a leaderboard's runs, write its files and pages, print its table; 1 when a method failed.

    ``detach``: only place the runs that are missing.
    """
    from lanner.execution import ENGINES, open_engine
    from lanner.leaderboard.building import build, place

    if detach and not ENGINES[engine].outlives_harness:
        lasting = " or ".join(name for name in ENGINES if ENGINES[name].outlives_harness)
        raise ConfigurationError(
            f"what the engine {engine} runs ends with this command; leave out --detach, or use {lasting}"
        )
    # A cluster runs the images itself: whether this machine could does not matter.
    chosen = "docker" if engine == "kubernetes" else choose_runner(runner, settings)
    jobs = jobs or default_jobs()
    with (
        closing(open_engine(engine, settings, jobs=jobs, configuration=engine_config)) as placing,
        display() as shown,
    ):
        if dashboard := getattr(placing, "dashboard", None):
            shown.say(f"Dask's dashboard: {dashboard}")
        if detach:
            place(
                definition,
                settings,
                runner=chosen,
                engine=placing,
                trust_process=trust_process,
                monitor=shown,
            )
            talk.print(
                "placed; `lanner status --watch` follows them, the same command without --detach collects"
            )
            return 0
        results = build(
            definition,
            settings,
            runner=chosen,
            trust_process=trust_process,
            jobs=jobs,
            engine=placing,
            monitor=shown,
            site=site,
            score_shards=score_shards,
        )
    if as_json:
        print_json(results.document)
    else:
        show(results.document)
        for path in results.pages:
            talk.print(f"page: {path}", markup=False)
    return 1 if any(row["status"] == State.FAILED for row in results.document["rows"]) else 0


def show(document: Mapping[str, Any]) -> None:
    """Tables on the terminal: one per dataset and split design, then what failed or was skipped."""
    from lanner.leaderboard.table import PARTIAL, PROBLEMS, partial, problems, tables

    for table in tables(document):
        print_table(table.columns, table.rows, title=table.title)
        click.echo("\n".join([table.note, *table.remarks]) + "\n")
    unanswered = partial(document)
    if unanswered:
        print_table(PARTIAL, unanswered, title="Partly answered")
        click.echo()
    ended = problems(document)
    if ended:
        print_table(PROBLEMS, ended, title="Not scored")
