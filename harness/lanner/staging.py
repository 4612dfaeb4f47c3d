"""Dataset + split -> the input folder a method sees; always newly written files, from an allow-list only.

The allow-list: X, counts, the declared obs columns of train rows, gene names. Cell names are numbered anew
(barcodes of public data could be looked up), nothing of ``uns``, ``obsm``, ``varm`` ... exists to be copied.
The part of the folder that all methods share is written once per split and linked into each attempt.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lanner import schemas
from lanner.errors import ConfigurationError, InfrastructureError
from lanner.matrix import Matrix
from lanner.owner import token
from lanner.records import COMBINATION, CONTROL, Limits, Split, sha256_json
from lanner.store import disk_error, read_json, write_json
from lanner.tasks import TASKS, Task

if TYPE_CHECKING:
    from lanner.datasets import Dataset
    from lanner.truth import Truth

STAGING_VERSION = 2
"""Part of every run's key: raised when the same dataset and split would stage other bytes."""


@dataclass(frozen=True, kw_only=True)
class Staged:
    """The shared part of a split's input: ``folder`` holds train.h5ad, the task's files and shared.json."""

    folder: Path
    document: Mapping[str, Any]
    task: Task

    @property
    def request_ids(self) -> list[str]:
        """Ids of the requests, in order; none where the task asks one question of all data."""
        return list(self.document["request_ids"])

    @property
    def genes(self) -> list[str]:
        """Names of the train genes, in order."""
        return list(self.document["genes"])


def shared_folder(home: Path, split: Split, task: Task, options: Mapping[str, Any] | None = None) -> Path:
    """Where the shared part of a split's input is cached."""
    identity = {"staging": STAGING_VERSION, "split": split.sha256, "task": task.versioned}
    return home / "staged" / sha256_json({**identity, **task.shared_by(task.chosen(options))})[:16]


def open_shared(
    home: Path, split: Split, task: Task, options: Mapping[str, Any] | None = None
) -> Staged | None:
    """The shared part of a split's input, where it has been staged already."""
    folder = shared_folder(home, split, task, options)
    if not (folder / "shared.json").is_file():
        return None
    return Staged(folder=folder, document=read_json(folder / "shared.json"), task=task)


