"""Which metrics can tell methods apart on which dataset and split: from the bounds alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from textwrap import wrap
from typing import Any

from lanner import aggregate, datasets, scores
from lanner.config import Settings
from lanner.leaderboard.campaign import Artefact, Monitor, Silence, artefacts
from lanner.leaderboard.definition import Definition
from lanner.records import sha256_json

DIGITS = 6
COLUMNS = ("dataset", "split", "metric", "verdict", "BDS", "lower bound", "DRF", "n")
INTRODUCTION = """
Made by `lanner leaderboard informative {}`, from the bounds alone. BDS is the share of held-out
conditions in which a technical duplicate beats every negative bound, averaged over 20 halvings; a
metric is informative where the exact 95 % lower bound of that share exceeds one half. DRF is the
share of the way from the best negative bound to a perfect score that the duplicate goes. n counts
the conditions that the verdict rests on.
"""


def informative(definition: Definition, settings: Settings, monitor: Monitor | None = None) -> dict[str, Any]:
    """The verdict on every primary metric of every dataset and split design of a leaderboard.

    Returns
    -------
    JSON-ready: leaderboard, task and rows of dataset, split (design id), design_sha256, metric,
    informative (informative | not informative | not assessable), reason (of the last), bds (share of
    conditions where the technical duplicate beats every negative bound, averaged over halvings), bds_lower
    (its exact 95 % lower bound), drf and n (conditions it rests on).
    """
    monitor = monitor or Silence()
    rows: list[dict[str, Any]] = []
    for name in sorted(definition.datasets):
        dataset = datasets.load(datasets.find_entry(settings, name), settings, monitor.progress)
        found = sorted(artefacts(definition, settings, dataset, monitor), key=_design)
        for _, group in groupby(found, key=_design):
            rows += _rows(list(group), definition)
    return {"leaderboard": definition.name, "task": definition.task.versioned, "rows": rows}


def _design(artefact: Artefact) -> tuple[str, str]:
    return artefact.split.design["id"], sha256_json(artefact.split.design)


def _rows(group: Sequence[Artefact], definition: Definition) -> Iterator[dict[str, Any]]:
    runs = []
    for artefact in group:
        bounds = scores.score_bounds(artefact.truth, definition.task, definition.metrics)
        bounds = bounds[bounds["variant"] == ""].reset_index(drop=True)
        frame = aggregate.unscored(bounds, "no method is run")
        runs.append(aggregate.Scored(scores=frame, bounds=bounds, split=artefact.split.sha256, seed=0))
    design, design_sha256 = _design(group[0])
    by_metric = {row["metric"]: row for row in aggregate.aggregate(runs)}
    for metric in definition.task.primary:
        row = by_metric[metric]
        reason = _reason(row)
        yield {
            "dataset": group[0].dataset.entry.id,
            "split": design,
            "design_sha256": design_sha256,
            "metric": metric,
            "informative": "not assessable" if reason else row["informative"],
            "reason": reason,
            "bds": _number(row["bds"]),
            "bds_lower": _number(row["bds_lower"]),
            "drf": _number(row["drf"]),
            "n": row["n_bds"],
        }


def _reason(row: Mapping[str, Any]) -> str | None:
    """Why there is no verdict."""
    if row["status"] == "not_applicable":
        return "the metric needs cells and the dataset has profiles"
    if row["informative"] == "no positive bound":
        return "no measured halves"
    if row["informative"] == "not assessable":
        return f"{row['n_bds']} of the 6 conditions it takes"
    return None


def _number(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """A row as text, in the order of COLUMNS."""
    verdict = f"{row['informative']} ({row['reason']})" if row["reason"] else row["informative"]
    numbers = ("-" if row[key] is None else f"{row[key]:.2f}" for key in ("bds", "bds_lower", "drf"))
    return row["dataset"], row["split"], row["metric"], verdict, *numbers, str(row["n"])


def markdown(document: Mapping[str, Any]) -> str:
    """The table as a page of the reference."""
    lines = [
        "# What each dataset can tell",
        "",
        *wrap(INTRODUCTION.format(document["leaderboard"]).strip(), 110),
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|" + " --- |" * len(COLUMNS),
    ]
    lines += ["| " + " | ".join(cells(row)) + " |" for row in document["rows"]]
    lines += [""]
    for place, group in groupby(document["rows"], key=lambda row: (row["dataset"], row["split"])):
        if not any(row["informative"] == "informative" for row in group):
            lines += [
                f"No primary metric is informative on {place[0]}, {place[1]}: it cannot tell methods apart.",
                "",
            ]
    return "\n".join(lines).rstrip() + "\n"
