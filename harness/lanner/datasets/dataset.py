"""A normalised dataset on disk: made once per content, opened in no time, safe to load concurrently."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from lanner.config import Settings
from lanner.datasets.entry import Entry
from lanner.datasets.fetch import Progress, disk_errors, fetch, sync
from lanner.matrix import Matrix
from lanner.owner import token
from lanner.records import Condition
from lanner.registry import unknown_name

if TYPE_CHECKING:
    import scipy.sparse as sp


class Dataset:
    """An opened normalised dataset; everything it needs is in ``folder``.

    Attributes
    ----------
    entry
        The registry entry it was made of.
    folder
        ``$LANNER_HOME/data/<id>/<content[:12]>/`` with dataset.json, obs.parquet, X/ and counts/ when known.
    content
        SHA-256 of all that decided its bytes.
    genes
        Names of the columns of X.
    conditions
        Perturbed conditions, sorted by id.
    contexts
        Ids of all contexts, sorted, with or without controls.
    source_rows
        Rows of the source before the entry's filter.
    """

    def __init__(self, entry: Entry, folder: Path) -> None:
        document = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        self.entry = entry
        self.folder = folder
        self.content: str = document["content"]
        self.genes: tuple[str, ...] = tuple(document["genes"])
        self.contexts: tuple[str, ...] = tuple(document["contexts"])
        self.source_rows: int = document["source_rows"]
        self.conditions: tuple[Condition, ...] = tuple(
            Condition(**{**item, "targets": tuple(item["targets"]), "context": tuple(item["context"])})
            for item in document["conditions"]
        )

    @cached_property
    def obs(self) -> pd.DataFrame:
        """One row per row of X, indexed by cell name; every column is str.

        ``perturbation`` (targets sorted, joined by ``+``; ``control``), ``condition``, ``context``, the
        context columns, and where known ``dose``, ``batch`` and, for profiles, ``replicate``.
        """
        return pd.read_parquet(self.folder / "obs.parquet")

    def X(self) -> Matrix:  # noqa: N802
        """Expression on the entry's scale, float32, CSR for cells and dense for profiles."""
        return Matrix(self.folder / "X", len(self.genes))

    def counts(self) -> Matrix | None:
        """Raw counts of the same rows and genes, or None where they are not known."""
        path = self.folder / "counts"
        return Matrix(path, len(self.genes)) if path.is_dir() else None

    def gold(self, name: str | None = None) -> sp.csr_matrix | None:
        """Signs of the known network ``name``, or of the entry's first one; None where none is known.

        Returns
        -------
        csr_matrix
            int8 ``(n_genes, n_genes)``, sorted indices: row regulator, column target; 1 activates, -1
            represses. Where ``gold_facts`` says ``signed: false`` only presence is known and every edge is 1.
            Self-loops are kept, edges of unmeasured genes are not; ``gold_facts`` counts both.

        Raises
        ------
        ConfigurationError
            There is no network of that name.
        """
        if not self.entry.networks and name is None:
            return None
        from lanner.datasets.gold import read_network  # scipy: not for opening a dataset

        return read_network(self.entry, self.folder, self._network(name), self.genes)

    def gold_facts(self, name: str | None = None) -> Mapping[str, Any] | None:
        """``edges``, ``signed``, ``self_loops`` and ``unmeasured`` (edges left out) of a known network."""
        if not self.entry.networks and name is None:
            return None
        from lanner.datasets.gold import MANIFEST, networks_folder

        path = networks_folder(self.entry, self.folder) / MANIFEST
        facts: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))[self._network(name)]
        return facts

    def _network(self, name: str | None) -> str:
        known = [str(network["name"]) for network in self.entry.networks]
        if name is not None and name not in known:
            raise unknown_name(f"network of dataset {self.entry.id}", name, known)
        return known[0] if name is None else name

    @property
    def identity(self) -> Mapping[str, str]:
        """What a split records of its dataset."""
        return {"id": self.entry.id, "version": str(self.entry.version), "content": self.content}


def load(entry: Entry, settings: Settings, progress: Progress | None = None) -> Dataset:
    """Open an entry's normalised dataset, fetching and normalising it first when that was not done yet.

    Several processes may load one dataset at once: each writes a folder of its own, the first to finish
    renames it into place, and the others discard theirs.

    Raises
    ------
    ConfigurationError
        The source contradicts the entry.
    InfrastructureError
        The source cannot be fetched, or the disk is full.
    """
    home = settings.home / "data" / entry.id
    folder = home / entry.content[:12]
    if (folder / "dataset.json").is_file():
        return _with_networks(Dataset(entry, folder), settings, progress)
    from lanner.datasets.normalise import normalise, prepare  # h5py and anndata: not for opening a cached one

    sources = fetch(entry, settings, progress)
    with disk_errors(f"{entry.id}: writing the normalised dataset to {home}"):
        home.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.{token()}.", suffix=".partial", dir=home))
        try:
            source = prepare(entry, sources, partial / "prepared.h5ad")
            normalise(entry, source, partial, progress)
            (partial / "prepared.h5ad").unlink(missing_ok=True)
            partial.chmod(0o755)
            _publish(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return _with_networks(Dataset(entry, folder), settings, progress)


def _with_networks(dataset: Dataset, settings: Settings, progress: Progress | None) -> Dataset:
    """The dataset, its known networks written where that was not done yet: they may change without it."""
    if dataset.entry.networks:
        from lanner.datasets.gold import MANIFEST, networks_folder, write_networks

        if not (networks_folder(dataset.entry, dataset.folder) / MANIFEST).is_file():
            sources = fetch(dataset.entry, settings, progress)
            write_networks(dataset.entry, sources, dataset.genes, dataset.folder)
    return dataset


def _publish(partial: Path, folder: Path) -> None:
    """Rename into place unless another process was first; a half-removed folder is replaced."""
    if folder.exists() and not (folder / "dataset.json").is_file():
        shutil.rmtree(folder)
    try:
        partial.rename(folder)
    except OSError:
        if not (folder / "dataset.json").is_file():
            raise
    sync(folder.parent)


def dataset_fields(dataset: Dataset) -> dict[str, Any]:
    """Sizes of a loaded dataset, for people and machines."""
    obs = dataset.obs
    perturbations = {condition.perturbation for condition in dataset.conditions}
    return {
        "rows": len(obs),
        "genes": len(dataset.genes),
        "perturbations": len(perturbations),
        "combinations": sum("+" in name for name in perturbations),
        "conditions": len(dataset.conditions),
        "contexts": list(dataset.contexts),
        "controls": int((obs["perturbation"] == "control").sum()),
        "counts": dataset.counts() is not None,
        "content": dataset.content,
        "folder": str(dataset.folder),
    }
