"""What pages are made of: leaderboard.json, and from the stored runs what stands behind its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lanner.cards import CARDS
from lanner.leaderboard.results import execution_document
from lanner.records import printable
from lanner.scores import stored_bound_details, stored_details
from lanner.site.conditions import Conditions, conditions
from lanner.site.naming import run_name
from lanner.store import read_json

if TYPE_CHECKING:
    import pandas as pd

    from lanner.leaderboard.outcomes import Scored

LOG_LINES = 40
LOG_BYTES = 20_000


@dataclass(frozen=True, kw_only=True)
class Run:
    """What is stored of one row's run; ``spec`` and ``log`` are None for a hidden split, or where nothing is.

    ``resources`` is what the attempt cost and which image it ran from (resources.json).
    """

    record: Mapping[str, Any] | None = None
    spec: Mapping[str, Any] | None = None
    log: str | None = None
    resources: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Material:
    """Everything pages are rendered from; only ``document`` has to be there.

    ``methods`` maps a row's method label to its manifest, with its ``readme``; ``datasets`` an id to its
    entry; ``metrics`` an id to its card; ``runs`` a row's page name to its ``Run``; ``conditions`` holds
    per-condition values; ``scores`` is the table behind scores.parquet; ``ended`` is when the last run ended
    (ISO 8601, UTC). ``details`` maps a run's page name to what its task said of the prediction beyond scores,
    ``bound_details`` a split's sha256 to that of its bounds; tasks that say nothing have none.
    """

    document: Mapping[str, Any]
    execution: Mapping[str, Any] | None = None
    scores: pd.DataFrame | None = None
    conditions: Sequence[Conditions] = ()
    methods: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    datasets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    runs: Mapping[str, Run] = field(default_factory=dict)
    details: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    bound_details: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    ended: str | None = None

    @property
    def primary(self) -> list[str]:
        """Ids of the primary metrics."""
        return [metric["id"] for metric in self.document["metrics"] if metric["primary"]]

    def run(self, row: Mapping[str, Any]) -> Run:
        """What is stored of a row's run; empty where nothing is."""
        return self.runs.get(run_name(row), Run())

    def rows_of(self, summary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The rows a summary pools."""
        found = (self._rows.get((key, summary["method"])) for key in summary["runs"])
        return [row for row in found if row is not None]

    @cached_property
    def _rows(self) -> dict[tuple[str, str], Mapping[str, Any]]:
        return {(row["key"], row["method"]): row for row in self.document["rows"]}


def gather(
    document: Mapping[str, Any], scored: Sequence[Scored], bounds: Mapping[str, pd.DataFrame]
) -> Material:
    """The material of a board that was just built; ``bounds`` as in ``leaderboard_document``."""
    execution = execution_document(scored)
    costs = {row["key"]: row["resources"] or {} for row in execution["rows"]}
    rows = {(row["key"], row["method"]): row for row in document["rows"]}
    runs, methods, datasets = {}, {}, {}
    details: dict[str, Mapping[str, Any]] = {}
    for item in scored:
        cell = item.cell
        row = rows[cell.plan.folder.key, cell.choice.label]
        runs[run_name(row)] = _run(item, costs.get(row["key"], {}))
        methods[cell.choice.label] = {
            **cell.choice.method.document,
            "readme": _readme(cell.choice.method.folder),
        }
        datasets[cell.artefact.dataset.entry.id] = cell.artefact.dataset.entry.document
        if item.succeeded and not cell.artefact.hidden:
            said = stored_details(cell.plan.folder, cell.artefact.question, cell.choice.other_residual)
            details |= {run_name(row): said} if said else {}
    return Material(
        document=document,
        execution=execution,
        scores=scores_table(scored),
        conditions=conditions(scored, bounds),
        methods=methods,
        datasets=datasets,
        metrics=cards(document),
        runs=runs,
        details=details,
        bound_details=_bound_details(scored),
        ended=_ended(scored),
    )


def _bound_details(scored: Sequence[Scored]) -> dict[str, Mapping[str, Any]]:
    artefacts = {item.cell.artefact.split.sha256: item.cell.artefact for item in scored}
    found = {
        sha256: stored_bound_details(artefact.settings.home, artefact.split, artefact.question)
        for sha256, artefact in artefacts.items()
        if not artefact.hidden
    }
    return {sha256: said for sha256, said in found.items() if said}


def _ended(scored: Sequence[Scored]) -> str | None:
    """When the last of these runs ended, by the status of its attempt; None where none says so."""
    attempts = (item.cell.plan.folder.path / f"attempt-{item.record.get('attempt')}" for item in scored)
    found = [status for status in (read_json(attempt / "status.json") for attempt in attempts) if status]
    last = max((float(status["since"]) for status in found), default=None)
    return None if last is None else datetime.fromtimestamp(last, UTC).isoformat(timespec="seconds")


def cards(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The cards of a document's metrics, of those this installation has in the same version."""
    found: dict[str, Mapping[str, Any]] = {}
    for item in document["metrics"]:
        if item["id"] in CARDS and CARDS[item["id"]].sha256 == item["card"]:
            found[item["id"]] = {**asdict(CARDS[item["id"]]), "sha256": item["card"]}
    return found


def scores_table(scored: Sequence[Scored]) -> pd.DataFrame | None:
    """Every per-condition score with the run it belongs to, one row per value; none of a hidden split."""
    import pandas as pd

    frames = []
    for item in scored:
        if item.frame is not None and not item.cell.artefact.hidden:
            keys = {
                "dataset": item.cell.artefact.dataset.entry.id,
                "split": item.cell.artefact.split.id,
                "method": item.cell.choice.label,
                "seed": item.cell.seed,
                "key": item.cell.plan.folder.key,
            }
            frames.append(item.frame.assign(**keys))
    return pd.concat(frames, ignore_index=True) if frames else None


def _run(item: Scored, resources: Mapping[str, Any]) -> Run:
    hidden, folder = item.cell.artefact.hidden, item.cell.plan.folder.path
    record = {name: value for name, value in item.record.items() if name != "keyed"}
    if hidden:
        return Run(record=record, resources=resources)
    attempt = folder / f"attempt-{item.record.get('attempt')}"
    return Run(record=record, spec=item.cell.plan.spec, log=_log_tail(attempt), resources=resources)


def _log_tail(attempt: Path) -> str | None:
    """The last lines a method printed, errors last, made printable."""
    parts = []
    for name in ("stdout.log", "stderr.log"):
        path = attempt / name
        if path.is_file() and path.stat().st_size:
            with path.open("rb") as stream:
                stream.seek(max(0, path.stat().st_size - LOG_BYTES))
                text = stream.read().decode(errors="replace")
            parts.append(f"{name}:\n" + "\n".join(text.splitlines()[-LOG_LINES:]))
    return printable("\n\n".join(parts), keep="\n") if parts else None


def _readme(folder: Path | None) -> str | None:
    path = folder / "README.md" if folder else None
    return path.read_text(encoding="utf-8", errors="replace") if path and path.is_file() else None


def costs(material: Material, rows: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """What rows cost together: seconds of wall clock and CPU summed, the largest memory and image size."""

    def values(name: str) -> list[float]:
        found = [material.run(row).resources.get(name) for row in rows]
        return [float(value) for value in found if value is not None]

    return {
        "wall_seconds": sum(values("wall_seconds")) if values("wall_seconds") else None,
        "cpu_seconds": sum(values("cpu_seconds")) if values("cpu_seconds") else None,
        "peak_memory_mb": max(values("peak_memory_mb"), default=None),
        "image_mb": max(values("image_mb"), default=None),
    }
