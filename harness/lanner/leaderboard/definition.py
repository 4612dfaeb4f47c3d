"""The leaderboard file: read, checked, names resolved as far as no dataset is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lanner import methods, schemas
from lanner.config import Settings, bundled_root
from lanner.errors import ConfigurationError
from lanner.records import Limits
from lanner.registry import unknown_name
from lanner.tasks import TASKS, Task


@dataclass(frozen=True, kw_only=True)
class MethodChoice:
    """A method with its parameters; ``label`` tells the same method's choices apart."""

    method: methods.Method
    parameters: Mapping[str, Any]

    @property
    def label(self) -> str:
        """``name``, or ``name[parameter=value,...]`` naming what differs from the defaults."""
        changed = {
            name: value
            for name, value in sorted(self.parameters.items())
            if value != self.method.defaults[name]
        }
        options = ",".join(f"{name}={value}" for name, value in changed.items())
        return f"{self.method.name}[{options}]" if options else self.method.name


@dataclass(frozen=True, kw_only=True)
class Definition:
    """A leaderboard as asked for.

    ``choices`` are its methods with parameters; ``datasets`` maps an id to its split designs, or to None for
    those the registry entry recommends.
    """

    name: str
    title: str
    description: str
    task: Task
    datasets: Mapping[str, tuple[Mapping[str, Any] | str, ...] | None]
    choices: tuple[MethodChoice, ...]
    seeds: tuple[int, ...]
    metrics: tuple[str, ...]
    reveal: str = "none"
    limits: Mapping[str, Any] = field(default_factory=dict)

    def limits_of(self, method: methods.Method) -> Limits:
        """The method's own limits with the leaderboard's overrides."""
        return replace(method.limits, **self.limits)

    def seeds_of(self, method: methods.Method) -> tuple[int, ...]:
        """Seeds the method runs with: a deterministic one runs once and stands for all."""
        return self.seeds[:1] if method.deterministic else self.seeds


def find(name: str) -> Path:
    """A leaderboard file by path, or a bundled one by its name or its path in the repository."""
    path = Path(name)
    if path.is_file():
        return path
    bundled = bundled_root() / "leaderboards"
    if name in (path.stem, path.name, f"leaderboards/{path.name}"):
        for candidate in (bundled / path.name, bundled / f"{path.name}.yaml"):
            if candidate.is_file():
                return candidate
    known = ", ".join(sorted(file.stem for file in bundled.glob("*.yaml")))
    raise ConfigurationError(f"no leaderboard file {name}; give a YAML file's path, or one of {known}")


def load(name: str, settings: Settings) -> Definition:
    """Read and check a leaderboard file; a ConfigurationError names the file and what is wrong in it."""
    path = find(name)
    document = schemas.load_yaml(path, "leaderboard")
    try:
        return define(document, settings)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def define(document: Mapping[str, Any], settings: Settings) -> Definition:
    """A definition from a schema-checked document."""
    task = TASKS[document["task"]]
    datasets: dict[str, tuple[Mapping[str, Any] | str, ...] | None] = {}
    for item in document["datasets"]:
        name, splits = (item, None) if isinstance(item, str) else (item["id"], item.get("splits"))
        if name in datasets:
            raise ConfigurationError(f"dataset {name!r} is listed twice; put all its splits under one item")
        datasets[name] = tuple(splits) if splits else None
    choices = [_choice(item, settings) for item in document["methods"]]
    labels = [choice.label for choice in choices]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice:
        raise ConfigurationError(f"method {twice} is listed twice; remove one or change its parameters")
    metrics = tuple(document.get("metrics") or task.metrics)
    _check_metrics(metrics)
    reveal = document.get("reveal", task.reveal[0])
    if reveal not in task.reveal:
        raise unknown_name(f"reveal mode of task {task.id}", reveal, task.reveal)
    return Definition(
        name=document["name"],
        title=document["title"],
        description=document.get("description", ""),
        task=task,
        datasets=datasets,
        choices=tuple(sorted(choices, key=lambda choice: choice.label)),
        seeds=tuple(document["seeds"]),
        metrics=metrics,
        reveal=reveal,
        limits=document.get("limits", {}),
    )


def _choice(item: str | Mapping[str, Any], settings: Settings) -> MethodChoice:
    name, given = (item, {}) if isinstance(item, str) else (item["name"], item.get("parameters", {}))
    method = methods.find(settings, name)
    return MethodChoice(method=method, parameters=methods.resolve_parameters(method, given))


def _check_metrics(metrics: tuple[str, ...]) -> None:
    from lanner.metrics import METRICS

    for name in metrics:
        METRICS[name]
