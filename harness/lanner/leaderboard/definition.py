"""The leaderboard file: read, checked, names resolved as far as no dataset is needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from lanner import methods
from lanner.cards import CARDS
from lanner.config import Settings
from lanner.errors import ConfigurationError
from lanner.leaderboard.inheritance import find, inherited
from lanner.records import Limits
from lanner.resources import Resource
from lanner.resources import find as find_resource
from lanner.tasks import TASKS, Task


@dataclass(frozen=True, kw_only=True)
class MethodChoice:
    """A method with its parameters; ``label`` tells the same method's choices apart.

    ``other_residual`` is the model by which cells are drawn from its profiles, where it is not the one its
    manifest declares: another row of the same run (metrics.md section 6). ``options`` are those of the task;
    the ``own_options`` among them are this choice's, not the leaderboard's, and named in the label.
    ``granted`` is what it finds in /input/resources; ``apart`` where the leaderboard compares grants, so
    that each is a row.
    """

    method: methods.Method
    parameters: Mapping[str, Any]
    other_residual: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    own_options: tuple[str, ...] = ()
    granted: tuple[Resource, ...] = ()
    apart: bool = False

    @property
    def residual(self) -> str | None:
        """How cells are drawn from a profile."""
        return self.other_residual or self.method.residual

    @property
    def label(self) -> str:
        """``name``, or ``name[parameter=value,...]`` naming what differs from the defaults."""
        changed = {
            name: value
            for name, value in sorted(self.parameters.items())
            if value != self.method.defaults[name]
        }
        if self.other_residual:
            changed["residual"] = self.other_residual
        changed |= {name: self.options[name] for name in self.own_options}
        if self.apart:
            changed["resources"] = "+".join(resource.id for resource in self.granted) or "none"
        options = ",".join(f"{name}={value}" for name, value in changed.items())
        return f"{self.method.name}[{options}]" if options else self.method.name


@dataclass(frozen=True, kw_only=True)
class Definition:
    """A leaderboard as asked for.

    ``choices`` are its methods with parameters; ``datasets`` maps an id to its split designs, or to None for
    those the registry entry recommends. ``resources`` are all that any of them is granted.
    """

    name: str
    title: str
    description: str
    task: Task
    datasets: Mapping[str, tuple[Mapping[str, Any] | str, ...] | None]
    choices: tuple[MethodChoice, ...]
    seeds: tuple[int, ...]
    metrics: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    resources: tuple[Resource, ...] = ()

    def limits_of(self, method: methods.Method) -> Limits:
        """The method's own limits with the leaderboard's overrides."""
        return replace(method.limits, **self.limits)

    def seeds_of(self, method: methods.Method) -> tuple[int, ...]:
        """Seeds the method runs with: a deterministic one runs once and stands for all."""
        return self.seeds[:1] if method.deterministic else self.seeds


def load(name: str, settings: Settings) -> Definition:
    """Read and check a leaderboard file; a ConfigurationError names the file and what is wrong in it."""
    path = find(name)
    document = inherited(path)
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
    everywhere = document.get("splits")
    if everywhere:
        datasets = {name: splits or tuple(everywhere) for name, splits in datasets.items()}
    residuals = document.get("residuals")
    reveal = {"reveal": document["reveal"]} if "reveal" in document else {}
    given = {**document.get("options", {}), **reveal}
    options = task.chosen(given)
    grants, apart = _grants(document, settings)
    choices = [
        replace(choice, granted=granted, apart=apart)
        for item in document["methods"]
        for choice in _choices(item, settings, residuals, task, given)
        for granted in grants
    ]
    labels = [choice.label for choice in choices]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice:
        raise ConfigurationError(f"method {twice} is listed twice; remove one or change its parameters")
    metrics = tuple(document.get("metrics") or task.metrics)
    task.load()
    for name in metrics:
        CARDS[name]
    return Definition(
        name=document["name"],
        title=document["title"],
        description=document.get("description", ""),
        task=task,
        datasets=datasets,
        choices=tuple(sorted(choices, key=lambda choice: choice.label)),
        seeds=tuple(document["seeds"]),
        metrics=metrics,
        options=options,
        limits=document.get("limits", {}),
        resources=_unique(resource for granted in grants for resource in granted),
    )


def _grants(document: Mapping[str, Any], settings: Settings) -> tuple[list[tuple[Resource, ...]], bool]:
    """What every method is granted, once or in turn, and whether in turn."""
    if document.get("resources") and document.get("grants"):
        raise ConfigurationError(
            "resources grants to every method once, grants compares what is granted; give one of them"
        )
    apart = "grants" in document
    lists = document["grants"] if apart else [document.get("resources", [])]
    return [tuple(find_resource(settings, name) for name in sorted(names)) for names in lists], apart


def _unique(resources: Iterable[Resource]) -> tuple[Resource, ...]:
    return tuple(dict(sorted((resource.id, resource) for resource in resources)).values())


def _choices(
    item: str | Mapping[str, Any],
    settings: Settings,
    residuals: Sequence[str] | None,
    task: Task,
    shared: Mapping[str, Any],
) -> Iterator[MethodChoice]:
    """One choice for each combination of values in lists of parameters and options, and each residual."""
    name, given = (item, {}) if isinstance(item, str) else (item["name"], item.get("parameters", {}))
    method = methods.find(settings, name)
    own = {} if isinstance(item, str) else item.get("options", {})
    models = residuals if residuals and method.residual else [method.residual]
    for values, options, residual in product(_combined(given), _combined(own), models):
        yield MethodChoice(
            method=method,
            parameters=methods.resolve_parameters(method, values),
            other_residual=residual if residual != method.residual else None,
            options=task.chosen({**shared, **options}),
            own_options=tuple(sorted(options)),
        )


def _combined(given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every combination of the values in ``given``, of which each is one value or a list of them."""
    lists = [value if isinstance(value, list) else [value] for value in given.values()]
    for values in product(*lists):
        yield dict(zip(given, values, strict=True))
