"""Resources: prior knowledge that a leaderboard grants to every method alike, in /input/resources.

An entry is a folder of ``resources_registry/`` with ``resource.yaml``. Its file lies beside it, or is
generated: two controls say what a table of gene features is worth, ``random`` ones that know no biology and
an ``empty`` table (PEREGGRN has random and empty networks, doi:10.1186/s13059-025-03840-y).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lanner.config import Settings
from lanner.errors import ConfigurationError
from lanner.records import COMBINATION, derived_seed, sha256_json
from lanner.registry import unknown_name
from lanner.schemas import load_yaml

MANIFEST = "resource.yaml"
GENERATOR_VERSION = 1
"""Part of a generated resource's identity: raised when the same entry would give other values."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One entry, checked against schemas/resource.schema.json.

    ``sha256`` says what is granted: the hash of the file's bytes, or of what generates it.
    """

    id: str
    folder: Path
    document: Mapping[str, Any]
    sha256: str

    @property
    def file_name(self) -> str:
        """The name a method finds it by: ``<id>.<kind>`` and the file's ending, ``go.features.csv``."""
        path = self.document.get("file", {}).get("path", "generated.csv")
        return f"{self.id}.{self.document['kind']}{Path(path).suffix}"

    def content(self, genes: Iterable[str]) -> bytes:
        """The bytes granted to a run; a generated table has one row for each of ``genes``, sorted.

        Raises ConfigurationError where the entry's file has changed since it was described.
        """
        if "file" in self.document:
            return _verified(self.folder, self.document["file"])
        generated = self.document["generated"]
        dimensions = 0 if generated["values"] == "empty" else int(generated["dimensions"])
        lines = [",".join(["gene", *(f"feature{column}" for column in range(dimensions))])]
        for gene in sorted(set(genes)):
            # Each gene has a stream of its own: its row depends on neither the others nor their order.
            random = np.random.default_rng(derived_seed(f"{generated.get('seed', 0)}/{gene}", "resource"))
            values = random.standard_normal(dimensions)
            lines.append(",".join([_quoted(gene), *(f"{value:.6f}" for value in values)]))
        return ("\n".join(lines) + "\n").encode()


def find(settings: Settings, name: str) -> Resource:
    """The resource called ``name``; the message of the ConfigurationError suggests the nearest name."""
    known = settings.entries("resources", MANIFEST)
    if name not in known:
        raise unknown_name("resource", name, known)
    return load(known[name])


def load(folder: Path) -> Resource:
    """Read and check one entry, its file included."""
    path = folder / MANIFEST
    document = load_yaml(path, "resource")
    name = str(document["id"])
    if name != folder.name:
        raise ConfigurationError(f"{path}: id {name!r} must equal its folder's name {folder.name!r}")
    if "file" in document:
        _verified(folder, document["file"])
        sha256 = str(document["file"]["sha256"])
    else:
        sha256 = sha256_json({"version": GENERATOR_VERSION, **document["generated"]})
    return Resource(id=name, folder=folder, document=document, sha256=sha256)


def genes_of(measured: Iterable[str], conditions: Iterable[str]) -> set[str]:
    """Measured genes and all parts of the perturbations in ``conditions``, given by condition id."""
    perturbations = {condition.partition("|")[0].partition("@")[0] for condition in conditions}
    parts = {part for perturbation in perturbations for part in perturbation.split(COMBINATION)}
    return {*measured, *parts}


def _verified(folder: Path, file: Mapping[str, Any]) -> bytes:
    path = folder / str(file["path"])
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}; put the file there") from None
    found = hashlib.sha256(content).hexdigest()
    if found != file["sha256"]:
        raise ConfigurationError(
            f"{path} has the sha256 {found}, not the one {folder / MANIFEST} states; correct one of them"
        )
    return content


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n\r') else text
