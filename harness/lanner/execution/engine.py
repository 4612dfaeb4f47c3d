"""The port every execution engine fits: it places ``lanner exec SPEC.json`` somewhere, and knows no more.

An engine is one file of this package that adds an ``Engine`` class to ``ENGINES``. It never owns a container,
a record or a result: those travel by the shared LANNER_HOME (platforms-and-grn.md, part 6).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

from lanner import schemas
from lanner.config import Settings
from lanner.errors import ConfigurationError
from lanner.records import Limits
from lanner.registry import Registry

__all__ = ["ENGINES", "Engine", "Placed", "arguments", "environment", "open_engine", "read_configuration"]


PLACED = "placed.json"
"""In an attempt's folder: which engine it was given to, and what that calls it."""

SCORING = "scoring.json"
"""Spec of a shard of a scoring, the other unit that engines place: ``lanner score --spec``."""


class Placed(Protocol):
    """One attempt, placed."""

    @property
    def ticket(self) -> str:
        """What the engine calls it; with it another process finds it again."""

    def poll(self) -> str | None:
        """None while it waits or works; then, in words, how it ended, empty where there is nothing to say."""

    def cancel(self) -> None:
        """Stop it, whether it has begun or not."""


class Engine(Protocol):
    """Places attempts; used by several threads at a time, one per run in flight."""

    id: ClassVar[str]
    poll_seconds: float
    """How often it makes sense to ask."""
    in_flight: int
    """How many attempts it wants to hold at a time."""
    has_own_containers: ClassVar[bool]
    """Whether it runs methods' containers itself, so that no container engine is asked for here."""
    outlives_harness: ClassVar[bool]
    """Whether what it has placed goes on when the process that placed it ends, and can be adopted."""

    @classmethod
    def open(cls, settings: Settings, *, jobs: int, configuration: Mapping[str, Any]) -> Self:
        """Start or reach what it places attempts on; raises InfrastructureError where it cannot."""

    def submit(self, attempt: Path, limits: Limits, is_cancelled: Callable[[], bool]) -> Placed:
        """Place the attempt of a folder; waits for room where it must, or until cancelled.

        Raises InfrastructureError where it cannot be placed, with what to change.
        """

    def adopt(self, ticket: str) -> Placed | None:
        """An attempt that another process placed with this engine, or None where engines of this kind end
        with their process."""

    def close(self) -> None:
        """Let go of what ``open`` started."""


ENGINES: Registry[type[Engine]] = Registry("engine")


def open_engine(name: str, settings: Settings, *, jobs: int, configuration: Path | None = None) -> Engine:
    """The engine of that name; ``configuration`` is its YAML file, checked against engine.schema.json."""
    return ENGINES[name].open(settings, jobs=jobs, configuration=read_configuration(name, configuration))


def read_configuration(name: str, file: Path | None) -> Mapping[str, Any]:
    """An engine's YAML file, whose ``engine`` must be ``name``; empty where there is no file."""
    if file is None:
        return {}
    document = schemas.load_yaml(file, "engine")
    if document["engine"] != name:
        raise ConfigurationError(
            f"{file} is for the engine {document['engine']}, not {name}; name another file"
        )
    return document


def arguments(settings: Settings, attempt: Path) -> list[str]:
    """What follows ``python`` to run an attempt, or the shard of a scoring where the folder holds one."""
    registry = ["--registry", str(settings.registry.resolve())] if settings.registry else []
    shard = attempt / SCORING
    unit = ["score", "--spec", str(shard)] if shard.is_file() else ["exec", str(attempt / "spec.json")]
    return ["-m", "lanner.cli", *registry, *unit[:-1], str(Path(unit[-1]).resolve())]


def environment(settings: Settings, engine: str) -> dict[str, str]:
    """What ``lanner exec`` must find in its environment beside what is there.

    ``LANNER_ENGINE`` says that a SIGTERM nobody asked for is the engine's doing, and the run was lost.
    """
    mirrors = os.environ.get("LANNER_MIRROR")
    return {
        "LANNER_HOME": str(settings.home.resolve()),
        "LANNER_ENGINE": engine,
        **({"LANNER_MIRROR": mirrors} if mirrors else {}),
    }
