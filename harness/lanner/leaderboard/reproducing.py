"""Do a published run again and compare: the same, within tolerance, or different, and where."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.error import URLError

from lanner import __version__, datasets, execution, methods, pipeline
from lanner.cards import CARDS
from lanner.config import Settings
from lanner.errors import ConfigurationError, InfrastructureError
from lanner.execution.local import LocalEngine
from lanner.leaderboard.campaign import Artefact, Cell, Monitor, Silence
from lanner.leaderboard.definition import Definition, MethodChoice
from lanner.records import Limits, Split
from lanner.resources import find as find_resource
from lanner.tasks import TASKS

FORMAT = "lanner-published-run/1"
TOLERANCE = 1e-3
"""Relative difference of two numbers that still counts as one result: other CPUs round otherwise."""
MAX_BYTES = 64 << 20
COMPARED = ("value", "skill", "n", "n_answered", "n_undefined")


class Verdict(StrEnum):
    """What doing a run again came to."""

    SAME = "same"
    WITHIN = "within tolerance"
    DIFFERENT = "different"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One fact or number that is not the same; ``relative`` is None where it is no number."""

    what: str
    published: Any
    here: Any
    relative: float | None


@dataclass(frozen=True, kw_only=True)
class Report:
    """The verdict, every difference (largest first), and what differs in how the run was made (``notes``)."""

    verdict: Verdict
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]
    compared: int


