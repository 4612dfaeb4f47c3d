"""leaderboard.json and execution.json: what was found, apart from how, where and when it was computed.

leaderboard.json holds no clock, duration, memory, host, path, image id, attempt, device or order of arrival,
so that two builds of the same inputs are equal byte for byte; execution.json holds just those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lanner import aggregate, schemas, store
from lanner.aggregate.comparing import parts_of
from lanner.aggregate.graded import step_of
from lanner.cards import CARDS
from lanner.leaderboard.campaign import Cell
from lanner.leaderboard.comparisons import comparisons
from lanner.leaderboard.definition import Definition
from lanner.leaderboard.digits import SIGNIFICANT_DIGITS, rounded
from lanner.leaderboard.outcomes import Scored, by_design, to_pool
from lanner.leaderboard.sanity import control_sanity
from lanner.leaderboard.series import series
from lanner.leaderboard.verdict import TRAINING_MEAN
from lanner.records import State, sha256_json
from lanner.runners.predictions import NOT_RERUN
from lanner.splits import pooled_as

FORMAT = "lanner-leaderboard/1"
AGGREGATION_VERSION = 4
"""Raised when unchanged per-condition scores would aggregate to other numbers."""


def leaderboard_document(
    definition: Definition, scored: Sequence[Scored], bounds: Mapping[str, pd.DataFrame]
) -> dict[str, Any]:
    """leaderboard.json's document, checked against its schema.

    ``bounds`` maps a split's sha256 to the per-condition scores of its bounds.
    """
    scored = sorted(scored, key=lambda item: item.position)
    groups = [(group, _summary(group, bounds)) for group in by_design(scored)]
    document = {
        "format": FORMAT,
        "name": definition.name,
        "title": definition.title,
        "description": definition.description,
        "task": definition.task.versioned,
        "seeds": list(definition.seeds),
        **definition.task.published(definition.options),
        **({"reference": definition.task.reference} if definition.task.reference != TRAINING_MEAN else {}),
        **({"resources": [item.describe() for item in definition.resources]} if definition.resources else {}),
        "metrics": [_metric(name, name in definition.task.primary) for name in definition.metrics],
        "datasets": _datasets(scored, bounds),
        "rows": [published_row(item, definition, bounds) for item in scored],
        "summaries": [summary for _, summary in groups],
        "comparisons": comparisons(groups, bounds, definition),
    }
    if definition.task.gates_controls:
        document["sanity"] = control_sanity(document["summaries"])
    found = list(series(document))
    document |= {"series": found} if found else {}
    result: dict[str, Any] = rounded(document)
    schemas.check(result, "results", "leaderboard.json")
    return result


def execution_document(scored: Sequence[Scored]) -> dict[str, Any]:
    """execution.json's document: what each row cost, where it ran, and from which image."""
    rows = []
    for item in sorted(scored, key=lambda item: item.position):
        folder, attempt = item.cell.plan.folder.path, item.record.get("attempt")
        resources = store.read_json(folder / f"attempt-{attempt}" / "resources.json") if attempt else None
        rows.append({"key": item.cell.plan.folder.key, "attempt": attempt, "resources": resources})
    return {"format": "lanner-execution/1", "rows": rows}