def stage_shared(
    dataset: Dataset,
    split: Split,
    task: Task,
    truth: Truth,
    home: Path,
    options: Mapping[str, Any] | None = None,
) -> Staged:
    """Write train.h5ad and the task's own files, once; raises InfrastructureError on a full disk."""
    chosen = task.chosen(options)
    staged = open_shared(home, split, task, chosen)
    if staged is not None:
        return staged
    folder = shared_folder(home, split, task, chosen)
    partial = folder.with_name(f".{folder.name}.{token()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        _write_train(dataset, task.train_rows(dataset, split, chosen), partial / "train.h5ad")
        shared = {
            "dataset": _dataset_facts(dataset),
            "columns": _columns(dataset),
            "request_ids": [],
            "genes": list(dataset.genes),
        }
        own = task.write_shared(dataset, split, truth, chosen, partial)
        write_json(partial / "shared.json", {**shared, **own})
        try:
            partial.rename(folder)
        except OSError:
            if not (folder / "shared.json").is_file():
                raise
    except OSError as error:
        raise disk_error(f"the input of {split.id} cannot be staged in {folder}", error) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    staged = open_shared(home, split, task, chosen)
    assert staged is not None
    return staged


def stage(
    staged: Staged,
    split: Split,
    task: Task,
    folder: Path,
    *,
    seed: int,
    parameters: Mapping[str, Any],
    limits: Limits,
    options: Mapping[str, Any] | None = None,
    resources: Mapping[str, bytes] | None = None,
    link: bool = True,
) -> None:
    """Make the input folder of one run: shared files linked (or copied), task.json written for this run.

    ``options`` are the task's; ``resources`` maps the names of files granted to every method to their bytes.
    Files are 0444 and folders 0755, so that another uid reads them and none changes them.

    Raises
    ------
    ConfigurationError
        The task has no such option, or no such value of it.
    InfrastructureError
        The folder exists or cannot be written.
    """
    chosen = task.chosen(options)
    document = {
        "protocol": 1,
        "task": task.versioned,
        "dataset": staged.document["dataset"],
        "split": {"id": split.id, "sha256": split.sha256},
        "columns": staged.document["columns"],
        "control": CONTROL,
        "combination": COMBINATION,
        "seed": seed,
        **task.document(staged.document, chosen),
        "parameters": dict(parameters),
        "resources": limits.keyed,
    }
    schemas.check(document, "task", "task.json")
    try:
        folder.mkdir(parents=True, mode=0o755)
    except FileExistsError:
        raise InfrastructureError(f"{folder} already exists; choose another --out folder") from None
    except OSError as error:
        raise disk_error(f"the input folder {folder} cannot be made", error) from None
    try:
        folder.chmod(0o755)
        for name, shared in {"train.h5ad": "train.h5ad", **task.files(chosen)}.items():
            _place(staged.folder / shared, folder / name, link=link)
        if resources:
            granted = folder / "resources"
            granted.mkdir(mode=0o755)
            granted.chmod(0o755)
            for name, content in resources.items():
                (granted / name).write_bytes(content)
                (granted / name).chmod(0o444)
        (folder / "task.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
        (folder / "task.json").chmod(0o444)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise disk_error(f"the input folder {folder} cannot be written", error) from None


def open_input(folder: Path) -> Staged:
    """A staged input folder as the harness's own record of it, read back from its files.

    Raises ConfigurationError where the folder is not one that ``stage`` wrote.
    """
    from lanner.h5ad.staged import read_genes

    try:
        found = json.loads((folder / "task.json").read_text(encoding="utf-8"))
        schemas.check(found, "task", str(folder / "task.json"))
        task = TASKS[found["task"].rpartition("@")[0]]
        document = {
            "dataset": found["dataset"],
            "columns": found["columns"],
            "request_ids": [],
            "genes": read_genes(folder / "train.h5ad"),
            "split": found["split"],
            **task.read_back(folder, found),
        }
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"{folder} is not an input that `lanner stage` wrote ({error}); stage it again"
        ) from None
    return Staged(folder=folder, document=document, task=task)


def _place(source: Path, target: Path, *, link: bool) -> None:
    if link:
        try:
            os.link(source, target)
            return
        except OSError:
            pass  # another file system, or no hard links on this one
    shutil.copyfile(source, target)
    target.chmod(0o444)


def _dataset_facts(dataset: Dataset) -> dict[str, Any]:
    entry = dataset.entry.document
    facts = {key: entry[key] for key in ("id", "version", "organism", "assay", "perturbation_kind", "scale")}
    return {**facts, "kind": dataset.entry.kind}


def _columns(dataset: Dataset) -> dict[str, Any]:
    extra = {name: name for name in ("dose", "batch") if name in dataset.obs}
    return {"perturbation": "perturbation", "context": list(dataset.entry.context_columns), **extra}


def _write_train(dataset: Dataset, rows: np.ndarray[Any, Any], path: Path) -> None:
    from lanner.h5ad.staged import write_train  # brings scipy, which a staged split does without

    columns = ["perturbation", *dataset.entry.context_columns]
    columns += [name for name in ("dose", "batch") if name in dataset.obs]
    obs = {name: dataset.obs[name].to_numpy(dtype=str)[rows] for name in columns}
    X, counts = dataset.X(), dataset.counts()
    layers = {"X": _selected(X, rows)}
    if counts is not None:
        layers["counts"] = _selected(counts, rows)
    write_train(path, obs=obs, genes=dataset.genes, layers=layers, sparse=X.is_sparse)
    path.chmod(0o444)
    os.utime(path, (0, 0))


def _selected(matrix: Matrix, rows: np.ndarray[Any, Any]) -> Iterator[Any]:
    for start, stop, block in matrix.blocks():
        inside = rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)] - start
        if inside.size:
            block = block[inside]
            yield block
        del block  # or it would be held while the next one is read