def published_run(
    document: Mapping[str, Any],
    row: Mapping[str, Any],
    spec: Mapping[str, Any],
    record: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """A run's page as a file: what is needed to do it again, and what it gave; no paths of a machine."""
    return {
        "format": FORMAT,
        "lanner": __version__,
        "leaderboard": document["name"],
        "task": spec["task"],
        "key": spec["key"],
        "keyed": spec["keyed"],
        "split": spec["split"],
        "method": spec["method"]["name"],
        "metrics": [{"id": metric["id"], "card": metric["card"]} for metric in document["metrics"]],
        "prediction": (record or {}).get("prediction"),
        "row": row,
    }


def read_published(source: str) -> dict[str, Any]:
    """A published run by URL (http, https) or file; raises ConfigurationError or InfrastructureError."""
    if source.startswith(("http://", "https://")):
        try:
            with urllib.request.urlopen(source, timeout=60) as answer:
                data = answer.read(MAX_BYTES + 1)
        except (URLError, TimeoutError) as error:
            raise InfrastructureError(f"{source} cannot be fetched ({error}); download it by hand") from None
        if len(data) > MAX_BYTES:
            raise ConfigurationError(f"{source} is larger than {MAX_BYTES >> 20} MiB; it is no run's file")
    else:
        path = Path(source)
        if not path.is_file():
            raise ConfigurationError(f"no file {source}; give the .json that a run's page offers, or its URL")
        data = path.read_bytes()
    try:
        document = json.loads(data)
    except ValueError:
        document = None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ConfigurationError(f"{source} is not a published run; take the .json that a run's page offers")
    return document


def reproduce(
    published: Mapping[str, Any],
    settings: Settings,
    *,
    method: str | None = None,
    tolerance: float = TOLERANCE,
    monitor: Monitor | None = None,
) -> Report:
    """Run it again in a LANNER_HOME of its own below ``reproductions/``, score it, and compare.

    ``method`` is the folder or name to use where the published name is not known here; it has to have the
    published identity. Raises ConfigurationError where dataset, split or method are not those published.
    """
    home = _fresh_home(settings, published["key"])
    own = replace(settings, home=home)
    cell, notes = _cell(published, own, method or published["method"], monitor or Silence())
    from lanner.leaderboard.building import outcome
    from lanner.leaderboard.digits import rounded
    from lanner.leaderboard.results import published_row
    from lanner.leaderboard.scoring import bounds_of

    _ = cell.artefact.staged
    execution.complete([cell.plan], own, LocalEngine(own, jobs=1))
    item = outcome(cell, cell.artefact.definition)
    bounds = {cell.artefact.split.sha256: bounds_of(cell, cell.artefact.definition)}
    row = rounded(published_row(item, cell.artefact.definition, bounds))
    found = sorted(
        compare(published["row"], row), key=lambda d: -1.0 if d.relative is None else -1 / (1 + d.relative)
    )
    prediction, ours = published["prediction"], item.record.get("prediction")
    if prediction and ours and prediction["sha256"] != ours["sha256"]:
        notes.append("prediction.h5ad has other bytes than the published one")
    return Report(
        verdict=verdict(found, tolerance),
        differences=tuple(found),
        notes=tuple(notes),
        compared=sum(name in score for score in (row["scores"] or {}).values() for name in COMPARED),
    )


def verdict(differences: list[Difference], tolerance: float) -> Verdict:
    """Same where nothing differs, different where something beyond ``tolerance`` (relative) does."""
    if not differences:
        return Verdict.SAME
    close = all(item.relative is not None and item.relative <= tolerance for item in differences)
    return Verdict.WITHIN if close else Verdict.DIFFERENT


def compare(published: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[Difference]:
    """Every difference between two rows: their state, and the numbers of each metric and variant."""
    for name in ("status", "error_class", "coverage"):
        if published[name] != here[name]:
            yield Difference(what=name, published=published[name], here=here[name], relative=None)
    old, new = published["scores"] or {}, here["scores"] or {}
    for metric in sorted({*old, *new}):
        for name in COMPARED:
            was, now = old.get(metric, {}).get(name), new.get(metric, {}).get(name)
            if was != now:
                yield Difference(
                    what=f"{metric} {name}", published=was, here=now, relative=_relative(name, was, now)
                )


def _relative(name: str, was: Any, now: Any) -> float | None:
    """|a - b| over the larger of both (for a skill, of 1 too); None unless both are numbers."""
    if name.startswith("n") or was is None or now is None:
        return None
    scale = max(abs(was), abs(now), 1.0 if name == "skill" else 0.0)
    return abs(was - now) / scale if scale else 0.0


def _fresh_home(settings: Settings, key: str) -> Path:
    """An empty home that shares the datasets of this one, so that nothing cached stands for the run."""
    if not key.isalnum():
        raise ConfigurationError(f"{key!r} is no run's key; the file was changed")
    home = settings.home / "reproductions" / key[:12]
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (settings.home / "data").mkdir(exist_ok=True)
    (home / "data").symlink_to(settings.home / "data")
    return home


def _cell(
    published: Mapping[str, Any], settings: Settings, name: str, monitor: Monitor
) -> tuple[Cell, list[str]]:
    keyed, task = published["keyed"], TASKS[published["task"]]
    dataset = datasets.load(datasets.find_entry(settings, keyed["dataset"]["id"]), settings, monitor.progress)
    if dataset.content != keyed["dataset"]["content"]:
        raise ConfigurationError(
            f"dataset {dataset.entry.id} has the content {dataset.content[:12]} here and "
            f"{keyed['dataset']['content'][:12]} in the published run; use the Lanner it was made with "
            f"({published['lanner']})"
        )
    split = Split.from_json(published["split"])
    if split.sha256 != keyed["split"]:
        raise ConfigurationError(f"the split in the file is not the one of its key ({keyed['split'][:12]})")
    method = methods.find(settings, name)
    if method.identity != keyed["method"]["identity"]:
        raise ConfigurationError(
            f"method {method.name} is {method.identity[:19]} here and "
            f"{keyed['method']['identity'][:19]} in the published run; give that with --method FOLDER"
        )
    granted = tuple(find_resource(settings, resource) for resource in sorted(keyed["resources"]))
    residual = published["row"]["residual"]
    task.load()
    options = task.chosen(published["row"]["options"])
    choice = MethodChoice(
        method=method,
        parameters=keyed["parameters"],
        other_residual=residual if residual != method.residual else None,
        options=options,
        granted=granted,
    )
    metrics = tuple(item["id"] for item in published["metrics"])
    definition = Definition(
        name="reproduce",
        title="Reproduce",
        description="",
        task=task,
        datasets={},
        choices=(choice,),
        seeds=tuple(published["row"]["stands_for"]),
        metrics=metrics,
        options=options,
        resources=granted,
    )
    artefact = Artefact(
        dataset=dataset, split=split, definition=definition, settings=settings, monitor=monitor
    )
    plan = pipeline.plan(
        settings,
        dataset=dataset.identity,
        split=split,
        task=task,
        method=method,
        parameters=keyed["parameters"],
        seed=keyed["seed"],
        limits=Limits(**keyed["limits"]),
        runner=keyed["runner"],
        options=options,
        granted=granted,
        trust_process=keyed["trust_process"],
    )
    return Cell(artefact=artefact, choice=choice, seed=keyed["seed"], plan=plan, skip=None), [
        *_otherwise(keyed, plan.spec["keyed"]),
        *_other_cards(published),
    ]


def _otherwise(published: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*published, *here}):
        if published.get(name) != here.get(name):
            yield f"{name} is {here.get(name)} here and was {published.get(name)}"


def _other_cards(published: Mapping[str, Any]) -> Iterator[str]:
    for item in published["metrics"]:
        if CARDS[item["id"]].sha256 != item["card"]:
            yield f"metric {item['id']} is defined otherwise here"
