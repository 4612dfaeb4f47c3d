"""Run a submission again, and say of each run whether it gives what was submitted.

Everything is asked for anew in a LANNER_HOME of its own: datasets and sealed truths are the verifier's, the
predictions and their scores are made again, and then the two documents are compared.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from lanner import methods, schemas
from lanner.config import Settings
from lanner.errors import ConfigurationError
from lanner.leaderboard.building import build
from lanner.leaderboard.campaign import Monitor
from lanner.leaderboard.definition import define
from lanner.owner import token
from lanner.submission.document import submission_of

TOLERANCE = 1e-3
"""How far a score may move, of the larger of the two, to be called the same method on another machine."""
NOISE = 1e-12
"""Published digits end here."""
SHARED = ("data", "truth", "staged", "splits", "datasets", "methods", "resources")
"""What of the verifier's LANNER_HOME says nothing of any method's results."""
SHOWN = 3


def verify(
    document: Mapping[str, Any],
    settings: Settings,
    *,
    runner: str,
    jobs: int,
    source: str | None = None,
    trust_process: bool = False,
    tolerance: float = TOLERANCE,
    monitor: Monitor | None = None,
) -> dict[str, Any]:
    """Do a submission's runs again, whatever this LANNER_HOME has of them, and compare.

    Parameters
    ----------
    document
        What ``read`` returned.
    source
        Name or folder of the method, where it is not found by the name and identity in the submission.
    tolerance
        Largest relative difference of a score that still counts as within tolerance.

    Returns
    -------
    JSON-ready: method, identity, verified (bool: no row is different), note (of predictions, or None), rows
    ([{dataset, split, seed, verdict (same | within tolerance | different), prediction (same | other), largest
    (relative difference or None), where ([sentence])}]).

    Raises
    ------
    ConfigurationError
        The method, dataset or a metric of the submission is not to be had here as it was.
    """
    with _home(settings) as home, tempfile.TemporaryDirectory(prefix="lanner-verify-") as temporary:
        own = replace(settings, home=home)
        method = _method(document, own, source, Path(temporary))
        asked = {
            **document["asked"],
            "name": "verification",
            "title": "Verification",
            "methods": [{"name": str(method.folder), "parameters": document["method"]["parameters"]}],
        }
        schemas.check(asked, "leaderboard", "the submission's runs")
        definition = define(asked, own)
        if definition.task.versioned != document["task"]:
            raise ConfigurationError(
                f"the submission is of {document['task']}, and this Lanner asks {definition.task.versioned}; "
                f"verify it with Lanner {document['lanner']}"
            )
        results = build(
            definition, own, runner=runner, jobs=jobs, trust_process=trust_process, monitor=monitor
        )
        changed = [
            item["id"]
            for item in results.document["metrics"]
            if document["metrics"].get(item["id"]) != item["card"]
        ]
        if changed:
            raise ConfigurationError(
                f"the metric {changed[0]} is another one here; verify with Lanner {document['lanner']}"
            )
        again = _again(asked, results, definition.choices[0].label)
    rows = [_row(run, again, tolerance) for run in document["runs"]]
    return {
        "method": method.name,
        "identity": method.identity,
        "verified": all(row["verdict"] != "different" for row in rows),
        "note": document["method"]["note"],
        "rows": rows,
    }


@contextmanager
def _home(settings: Settings) -> Iterator[Path]:
    """A LANNER_HOME for one verification, on the same disk, with the verifier's data and sealed truths."""
    (settings.home / "data").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".verify.{token()}.", suffix=".partial", dir=settings.home
    ) as temporary:
        for name in SHARED:
            if (settings.home / name).is_dir():
                (Path(temporary) / name).symlink_to(settings.home / name)
        yield Path(temporary)


def _method(
    document: Mapping[str, Any], settings: Settings, source: str | None, temporary: Path
) -> methods.Method:
    """The very method that was submitted: by its folder or name here, or by its image's digest alone."""
    submitted = document["method"]
    name, identity = submitted["name"], submitted["identity"]
    known = settings.entries("methods", methods.MANIFEST)
    if source is None and name not in known and identity.startswith("image:"):
        folder = temporary / name
        folder.mkdir()
        (folder / methods.MANIFEST).write_text(schemas.dump_yaml(submitted["manifest"]), encoding="utf-8")
        return methods.load(folder)
    if source is None and name not in known:
        raise ConfigurationError(
            f"the submission is of {name} ({identity}), which is not here; ask its author for the folder, "
            "and give it with --method"
        )
    method = methods.find(settings, source if source is not None else name)
    if method.identity != identity:
        raise ConfigurationError(
            f"{method.folder} is {method.identity}, and the submission is of {identity}; ask its author for "
            "that version, and give it with --method"
        )
    return method


def _again(asked: Mapping[str, Any], results: Any, label: str) -> dict[tuple[str, int], Any]:
    """The same runs by split and seed; a run without scores is its reason."""
    found: dict[tuple[str, int], Any] = {
        (item.cell.artefact.split.sha256, item.cell.seed): f"the run ended: {item.reason}"
        for item in results.scored
        if not item.succeeded
    }
    succeeded = replace(results, scored=tuple(item for item in results.scored if item.succeeded))
    if succeeded.scored:
        document = submission_of(asked, succeeded, label)
        found |= {(run["split"]["sha256"], run["seed"]): run for run in document["runs"]}
    return found


def _row(run: Mapping[str, Any], again: Mapping[tuple[str, int], Any], tolerance: float) -> dict[str, Any]:
    row = {"dataset": run["dataset"]["id"], "split": run["split"]["id"], "seed": run["seed"]}
    other = again.get((run["split"]["sha256"], run["seed"]))
    if other is None or isinstance(other, str):
        content = run["dataset"]["content"][:12]
        why = other or f"no split here has its hash: the dataset is not the one submitted (content {content})"
        return {**row, "verdict": "different", "prediction": "other", "largest": None, "where": [why]}
    moved = sorted(_moved(run["scores"], other["scores"]), key=lambda item: -item[0])
    largest = moved[0][0] if moved else 0.0
    verdict = "same" if largest <= NOISE else "within tolerance" if largest <= tolerance else "different"
    same = run["prediction"]["sha256"] == other["prediction"]["sha256"]
    return {
        **row,
        "verdict": verdict,
        "prediction": "same" if same else "other",
        "largest": largest if largest != float("inf") else None,
        "where": [text for size, text in moved[:SHOWN] if size > NOISE],
    }


def _moved(submitted: Mapping[str, Any], again: Mapping[str, Any]) -> Iterator[tuple[float, str]]:
    """Relative difference of every number, and what moved from what to what."""
    for metric in sorted({*submitted, *again}):
        if metric not in submitted or metric not in again:
            yield float("inf"), f"{metric}: only {'submitted' if metric in submitted else 'here'}"
            continue
        first, second = submitted[metric], again[metric]
        for field in ("value", "skill"):
            yield _difference(f"{metric} {field}", first[field], second[field])
        conditions = {**first["conditions"], **second["conditions"]}
        for condition in conditions:
            here, there = (item["conditions"].get(condition) for item in (first, second))
            yield _difference(f"{metric} of {condition}", here, there)


def _difference(what: str, first: float | None, second: float | None) -> tuple[float, str]:
    text = f"{what}: {_number(first)} submitted, {_number(second)} here"
    if first is None or second is None:
        return (0.0 if first is second else float("inf")), text
    scale = max(abs(first), abs(second))
    return (abs(first - second) / scale if scale > NOISE else 0.0), text


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"
