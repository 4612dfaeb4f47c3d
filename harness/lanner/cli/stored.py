"""Find a stored run, its sealed truth and what was staged for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lanner import store
from lanner.config import Settings
from lanner.errors import ConfigurationError
from lanner.records import Split

if TYPE_CHECKING:
    from lanner.staging import Staged
    from lanner.tasks import Task
    from lanner.truth import Truth


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """A run that succeeded."""

    folder: store.RunFolder
    record: dict[str, Any]
    task: Task
    truth: Truth
    staged: Staged


def stored_run(settings: Settings, name: str) -> StoredRun:
    """The run whose key starts with ``name``, or whose folder it is; ConfigurationError for a failed one."""
    from lanner import staging
    from lanner.tasks import TASKS

    path, record = store.find_run(settings.home, name)
    if record["state"] != "succeeded":
        raise ConfigurationError(
            f"run {record['key'][:12]} {record['state']} ({record['error_class']}: {record['message']}); "
            "there is no prediction to score"
        )
    spec = store.read_json(path / f"attempt-{record['attempt']}" / "spec.json")
    split = Split.from_json(spec["split"])
    task = TASKS[spec["task"]]
    truth = sealed_truth(settings, split.sha256, task)
    staged = staging.open_shared(settings.home, split, task, spec.get("options"))
    if staged is None:
        raise ConfigurationError(f"the input of {split.id} is no longer staged; build its leaderboard again")
    folder = store.RunFolder(path=path, key=record["key"])
    return StoredRun(folder=folder, record=record, task=task, truth=truth, staged=staged)


def sealed_truth(settings: Settings, sha256: str, task: Task) -> Truth:
    """The sealed truth of a split, rebuilt from dataset and saved split where it is absent."""
    from lanner import datasets

    saved = store.read_json(settings.home / "splits" / f"{sha256}.json")
    if saved is None:
        raise ConfigurationError(
            f"the split {sha256[:12]} was not staged in {settings.home}; set LANNER_HOME to where it was"
        )
    split = Split.from_json(saved)
    dataset = datasets.load(datasets.find_entry(settings, split.dataset["id"]), settings)
    if dataset.content != split.dataset["content"]:
        raise ConfigurationError(
            f"dataset {dataset.entry.id} has changed since it was staged; stage it again"
        )
    return task.seal(dataset, split, settings.home)
