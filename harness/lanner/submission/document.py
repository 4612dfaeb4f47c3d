"""What a submission says, and reading it back: checked against its schema and its own hash."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lanner import schemas, store
from lanner.errors import ConfigurationError
from lanner.leaderboard.building import Results
from lanner.leaderboard.digits import rounded
from lanner.leaderboard.outcomes import Scored
from lanner.records import sha256_json
from lanner.runners.predictions import NOT_RERUN

FORMAT = "lanner-submission/1"
LARGEST_BYTES = 256 << 20
PROVENANCE = ("runner", "image_id", "digests", "engine_name", "engine", "unsealed", "trusted", "not_rerun")
"""What of an attempt's resources.json says how it was run; the rest is cost."""


def submission_of(asked: Mapping[str, Any], results: Results, label: str) -> dict[str, Any]:
    """The submission of one method's runs.

    Parameters
    ----------
    asked
        What was asked for, as ``leaderboard.definition.define`` takes it: ``verify`` asks for the same.
    results
        What was built of it.
    label
        The method's label in its rows.

    Raises
    ------
    ConfigurationError
        A run of the method has no scores: there is nothing that could be verified.
    """
    mine = sorted(
        (item for item in results.scored if item.cell.choice.label == label), key=lambda item: item.position
    )
    failed = next((item for item in mine if not item.succeeded), None)
    if failed is not None or not mine:
        where = failed.cell.artefact.split.id if failed else "no split"
        raise ConfigurationError(
            f"{label} has no scores on {where} ({failed.reason if failed else 'not run'}); "
            "submit with --split those it answers"
        )
    method = mine[0].cell.choice.method
    rows = {row["key"]: row for row in results.document["rows"] if row["method"] == label}
    items = (name for name in ("task", "datasets", "seeds", "metrics", "limits", "reveal", "resources"))
    document: dict[str, Any] = {
        "format": FORMAT,
        "lanner": version("lanner"),
        "method": {
            "name": method.name,
            "identity": method.identity,
            "manifest": dict(method.document),
            "parameters": dict(mine[0].cell.choice.parameters),
            "note": NOT_RERUN if method.predictions else None,
        },
        "task": results.document["task"],
        "asked": {name: asked[name] for name in items if name in asked},
        "metrics": {item["id"]: item["card"] for item in results.document["metrics"]},
        "runs": [_run(item, rows[item.cell.plan.folder.key]) for item in mine],
        "provenance": {"python": platform.python_version(), "machine": platform.machine()},
    }
    document = json.loads(json.dumps(rounded(document)))
    document["sha256"] = sha256_json(document)
    schemas.check(document, "submission", "the submission")
    return document


def write(path: Path, document: Mapping[str, Any]) -> None:
    """Write a submission whole."""
    store.write_json(path, document)


def read(path: Path) -> dict[str, Any]:
    """Read a submission from anyone.

    Raises
    ------
    ConfigurationError
        It is no submission, does not fit its schema, or was changed after it was written.
    """
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise ConfigurationError(f"{path} has more than {LARGEST_BYTES >> 20} MB; it is no submission")
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"{path} cannot be read as JSON ({error}); give the file `lanner run --submit` wrote"
        ) from None
    schemas.check(document, "submission", str(path))
    claimed = document["sha256"]
    if sha256_json({key: value for key, value in document.items() if key != "sha256"}) != claimed:
        raise ConfigurationError(f"{path} was changed after it was written; ask for the file as it was")
    assert isinstance(document, dict)
    return document


def _run(item: Scored, row: Mapping[str, Any]) -> dict[str, Any]:
    cell, record = item.cell, item.record
    keyed, split = cell.plan.spec["keyed"], cell.artefact.split
    attempt = cell.plan.folder.path / f"attempt-{record['attempt']}"
    costs = store.read_json(attempt / "resources.json") or {}
    return {
        "dataset": dict(keyed["dataset"]),
        "split": {"id": split.id, "sha256": split.sha256, "design": dict(split.design)},
        "seed": cell.seed,
        "key": cell.plan.folder.key,
        "limits": dict(keyed["limits"]),
        "prediction": record["prediction"],
        "residual": record["residual"],
        "unanswered": len(record["unanswered"]),
        "scores": {
            name: {
                **{field: score[field] for field in ("value", "skill", "skill_interval", "n")},
                "conditions": _conditions(item, name),
            }
            for name, score in row["scores"].items()
            if score["variant"] == ""
        },
        "provenance": {name: costs[name] for name in PROVENANCE if name in costs},
    }


def _conditions(item: Scored, metric: str) -> dict[str, float | None]:
    """The method's own value on each condition; None where it has none."""
    assert item.frame is not None, "the run succeeded"
    rows = item.frame[(item.frame["metric"] == metric) & (item.frame["variant"] == "")]
    return {
        str(condition): float(value) if math.isfinite(value) else None
        for condition, value in zip(rows["condition"], rows["value"], strict=True)
    }
