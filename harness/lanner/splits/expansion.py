"""From a split design to its artefacts. Pure: nothing is read, nothing depends on order or process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lanner.errors import ConfigurationError
from lanner.records import Condition, ControlPolicy, Split
from lanner.registry import unknown_name
from lanner.splits.compatibility import ALIASES, named
from lanner.splits.design import SPLITS, Draw, Effects, Holdout, Material, SplitDesign, ids
from lanner.splits.parameters import filled_in

HALVED_FROM = 100
"""Controls a context needs before auto cuts them in two halves (metrics.md section 1)."""


def expand(
    design: Mapping[str, Any],
    conditions: Sequence[Condition],
    n_controls: Mapping[str, int],
    dataset: Mapping[str, str],
    kind: str,
    *,
    context_columns: Sequence[str] = (),
    effects: Effects | None = None,
) -> tuple[Split, ...]:
    """The artefacts ``<id>[/<stratum>][/r<i>f<j>]`` of a design, sorted by id.

    Parameters
    ----------
    design
        ``{"id", "parameters", "seed"}``; parameters left out take their defaults, the seed 0. The id is a
        design's or a name another benchmark gives to one with certain parameters. What was resolved is
        stored in every artefact, and expanding that again gives the same artefacts.
    conditions
        The dataset's conditions in any order; control conditions are passed over.
    n_controls
        Control cells (rows, for profiles) of each context; a context that is not named has none.
    dataset
        ``{"id", "version", "content"}``.
    kind
        ``cells`` or ``profile``; minimum_cells does not apply to profiles, and auto shares their controls.
    context_columns
        Names of the values of a condition's context, in order; a design by time looks its column up.
    effects
        Gives each condition's measured change, for the designs that are fitted on truth.

    Raises
    ------
    ConfigurationError
        For an unknown design or parameter, a value out of range, or a cut that leaves nothing to test or
        nothing to train on.
    """
    rule, parameters, seed = _read(design)
    material = _material(rule, parameters, conditions, n_controls, dataset["id"], kind)
    material = replace(material, kind=kind, context_columns=tuple(context_columns), effects=effects)
    contexts = {c.context_id for c in material.conditions} | set(n_controls)
    controls = {c: _policy(c, n_controls.get(c, 0), parameters["controls"], kind) for c in sorted(contexts)}
    stored = {"id": rule.id, "parameters": parameters, "seed": seed}
    splits = [
        Split(id=name, design=stored, dataset=dict(dataset), controls=controls, **_parts(material, name, cut))
        for name, cut in _holdouts(rule, parameters, seed, material)
    ]
    return tuple(sorted(splits, key=lambda split: split.id))


def _read(design: Mapping[str, Any]) -> tuple[SplitDesign, dict[str, Any], int]:
    for key in design:
        if key not in ("id", "parameters", "seed"):
            raise unknown_name("field of a split design", key, ("id", "parameters", "seed"))
    if not isinstance(design.get("id"), str):
        raise ConfigurationError(f"a split design needs an id, one of {', '.join(SPLITS)}; add it")
    if design["id"] in ALIASES:
        design = named(design)
    elif design["id"] not in SPLITS:
        raise unknown_name("split design", design["id"], (*SPLITS, *ALIASES))
    rule = SPLITS[design["id"]]
    seed = design.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise ConfigurationError(f"split {rule.id}: seed {seed!r} is not a whole number from 0; correct it")
    given = design.get("parameters") or {}
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"split {rule.id}: parameters must map names to values; correct them")
    return rule, filled_in(rule.id, rule.parameters, given), seed


def _material(
    rule: SplitDesign,
    parameters: Mapping[str, Any],
    conditions: Sequence[Condition],
    n_controls: Mapping[str, int],
    dataset: str,
    kind: str,
) -> Material:
    perturbed = sorted((c for c in conditions if not c.is_control), key=lambda c: c.id)
    with_controls = [c for c in perturbed if n_controls.get(c.context_id, 0) > 0]
    least = parameters["minimum_cells"] if kind == "cells" else 0
    material = Material(
        design=rule.id,
        dataset=dataset,
        conditions=tuple(perturbed),
        testable=ids(c for c in with_controls if c.n_cells >= least),
    )
    twice = [name for name, n in Counter(c.id for c in perturbed).items() if n > 1]
    if twice:
        raise material.error(
            f"condition {twice[0]!r} is listed twice", "merge its cells in the dataset entry"
        )
    if not perturbed:
        raise material.error("it has no perturbed conditions", "check the entry's perturbation column")
    if not with_controls:
        raise material.error("no context with perturbations has controls", "check the entry's control label")
    if not material.testable:
        raise material.error(
            f"none of its {len(with_controls)} conditions has minimum_cells = {least} cells",
            "lower minimum_cells",
        )
    return material


def _policy(context: str, n: int, wanted: str, kind: str) -> ControlPolicy:
    """Shared where half the controls would be too noisy a reference, and for profiles."""
    if wanted == "auto":
        wanted = "halved" if kind == "cells" and n >= HALVED_FROM else "shared"
    if wanted == "halved" and n and (kind != "cells" or n < 2):
        raise ConfigurationError(
            f"controls of context {context!r} cannot be halved: it has {n} control {kind} rows; "
            "set controls to auto or shared"
        )
    return ControlPolicy.HALVED if wanted == "halved" and n else ControlPolicy.SHARED


def _holdouts(
    rule: SplitDesign, parameters: Mapping[str, Any], seed: int, material: Material
) -> Iterator[tuple[str, Holdout]]:
    repeats, folds = parameters.get("repeats", 1), parameters.get("folds", 1)
    for repeat in range(repeats):
        for fold in range(folds):
            suffix = f"r{repeat}f{fold}" if repeats > 1 or folds > 1 else ""
            draw = Draw(seed=seed, repeat=repeat, fold=fold, folds=folds)
            for cut in rule.function(material, parameters, draw):
                yield "/".join(filter(None, (rule.id, cut.stratum, suffix))), cut


def _parts(material: Material, name: str, cut: Holdout) -> dict[str, Any]:
    """Sorted ids of train, valid and test; what a design holds out wins over what it leaves out."""
    valid = cut.valid if cut.cells else cut.valid - cut.test
    held = frozenset[str]() if cut.cells else cut.test | cut.valid
    train = ids(material.conditions) - held - cut.left_out
    if not cut.test:
        raise material.error(
            f"{name} has no condition left to test", "hold out more, lower minimum_cells or take another seed"
        )
    if not train:
        raise material.error(
            f"{name} has no condition left to train on", "hold out less or lower valid_fraction"
        )
    parts = {"train": tuple(sorted(train)), "valid": tuple(sorted(valid)), "test": tuple(sorted(cut.test))}
    return {**parts, "cells": cut.cells}
