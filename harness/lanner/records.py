"""Frozen dataclasses that cross module boundaries, and the canonical JSON that hashes are taken of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cached_property
from json.encoder import encode_basestring as _quoted
from math import isfinite
from typing import Any, Self

CONTROL = "control"
"""The perturbation label of control cells in every normalised dataset and staged input."""

COMBINATION = "+"
"""Joins the targets of a combination, sorted, in every normalised dataset and staged input."""


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no spaces, no NaN. Hashes are taken of its UTF-8 bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def indented_json(value: Any) -> str:
    """``value`` as people read it: indented by one, keys in the order given, no NaN.

    The text of ``json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)`` in less time: its encoder
    yields every comma by itself.
    """
    return _indented(value, "\n ")


def _indented(value: Any, margin: str) -> str:
    kind = type(value)
    if kind is str:
        return _quoted(value)
    if kind is int or (kind is float and isfinite(value)):
        return repr(value)
    if isinstance(value, dict) and value:
        deeper = margin + " "
        items = [f"{margin}{_key(key)}: {_indented(item, deeper)}" for key, item in value.items()]
        return f"{{{','.join(items)}{margin[:-1]}}}"
    if isinstance(value, list | tuple) and value:
        deeper = margin + " "
        return f"[{','.join([margin + _indented(item, deeper) for item in value])}{margin[:-1]}]"
    if value is None or value is True or value is False:
        return "null" if value is None else "true" if value else "false"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)  # empty, or of a type to be refused


def _key(key: Any) -> str:
    return _quoted(key) if type(key) is str else json.dumps({key: 0})[1:-4]


def sha256_json(value: Any) -> str:
    """SHA-256 of ``canonical_json(value)``, as hexadecimal."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def derived_seed(text: str, purpose: str) -> int:
    """A 63-bit seed for ``purpose`` that depends on ``text`` (a hash or a seed) and on nothing else."""
    return int.from_bytes(hashlib.sha256(f"{purpose}\0{text}".encode()).digest()[:8], "big") >> 1


def context_id(values: Iterable[str]) -> str:
    """The id of a context: its covariate values in the order the dataset entry declares them."""
    return "|".join(values)


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A perturbation in a context: the unit that is held out, requested and scored.

    ``n_cells`` counts cells of the dataset (replicate rows for profiles). A control condition has
    ``perturbation == CONTROL`` and no targets.
    """

    perturbation: str
    targets: tuple[str, ...]
    context: tuple[str, ...]
    dose: str = ""
    n_cells: int = 0

    @property
    def context_id(self) -> str:
        """Id of the context, ``cell line|donor``."""
        return context_id(self.context)

    @property
    def id(self) -> str:
        """``perturbation[@dose]|context values``; unique within a dataset."""
        label = f"{self.perturbation}@{self.dose}" if self.dose else self.perturbation
        return "|".join((label, *self.context))

    @property
    def is_control(self) -> bool:
        """Whether these are unperturbed cells."""
        return self.perturbation == CONTROL


class ControlPolicy(StrEnum):
    """How a context's control cells are shared between the method and the truth (metrics.md section 1)."""

    HALVED = "halved"
    SHARED = "shared"


@dataclass(frozen=True, kw_only=True)
class Split:
    """Which conditions are train, valid and test: sorted condition ids, a seed and a hash.

    ``design`` is ``{"id", "parameters", "seed"}`` as a leaderboard states it; ``id`` names one artefact of
    it, ``<design>[/<stratum>][/r<i>f<j>]``. ``controls`` gives each context's control policy. ``dataset``
    is ``{"id", "version", "content"}``, so that the hash covers the data. ``cells`` is None unless the split
    holds out cells within conditions, which are then in several parts: it says how they are cut
    (``lanner.splits.cell_parts``), and is in the saved form only where it is set.
    """

    id: str
    design: Mapping[str, Any]
    dataset: Mapping[str, str]
    train: tuple[str, ...]
    valid: tuple[str, ...]
    test: tuple[str, ...]
    controls: Mapping[str, ControlPolicy]
    cells: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """The saved form, schemas/split.schema.json."""
        document = {"format": "lanner-split/1", **json.loads(json.dumps(asdict(self)))}
        if self.cells is None:
            del document["cells"]
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read ``to_json`` back."""
        return cls(
            id=document["id"],
            design=document["design"],
            dataset=document["dataset"],
            train=tuple(document["train"]),
            valid=tuple(document["valid"]),
            test=tuple(document["test"]),
            controls={key: ControlPolicy(value) for key, value in document["controls"].items()},
            cells=document.get("cells"),
        )

    @cached_property
    def sha256(self) -> str:
        """Hash of the saved form: the split's identity."""
        return sha256_json(self.to_json())


@dataclass(frozen=True, kw_only=True)
class Request:
    """One row of requests.csv: a held-out condition the method must predict."""

    request_id: str
    condition: Condition


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one run may use."""

    cpus: float = 1.0
    memory_mb: int = 2048
    gpus: int = 0
    timeout_s: int = 600
    output_mb: int = 2048
    tmp_mb: int = 1024
    processes: int = 1024
    output_files: int = 1000

    @property
    def keyed(self) -> dict[str, Any]:
        """The part that may change a result and so belongs to a run's key."""
        return {
            "cpus": self.cpus,
            "memory_mb": self.memory_mb,
            "gpus": self.gpus,
            "timeout_s": self.timeout_s,
        }


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One of ``of`` parts that a scoring is cut into, by conditions; ``number`` counts from 0.

    A shard holds every ``of``-th piece of what can be scored alone. All of them together are the whole, row
    for row and bit for bit; the default is the whole.
    """

    number: int = 0
    of: int = 1


class State(StrEnum):
    """States of a run (design.md, "Runs"); the last four are terminal."""

    PENDING = "pending"
    QUEUED = "queued"
    PULLING = "pulling"
    PREPARING = "preparing"
    RUNNING = "running"
    VALIDATING = "validating"
    SCORING = "scoring"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more will happen to the attempt."""
        return self in {State.SUCCEEDED, State.FAILED, State.SKIPPED, State.CANCELLED}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a container or process ended, as its runner saw it; ``error_class`` None means exit 0.

    ``message`` is one printable sentence. ``usage`` holds wall_seconds, cpu_seconds, peak_memory_mb,
    peak_gpu_memory_mb and output_mb, each None where the runner cannot know. ``provenance`` says what ran
    (image id, digests).
    """

    error_class: str | None
    exit_code: int | None
    message: str
    usage: Mapping[str, float | None] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)


def printable(text: str, keep: str = "") -> str:
    """``text`` with every character that could move a cursor or reorder a line shown as an escape."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode()
        for char in text
    )