def published_row(item: Scored, definition: Definition, bounds: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """One of the document's ``rows``, numbers not yet rounded; ``bounds`` as in ``leaderboard_document``."""
    cell = item.cell
    split = cell.artefact.split
    own_options = {name: cell.choice.options[name] for name in cell.choice.own_options}
    stands_for = definition.seeds if cell.choice.method.deterministic else (cell.seed,)
    return {
        "dataset": cell.artefact.dataset.entry.id,
        "split": split.id,
        "split_sha256": split.sha256,
        "method": cell.choice.label,
        "identity": cell.choice.method.identity,
        "parameters": dict(cell.choice.parameters),
        **({"options": own_options} if own_options else {}),
        "seed": cell.seed,
        "stands_for": list(stands_for),
        "key": cell.plan.folder.key,
        "status": item.record["state"],
        "error_class": item.record["error_class"],
        "reason": item.record["message"] or None,
        "unsealed": cell.plan.spec["keyed"]["runner"] == "process",
        "trusted_process": cell.plan.spec["keyed"]["trust_process"],
        "residual": cell.choice.residual,
        **_question(cell),
        "training_data": list(cell.choice.method.document.get("training_data", [])),
        "coverage": _coverage(item),
        "scores": _scores([item], bounds) if item.succeeded else None,
        **_note(item),
    }


def _summary(group: Sequence[Scored], bounds: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """A method on a split design: its folds pooled, its seeds averaged.

    A fold that failed, or that the method would not answer, counts at the worse of chance and the negative
    bounds: abstaining never pays. Nothing is claimed where no fold succeeded.
    """
    first = group[0].cell
    states = {item.record["state"] for item in group}
    done = [item for item in group if item.succeeded]
    status = State.SUCCEEDED if done else (State.SKIPPED if states == {State.SKIPPED} else State.FAILED)
    reasons = [f"{item.cell.artefact.split.id}: {item.reason}" for item in group if not item.succeeded]
    return {
        "dataset": first.artefact.dataset.entry.id,
        "split": pooled_as(first.artefact.split),
        "design": dict(first.artefact.split.design),
        "method": first.choice.label,
        **_question(first),
        "status": status,
        "complete": len(done) == len(group),
        "reason": "; ".join(reasons) or None,
        "runs": [item.cell.plan.folder.key for item in group],
        "scores": _scores(group, bounds) if done else None,
        **_note(group[0]),
    }


def _question(cell: Cell) -> dict[str, Any]:
    """What was asked beyond the split's name: the task's options, what was granted, a series' step."""
    place = step_of(cell.artefact.split.id)
    return {
        "options": dict(cell.choice.options),
        "resources": [resource.id for resource in cell.choice.granted],
        "series": None if place is None else {"name": place[0], "step": place[1]},
    }


def _note(item: Scored) -> dict[str, str]:
    """What is said of predictions that were made elsewhere; they are in no comparison."""
    return {"note": NOT_RERUN} if item.cell.choice.method.predictions else {}


def _scores(group: Sequence[Scored], bounds: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Aggregated scores by ``metric[@variant]``: computed once, then read from LANNER_HOME."""
    path = _cached_scores(group)
    stored: dict[str, Any] | None = store.read_json(path)
    if stored is None:
        stored = rounded(_aggregated(group, bounds))
        store.write_json(path, stored)
    return stored


def _cached_scores(group: Sequence[Scored]) -> Path:
    """Named by all that decides the numbers: the runs, those without a prediction marked, and the metrics."""
    first = group[0].cell
    runs = sorted((item.cell.plan.folder.key, item.succeeded) for item in group)
    key = sha256_json(
        {
            "aggregation": AGGREGATION_VERSION,
            "metrics": first.artefact.question.hash,
            "residual": first.choice.residual,
            "runs": runs,
        }
    )
    return first.artefact.settings.home / "aggregates" / f"{key}.json"


def _aggregated(group: Sequence[Scored], bounds: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    task = group[0].cell.artefact.definition.task
    primary = [part for name in task.primary for part in parts_of(name)]
    return {
        f"{row['metric']}{row['variant']}": {**row, "better": CARDS[row["metric"]].better}
        for row in aggregate.aggregate(to_pool(group, bounds), primary)
    }


def _coverage(item: Scored) -> dict[str, Any]:
    """How many requests were answered and which were not; of a hidden split the names stay unsaid."""
    test = item.cell.artefact.split.test
    names = list(test)
    if item.succeeded:
        missing = set(item.record["unanswered"])
        width = max(4, len(str(len(test))))
        names = [name for number, name in enumerate(test) if f"r{number:0{width}d}" in missing]
    shown = [] if item.cell.artefact.hidden else names
    return {"requests": len(test), "answered": len(test) - len(names), "unanswered": shown}


def _metric(name: str, primary: bool) -> dict[str, Any]:
    card = CARDS[name]
    return {
        "id": card.id,
        "version": card.version,
        "card": card.sha256,
        "title": card.title,
        "level": card.level,
        "better": card.better,
        "best": card.best if np.isfinite(card.best) else None,
        "primary": primary,
    }


def _datasets(scored: Sequence[Scored], bounds: Mapping[str, pd.DataFrame]) -> list[dict[str, Any]]:
    datasets = []
    for name, group in groupby(scored, key=lambda item: item.cell.artefact.dataset.entry.id):
        items = list(group)
        dataset = items[0].cell.artefact.dataset
        document = dataset.entry.document
        facts = ("title", "organism", "assay", "perturbation_kind", "licence", "citation")
        splits = {item.cell.artefact.split.sha256: item.cell.artefact.split for item in items}
        datasets.append(
            {
                **dataset.identity,
                "id": name,
                "kind": dataset.entry.kind,
                "scale": dataset.entry.scale,
                **{fact: document.get(fact) for fact in facts},
                "splits": [
                    {
                        "id": split.id,
                        "sha256": split.sha256,
                        "design": dict(split.design),
                        "train": len(split.train),
                        "valid": len(split.valid),
                        "test": len(split.test),
                        "controls": dict(split.controls),
                        "bounds_sha256": frame_sha256(bounds[split.sha256]),
                    }
                    for split in sorted(splits.values(), key=lambda split: (split.id, split.sha256))
                ],
            }
        )
    return datasets


def frame_sha256(frame: pd.DataFrame) -> str:
    """Hash of a table's contents, numbers at SIGNIFICANT_DIGITS: frozen bounds are recognised by it."""
    columns = {
        name: [
            (None if not np.isfinite(value) else f"{value:.{SIGNIFICANT_DIGITS}g}")
            if isinstance(value, float)
            else (None if value is None else str(value))
            for value in frame[name].tolist()
        ]
        for name in sorted(frame.columns)
    }
    return sha256_json(columns)
