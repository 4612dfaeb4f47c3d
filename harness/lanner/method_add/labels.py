"""What an image says of the method in it: labels that its Dockerfile sets, as fields of a manifest.

``org.lanner.*`` are Lanner's own; of the labels every image may carry (``org.opencontainers.image.*``, OCI
image specification, "annotations") those that mean the same are taken where Lanner's own are not there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lanner.errors import ConfigurationError
from lanner.registry import unknown_name

PREFIX = "org.lanner."
OCI = "org.opencontainers.image."
SUMMARY_LENGTH, LABEL_LENGTH, NAME_LENGTH = 200, 40, 63
UNKNOWN_LICENCE = "LicenseRef-unknown"


def _yes_or_no(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("true or false")
    return text == "true"


def _json(kind: type, says: str) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            value = json.loads(text)
        except ValueError:
            raise ValueError(says) from None
        if not isinstance(value, kind):
            raise ValueError(says)
        return value

    return read


def _number(text: str) -> float | int:
    value = float(text)
    return int(value) if value.is_integer() else value


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


TEXTS = _json(list, 'a JSON list of texts, such as ["python", "predict.py"]')
FIELDS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "name": ("name", str),
    "label": ("label", str),
    "version": ("version", str),
    "summary": ("summary", str),
    "licence": ("licence", str),
    "command": ("command", TEXTS),
    "tasks": ("tasks", _names),
    "deterministic": ("deterministic", _yes_or_no),
    "residual": ("residual", str),
    "parameters": ("parameters", _json(dict, "a JSON object as in method.yaml")),
    "references": ("references", TEXTS),
    "training-data": ("training_data", TEXTS),
    "cpus": ("resources.cpus", _number),
    "memory-mb": ("resources.memory_mb", _number),
    "gpus": ("resources.gpus", _number),
    "timeout-s": ("resources.timeout_s", _number),
}
"""Label, without its prefix -> field of method.yaml and how its text is read."""


def stated(labels: Mapping[str, str], source: str) -> dict[str, Any]:
    """Fields of a manifest that an image's labels state.

    Raises
    ------
    ConfigurationError
        A label of Lanner's that does not exist, or whose text cannot be read.
    """
    found = _of_any_image(labels)
    for label, text in sorted(labels.items()):
        if not label.startswith(PREFIX):
            continue
        name = label.removeprefix(PREFIX)
        if name not in FIELDS:
            raise unknown_name(f"label {PREFIX}* of {source}", name, FIELDS)
        field, read = FIELDS[name]
        try:
            put(found, field, read(text))
        except ValueError as error:
            raise ConfigurationError(
                f"{source}: the label {label} is {text[:80]!r}, not {error}; correct it in the Dockerfile"
            ) from None
    return found


def put(document: dict[str, Any], field: str, value: Any) -> None:
    """Set ``a`` or ``a.b`` of a manifest."""
    outer, _, inner = field.partition(".")
    if inner:
        document.setdefault(outer, {})[inner] = value
    else:
        document[outer] = value


def proposed(
    labels: Mapping[str, str], command: Sequence[str], reference: str, task: str
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A whole manifest, and the names of those of its fields that the image does not state."""
    known = stated(labels, reference)
    name = known.get("name") or name_of(reference)
    guess: dict[str, Any] = {
        "name": name,
        "version": "1",
        "label": str(known.get("name") or name)[:LABEL_LENGTH],
        "summary": "Added from an image without a description.",
        "licence": UNKNOWN_LICENCE,
        "command": list(command),
        "tasks": [task],
        "deterministic": False,
        "residual": "none",
        "training_data": [],
    }
    return {**guess, **known}, tuple(field for field in guess if field not in known)


def name_of(reference: str) -> str:
    """A method's name made of an image's or a file's; empty where none can be."""
    last = reference.partition("@")[0].rpartition("/")[2]
    last = re.sub(r"\.(tar|tar\.gz|tgz)$", "", last) if ":" not in last else last.partition(":")[0]
    name = re.sub(r"[^a-z0-9]+", "-", last.lower()).strip("-")
    return re.sub(r"^[^a-z]+", "", name)[:NAME_LENGTH]


def _of_any_image(labels: Mapping[str, str]) -> dict[str, Any]:
    said = {
        name: " ".join(labels.get(OCI + name, "").split()) for name in ("title", "version", "description")
    }
    found: dict[str, Any] = {
        "label": said["title"][:LABEL_LENGTH],
        "version": said["version"],
        "summary": said["description"][:SUMMARY_LENGTH],
        "licence": labels.get(OCI + "licenses", "").strip(),
    }
    source = labels.get(OCI + "source", "")
    if source.startswith("https://"):
        found["references"] = [source]
    return {field: value for field, value in found.items() if value}
