"""Resources: prior knowledge that a leaderboard grants to every method alike, in /input/resources.

An entry is a folder of ``resources_registry/`` with ``resource.yaml``. What it grants lies beside it, is
prepared from published files that are fetched like a dataset's, or is generated: from nothing, or from
another entry (its embedding, its random control).
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lanner.config import Settings
from lanner.datasets.fetch import Progress
from lanner.errors import ConfigurationError
from lanner.records import COMBINATION, Split, sha256_json
from lanner.registry import unknown_name
from lanner.resources import derived, generated, prepared
from lanner.schemas import load_yaml

__all__ = ["Resource", "files", "find", "genes_of", "load", "names"]

MANIFEST = "resource.yaml"
GENERATOR_VERSION = 1
"""Part of a generated resource's identity: raised when the same entry would give other values."""
MADE_FROM_NOTHING = {"features": ("random", "empty"), "network": ("empty", "dense")}
"""Generated values that need no other entry, by kind."""
ENDINGS = {"features": ".csv", "network": ".csv", "gene-sets": ".gmt"}


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One entry, checked against schemas/resource.schema.json.

    ``sha256`` says what is granted: the hash of the file's bytes, or of what generates it. ``base`` is the
    entry that a generated one is made from.
    """

    id: str
    folder: Path
    document: Mapping[str, Any]
    sha256: str
    settings: Settings
    base: Resource | None = None

    @property
    def kind(self) -> str:
        """``features``, ``gene-sets`` or ``network``."""
        return str(self.document["kind"])

    @property
    def file_name(self) -> str:
        """The name a method finds it by: ``<id>.<kind>`` and the format's ending, ``go.features.csv``."""
        path = Path(self.document.get("file", {}).get("path", f"generated{ENDINGS[self.kind]}"))
        return f"{self.id}.{self.kind}{path.with_suffix('').suffix if path.suffix == '.gz' else path.suffix}"

    @property
    def kept(self) -> Path | None:
        """Where it is kept once fetched or made; None where it lies beside its entry or takes no time."""
        if "sources" not in self.document and self.base is None:
            return None
        return self.settings.home / "data" / "resources" / self.id / f"{self.sha256}{ENDINGS[self.kind]}"

    @property
    def citation(self) -> Mapping[str, Any] | None:
        """Whom to cite: its own source, or that of what it is made from."""
        return self.document.get("citation") or (self.base.citation if self.base else None)

    def describe(self) -> dict[str, Any]:
        """What a leaderboard says of it: identity, title, terms and source."""
        facts = {name: self.document[name] for name in ("id", "version", "title", "kind", "licence")}
        made = {"of": self.base.id} if self.base else {}
        return {**facts, "citation": self.citation, "sha256": self.sha256, **made}

    def content(self, genes: Iterable[str], progress: Progress | None = None) -> bytes:
        """The bytes granted to a run; a generated table has rows for ``genes`` only, sorted.

        Raises ConfigurationError where a file has changed since it was described, and InfrastructureError
        where a published one cannot be had.
        """
        if "generated" not in self.document:
            return self.whole(progress)
        recipe = self.document["generated"]
        if self.base is None and self.kind == "network":
            return generated.network(genes, dense=recipe["values"] == "dense")
        if self.base is None:
            dimensions = 0 if recipe["values"] == "empty" else int(recipe["dimensions"])
            return generated.table(genes, dimensions, int(recipe.get("seed", 0)))
        whole = self.whole(progress)
        return generated.rows_of(whole, genes) if self.kind == "features" else whole

    def make(self, progress: Progress | None = None) -> None:
        """Fetch and make now what is kept in LANNER_HOME, once, before the runs of several processes ask."""
        if self.kept is not None:
            self.whole(progress)

    def whole(self, progress: Progress | None = None) -> bytes:
        """All of it, for all genes it knows; what takes time to make is made once and kept in LANNER_HOME."""
        if "file" in self.document:
            content = _verified(self.folder, self.document["file"])
            return gzip.decompress(content) if str(self.document["file"]["path"]).endswith(".gz") else content
        kept, base = self.kept, self.base
        if base is None:
            assert kept is not None, "a table made from nothing has no whole"
            return prepared.content(self.folder, self.document, kept, self.settings, progress)
        assert kept is not None
        recipe = self.document["generated"]
        return prepared.once(kept, lambda: derived.derive(base.kind, base.whole(progress), recipe))


def names(settings: Settings) -> list[str]:
    """Ids of all entries, sorted."""
    return sorted(settings.entries("resources", MANIFEST))


def find(settings: Settings, name: str) -> Resource:
    """The resource called ``name``; the message of the ConfigurationError suggests the nearest name."""
    known = settings.entries("resources", MANIFEST)
    if name not in known:
        raise unknown_name("resource", name, known)
    return load(known[name], settings)


def load(folder: Path, settings: Settings, _made_into: tuple[str, ...] = ()) -> Resource:
    """Read and check one entry, its file and the entry it is made from included; fetches nothing."""
    path = folder / MANIFEST
    document = load_yaml(path, "resource")
    name = str(document["id"])
    if name != folder.name:
        raise ConfigurationError(f"{path}: id {name!r} must equal its folder's name {folder.name!r}")
    base = None
    if "file" in document:
        _verified(folder, document["file"])
        sha256 = str(document["file"]["sha256"])
    elif "sources" in document:
        prepared.check(folder, document)
        sha256 = str(document["sha256"])
    else:
        recipe = document["generated"]
        if "of" not in recipe and recipe["values"] not in MADE_FROM_NOTHING.get(document["kind"], ()):
            raise ConfigurationError(
                f"{path}: {recipe['values']} values are not made for kind {document['kind']}; correct one of "
                "them"
            )
        if "of" in recipe:
            base = _base(path, document, settings, _made_into)
            recipe = {**recipe, "of": base.sha256}
        sha256 = sha256_json({"version": GENERATOR_VERSION, **recipe})
    return Resource(id=name, folder=folder, document=document, sha256=sha256, settings=settings, base=base)


def _base(
    path: Path, document: Mapping[str, Any], settings: Settings, made_into: tuple[str, ...]
) -> Resource:
    """The entry that a generated one is made from."""
    name, recipe = str(document["id"]), document["generated"]
    of = str(recipe["of"])
    known = settings.entries("resources", MANIFEST)
    if of not in known:
        raise ConfigurationError(f"{path}: generated.of: {unknown_name('resource', of, known)}")
    if of in (name, *made_into):
        raise ConfigurationError(f"{path}: {of} would be made from itself; name another entry under of")
    base = load(known[of], settings, (name, *made_into))
    if recipe["values"] == "embedding" and (base.kind == "features" or document["kind"] != "features"):
        raise ConfigurationError(
            f"{path}: an embedding is of kind features and made of gene sets or a network, not of "
            f"{of} ({base.kind}); correct kind or of"
        )
    if recipe["values"] == "shuffled" and base.kind != document["kind"]:
        raise ConfigurationError(f"{path}: shuffled from {of}, its kind must be {base.kind}; correct it")
    return base


def files(granted: Iterable[Resource], genes: Iterable[str], split: Split) -> dict[str, bytes]:
    """What goes into /input/resources: file name to bytes; ``genes`` are those measured."""
    names = genes_of(genes, (*split.train, *split.valid, *split.test))
    return {resource.file_name: resource.content(names) for resource in granted}


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
