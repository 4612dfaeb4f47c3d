"""Registry entries of datasets: one ``dataset.yaml`` each, checked against its schema."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lanner.config import Settings
from lanner.datasets.conventions import Columns
from lanner.errors import ConfigurationError
from lanner.records import sha256_json
from lanner.registry import unknown_name
from lanner.schemas import load_yaml

MANIFEST = "dataset.yaml"

NORMALISATION = 1
"""Raised whenever the same entry and the same bytes normalise to something else."""

NETWORKS = 1
"""Raised whenever the same entry and the same bytes give other known networks."""


RESERVED = frozenset({"perturbation", "condition", "context", "dose", "batch", "replicate"})
"""Columns every normalised dataset gives a meaning of its own."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A published file: the bytes are what ``sha256`` says, wherever they come from.

    ``converted`` is another file with what is used of it, which a mirror may hold instead; it has no address.
    """

    name: str
    urls: tuple[str, ...]
    sha256: str
    bytes: int
    licence: str
    converted: Source | None = None


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One ``dataset.yaml``: ``document`` has passed schemas/dataset.schema.json."""

    folder: Path
    document: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Name of the dataset and of its folder."""
        return str(self.document["id"])

    @property
    def version(self) -> int:
        """Version of the entry, raised by hand."""
        return int(self.document["version"])

    @property
    def title(self) -> str:
        """One line for people."""
        return str(self.document["title"])

    @property
    def kind(self) -> str:
        """``cells`` or ``profile``."""
        return str(self.document["kind"])

    @property
    def scale(self) -> str:
        """Scale of X: ``log1p-cp10k``, ``log1p-normalised`` or ``lfc``."""
        return str(self.document["scale"])

    @property
    def organism(self) -> str:
        """Organism the cells come from."""
        return str(self.document["organism"])

    @property
    def assay(self) -> str:
        """How expression was measured."""
        return str(self.document["assay"])

    @property
    def perturbation_kind(self) -> str:
        """What a perturbation does to its target."""
        return str(self.document["perturbation_kind"])

    @property
    def columns(self) -> Columns:
        """Which obs column means what, the convention's defaults filled in."""
        return Columns.of(self.document["obs"])

    @property
    def context_columns(self) -> tuple[str, ...]:
        """Names of the context columns, in the order of a condition's id."""
        return self.columns.context

    @property
    def sources(self) -> tuple[Source, ...]:
        """The published files."""
        return tuple(
            Source(**{**source, "urls": tuple(source["urls"])}) for source in self.document.get("sources", ())
        )

    @property
    def splits(self) -> tuple[Mapping[str, Any], ...]:
        """Recommended split designs: ``{"id", "parameters", "seed"}`` each."""
        return tuple(
            {"id": split["id"], "parameters": split.get("parameters", {}), "seed": split.get("seed", 0)}
            for split in self.document.get("splits", ())
        )

    @property
    def facts(self) -> tuple[Mapping[str, Any], ...]:
        """Known facts that ``check`` tests."""
        return tuple(self.document.get("facts", ()))

    @property
    def networks(self) -> tuple[Mapping[str, Any], ...]:
        """Known networks: ``{"name", "file", "signed", "text"[, "columns"]}`` each."""
        return tuple(self.document.get("networks", ()))

    @property
    def networks_content(self) -> str:
        """SHA-256 of all that decides the known networks; empty where none is known.

        It is no part of ``content``: what is scored against a network states this hash as well.
        """
        if not self.networks:
            return ""
        files = {network["file"] for network in self.networks} - {source.name for source in self.sources}
        programs = [hashlib.sha256((self.folder / name).read_bytes()).hexdigest() for name in sorted(files)]
        return sha256_json(
            {
                "version": NETWORKS,
                "networks": [
                    {key: value for key, value in network.items() if key != "text"}
                    for network in self.networks
                ],
                "sources": [[source.name, source.sha256] for source in self.sources],
                "programs": programs,
                "parameters": self.prepare_parameters,
            }
        )

    @property
    def is_embedded(self) -> bool:
        """Whether ``prepare.py`` generates the data, so that nothing is downloaded."""
        return bool(self.document.get("embedded", False))

    @property
    def prepare_file(self) -> Path | None:
        """The entry's preparation program, if it has one."""
        prepare = self.document.get("prepare")
        return None if prepare is None else self.folder / prepare.get("file", "prepare.py")

    @property
    def prepare_parameters(self) -> dict[str, Any]:
        """What the preparation program is given."""
        return dict(self.document.get("prepare", {}).get("parameters", {}))

    @property
    def content(self) -> str:
        """SHA-256 of all that decides the normalised dataset, without reading the data themselves.

        Covers the mapping of columns, genes and rows, the sources' hashes, the bytes of ``prepare.py`` and
        its parameters, and the version of the normalisation; not titles, splits or facts.
        """
        prepare = self.prepare_file
        return sha256_json(
            {
                "normalisation": NORMALISATION,
                "kind": self.kind,
                "scale": self.scale,
                "columns": self.columns.to_json(),
                "genes": self.document["genes"],
                "filter": self.document.get("filter", {}),
                "counts_layer": self.document.get("counts_layer"),
                "sources": [[source.name, source.sha256] for source in self.sources],
                "prepare": None if prepare is None else hashlib.sha256(prepare.read_bytes()).hexdigest(),
                "parameters": self.prepare_parameters,
            }
        )


