"""Methods: a folder with ``method.yaml``, the identity of what would run, and its parameters and limits."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from lanner.config import Settings, bundled_root
from lanner.errors import ConfigurationError
from lanner.records import Limits, sha256_json
from lanner.registry import unknown_name
from lanner.schemas import load_yaml

MANIFEST = "method.yaml"
FROM_LINE = re.compile(r"^\s*FROM\s+(?:--\S+\s+)*(\S+)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method that can be run, checked against schemas/method.schema.json.

    ``identity`` says which program it is: ``folder:<sha256>`` for a folder that is built,
    ``image:<repository@sha256:...>`` for a pulled image, ``image:<sha256:...>`` for a local one,
    ``predictions:<sha256>`` of the names and hashes of files that stand for a program.
    """

    name: str
    folder: Path | None
    document: Mapping[str, Any]
    identity: str

    @property
    def label(self) -> str:
        """Name for people."""
        return str(self.document["label"])

    @property
    def summary(self) -> str:
        """One sentence that says what the method predicts."""
        return str(self.document["summary"])

    @property
    def version(self) -> str:
        """The method's own version."""
        return str(self.document["version"])

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks the method can answer."""
        return tuple(self.document["tasks"])

    @property
    def command(self) -> tuple[str, ...]:
        """Program and arguments, to be run in LANNER_METHOD_DIR without a shell."""
        return tuple(self.document.get("command", ()))

    @property
    def image(self) -> str | None:
        """The pinned image to use as it is; None when the folder is built."""
        return self.document.get("image")

    @property
    def predictions(self) -> Mapping[str, str]:
        """Files that stand for a program, ``<dataset>/<split>.h5ad`` -> sha256; empty for programs."""
        predictions: Mapping[str, str] = self.document.get("predictions", {})
        return predictions

    @property
    def build_args(self) -> dict[str, str]:
        """Values for the Dockerfile's ARG lines."""
        return dict(self.document.get("build", {}).get("args", {}))

    @property
    def tag(self) -> str:
        """``lanner/<name>:<first 12 digits of the identity's hash>``, the local tag of what was built."""
        return f"lanner/{self.name}:{self.identity.rpartition(':')[2][:12]}"

    @property
    def deterministic(self) -> bool:
        """Whether the prediction does not depend on the seed."""
        return bool(self.document.get("deterministic", False))

    @property
    def residual(self) -> str | None:
        """``shift`` or ``zero-preserving-scale`` if cells may be drawn from a profile, else None."""
        residual = self.document.get("residual", "none")
        return None if residual == "none" else str(residual)

    @property
    def limits(self) -> Limits:
        """What one run may use: ``resources`` of the manifest over the defaults."""
        return Limits(**self.document.get("resources", {}))

    @property
    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        """Declared parameters: name -> type, default, description and, where given, enum and range."""
        parameters: Mapping[str, Mapping[str, Any]] = self.document.get("parameters", {})
        return parameters

    @property
    def defaults(self) -> dict[str, Any]:
        """Every parameter at its default."""
        return {name: declared["default"] for name, declared in self.parameters.items()}


def entries(settings: Settings) -> dict[str, Method]:
    """Every method that can be found, by name; the first malformed manifest is an error."""
    return {name: load(folder) for name, folder in sorted(settings.entries("methods", MANIFEST).items())}


def find(settings: Settings, name: str) -> Method:
    """The method called ``name``, or the one in the folder ``name`` is the path of.

    Raises
    ------
    ConfigurationError
        If there is no such method; the message suggests the nearest name.
    """
    known = settings.entries("methods", MANIFEST)
    if name in known:
        return load(known[name])
    folder = Path(name).expanduser()
    if (folder / MANIFEST).is_file():
        return load(folder)
    if folder.is_dir():
        raise ConfigurationError(f"{folder} has no {MANIFEST}; give a method's name or its folder")
    if folder.is_file():
        raise ConfigurationError(
            f"{folder} is a file, not a method's folder; an archive of an image becomes a method by "
            f"`lanner method add {folder}`"
        )
    if len(folder.parts) > 1 or name.startswith((".", "~")):
        raise ConfigurationError(
            f"there is no folder {folder}; correct the path, or begin a method with `lanner method new`"
        )
    raise unknown_name("method", name, known)


