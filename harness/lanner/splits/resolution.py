"""From what a person or a leaderboard writes to the split artefacts of a dataset."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lanner.errors import ConfigurationError
from lanner.records import CONTROL, Split
from lanner.registry import unknown_name
from lanner.splits.compatibility import ALIASES, named
from lanner.splits.design import SPLITS
from lanner.splits.effects import measured_effects
from lanner.splits.expansion import expand

if TYPE_CHECKING:  # cutting needs no HDF5
    from lanner.datasets import Dataset


def resolve(
    dataset: Dataset, wanted: str | Mapping[str, Any] | None = None, *, seed: int | None = None
) -> tuple[Split, ...]:
    """The artefacts of ``dataset`` that ``wanted`` names, sorted by id.

    ``wanted`` is one of

    - None: every design the dataset's entry recommends;
    - a design id, ``unseen-context``: the first design of that id the entry recommends, else its defaults;
    - an artefact id or the start of one, ``unseen-context/cd4t``: of the first recommended design of that id
      that has such an artefact;
    - a name another benchmark gives to one of ours, ``gears-simulation`` (``compatibility.ALIASES``), also
      with the rest of an artefact id behind it;
    - a design, as a mapping or as JSON text: ``{"id", "parameters", "seed"}``; without ``parameters`` its id
      is looked up as above, and its ``seed`` replaces the recommended one.

    ``seed`` replaces the designs' own.

    Raises
    ------
    ConfigurationError
        For an unknown name, or what ``expand`` raises.
    """
    if isinstance(wanted, str) and wanted.lstrip().startswith("{"):
        wanted = _parsed(wanted)
    if isinstance(wanted, Mapping):
        if "parameters" in wanted or set(wanted) - {"id", "seed"} or not isinstance(wanted.get("id"), str):
            return _expanded(dataset, wanted, seed)
        seed = wanted.get("seed") if seed is None else seed
        wanted = str(wanted["id"])
    recommended = list(dataset.entry.splits)
    if wanted is None:
        if not recommended:
            raise ConfigurationError(
                f"dataset {dataset.entry.id} recommends no split; name one of {', '.join(SPLITS)}"
            )
        found = {split.sha256: split for design in recommended for split in _expanded(dataset, design, seed)}
        return tuple(sorted(found.values(), key=lambda split: split.id))
    name, slash, rest = str(wanted).partition("/")
    if name in ALIASES:
        # What the entry recommends of that design has other parameters than the name means.
        designs: list[Mapping[str, Any]] = [named({"id": name})]
        wanted = designs[0]["id"] + slash + rest
    elif name in SPLITS:
        designs = [design for design in recommended if design["id"] == name] or [{"id": name}]
    else:
        raise unknown_name("split design", name, (*SPLITS, *ALIASES))
    artefacts: list[str] = []
    for design in designs:
        splits = _expanded(dataset, design, seed)
        matching = tuple(s for s in splits if s.id == wanted or s.id.startswith(f"{wanted}/"))
        if matching:
            return matching
        artefacts += [split.id for split in splits]
    raise unknown_name(f"split artefact of dataset {dataset.entry.id}", str(wanted), artefacts)


def _parsed(text: str) -> Mapping[str, Any]:
    try:
        design = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"the split design is not JSON: {error}; correct it") from None
    assert isinstance(design, dict)  # the text starts with a brace
    return design


def _expanded(dataset: Dataset, design: Mapping[str, Any], seed: int | None) -> tuple[Split, ...]:
    if seed is not None:
        design = {**design, "seed": seed}
    controls = dataset.obs.loc[dataset.obs["perturbation"] == CONTROL, "context"]
    counts = {str(context): int(n) for context, n in controls.value_counts().items()}
    return expand(
        design,
        dataset.conditions,
        {context: counts.get(context, 0) for context in dataset.contexts},
        dataset.identity,
        dataset.entry.kind,
        context_columns=dataset.entry.context_columns,
        effects=lambda: measured_effects(dataset),
    )