def read_entry(folder: Path) -> Entry:
    """Read and check the entry in ``folder``.

    Raises
    ------
    ConfigurationError
        The file breaks the schema, its id is not its folder's name, two sources share a name, or
        ``prepare.py`` is missing.
    """
    document = load_yaml(folder / MANIFEST, "dataset")
    entry = Entry(folder=folder, document=document)
    where = folder / MANIFEST
    if entry.id != folder.name:
        raise ConfigurationError(
            f"{where}: id {entry.id!r} is not the folder's name {folder.name!r}; rename one"
        )
    names = [source.name for source in entry.sources]
    if len(set(names)) < len(names):
        raise ConfigurationError(f"{where}: two sources have the same name; name each source once")
    taken = RESERVED & set(entry.context_columns)
    if taken:
        raise ConfigurationError(
            f"{where}: {min(taken)!r} cannot name a context column, a dataset has one of its own; rename "
            "it in prepare.py"
        )
    if entry.prepare_file is not None and not entry.prepare_file.is_file():
        raise ConfigurationError(f"{where}: {entry.prepare_file.name} is missing beside it; add it")
    if entry.prepare_file is None and len(names) != 1:
        raise ConfigurationError(
            f"{where}: {len(names)} sources need a prepare.py that makes them one AnnData"
        )
    _check_networks(entry, where)
    return entry


def _check_networks(entry: Entry, where: Path) -> None:
    named = [network["name"] for network in entry.networks]
    if len(set(named)) < len(named):
        raise ConfigurationError(f"{where}: two networks have the same name; name each network once")
    sources = {source.name for source in entry.sources}
    for network in entry.networks:
        file = network["file"]
        if file not in sources and not (file.endswith(".py") and (entry.folder / file).is_file()):
            raise ConfigurationError(
                f"{where}: network {network['name']!r} names {file!r}, which is neither one of the sources "
                "nor a program beside the entry; add it"
            )


def entries(settings: Settings) -> dict[str, Entry]:
    """All entries by id, sorted; every one is checked."""
    return {name: read_entry(folder) for name, folder in sorted(_folders(settings).items())}


def find_entry(settings: Settings, name: str) -> Entry:
    """The entry named ``name``; only that one is read, so a broken neighbour does no harm."""
    folders = _folders(settings)
    if name not in folders:
        raise unknown_name("dataset", name, folders)
    return read_entry(folders[name])


def _folders(settings: Settings) -> dict[str, Path]:
    return settings.entries("datasets", MANIFEST)