def load(folder: Path) -> Method:
    """Read and check one method folder, and hash what it would run."""
    folder = folder.resolve()
    path = folder / MANIFEST
    document = load_yaml(path, "method")
    name = str(document["name"])
    if name != folder.name:
        raise ConfigurationError(
            f"{path}: name {name!r} must equal its folder's name {folder.name!r}; rename one"
        )
    if "image" in document:
        identity = f"image:{document['image']}"
    elif "predictions" in document:
        identity = f"predictions:{sha256_json(document['predictions'])}"
    elif (folder / "Dockerfile").is_file():
        identity = f"folder:{folder_sha256(folder, document.get('build', {}).get('args', {}))}"
    else:
        raise ConfigurationError(f"{folder} has no Dockerfile; write one, or name a pinned image in {path}")
    method = Method(name=name, folder=folder, document=document, identity=identity)
    for parameter, value in method.defaults.items():
        _check_parameter(method, parameter, value)
    return method


def folder_files(folder: Path) -> list[Path]:
    """The files that make a method, sorted by relative path: those hashed, and those to build from.

    ``__pycache__`` and names that start with a dot are left out. A symbolic link is refused: the image
    would hold the link, not the bytes that were hashed.
    """
    found = []
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        if any(part == "__pycache__" or part.startswith(".") for part in relative.parts):
            continue
        if path.is_symlink():
            raise ConfigurationError(f"{path} is a symbolic link; copy the file into the method's folder")
        if path.is_file():
            found.append((relative.as_posix(), path))
    return [path for _, path in sorted(found)]


def folder_sha256(folder: Path, build_args: Mapping[str, str]) -> str:
    """SHA-256 over (relative path, bytes) of ``folder_files``, the base images' names and build arguments.

    Neither location, modification times nor file modes count, so a checkout and an installed wheel agree.
    """
    dockerfile = (folder / "Dockerfile").read_text(encoding="utf-8", errors="replace")
    files = []
    for path in folder_files(folder):
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        files.append([path.relative_to(folder).as_posix(), digest])
    return sha256_json({"files": files, "base": FROM_LINE.findall(dockerfile), "args": dict(build_args)})


@cache
def bundled_identities() -> frozenset[str]:
    """Identities of the methods Lanner ships with."""
    manifests = sorted((bundled_root() / "method_containers").glob(f"*/{MANIFEST}"))
    return frozenset(load(path.parent).identity for path in manifests)


def is_bundled(method: Method) -> bool:
    """Whether these exact files ship with Lanner, wherever they lie: they may run outside a container."""
    return method.identity.startswith("folder:") and method.identity in bundled_identities()


def resolve_parameters(method: Method, given: Mapping[str, Any]) -> dict[str, Any]:
    """Every declared parameter: the value given, else the default.

    Raises
    ------
    ConfigurationError
        For a parameter the method does not declare, or a value outside its type, enum or range.
    """
    for name, value in given.items():
        _check_parameter(method, name, value)
    return {**method.defaults, **given}


def parse_parameters(method: Method, texts: Iterable[str]) -> dict[str, Any]:
    """``name=value`` texts of a command line as typed values, ready for ``resolve_parameters``."""
    parsed: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigurationError(f"parameter {text!r} must be written name=value")
        declared = _declaration(method, name)
        parsed[name] = value if declared["type"] == "string" else _json_scalar(value)
    return parsed


def _declaration(method: Method, name: str) -> Mapping[str, Any]:
    if name not in method.parameters:
        raise unknown_name(f"parameter of method {method.name}", name, method.parameters)
    return method.parameters[name]


def _check_parameter(method: Method, name: str, value: Any) -> None:
    declared = _declaration(method, name)
    rule = {key: declared[key] for key in ("type", "enum", "minimum", "maximum") if key in declared}
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigurationError(f"parameter {name} of method {method.name}: {value} is not a finite number")
    for error in Draft202012Validator(rule).iter_errors(value):
        raise ConfigurationError(
            f"parameter {name} of method {method.name}: {error.message}; {declared['description']}"
        )


def _json_scalar(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
