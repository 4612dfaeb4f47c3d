"""Hold out contexts: predict a perturbation where it was not measured."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from lanner.records import sha256_json
from lanner.splits.design import (
    Draw,
    Holdout,
    Material,
    ids,
    reserve_conditions,
    round_half_up,
    split_design,
)
from lanner.splits.parameters import FOLDS, Parameter, fraction

PAIRS = {"mode": "pairs"}
COUNT = {"type": "integer", "minimum": 1}


@split_design(
    "unseen-context",
    Parameter(
        name="mode",
        default="pairs",
        help="pairs: some contexts of each perturbation; whole: every context in turn, one artefact each.",
        schema={"enum": ["pairs", "whole"]},
    ),
    fraction(1.0, "Share of the perturbations measured in enough contexts that lose some.", only=PAIRS),
    Parameter(
        name="max_heldout_contexts",
        default=1,
        help="At most so many contexts of one perturbation are held out.",
        schema=COUNT,
        only=PAIRS,
    ),
    Parameter(
        name="min_train_contexts",
        default=1,
        help="At least so many contexts of every perturbation stay in train.",
        schema=COUNT,
        only=PAIRS,
    ),
    replace(FOLDS, only=PAIRS),
    Parameter(
        name="max_heldout_fraction_per_context",
        default=1.0,
        help="At most this share of the perturbations of one context is held out.",
        schema={"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        only=PAIRS,
        implicit=True,
    ),
    Parameter(
        name="max_heldout_per_context",
        default=None,
        help="At most so many perturbations of one context are held out; no limit when null.",
        schema={"type": ["integer", "null"], "minimum": 1},
        only=PAIRS,
        implicit=True,
    ),
    Parameter(
        name="valid_share_of_heldout",
        default=0.0,
        help="Share of the held-out pairs of each context that is validation instead of test.",
        schema={"type": "number", "minimum": 0, "exclusiveMaximum": 1},
        only=PAIRS,
        implicit=True,
    ),
)
def unseen_context(material: Material, parameters: Mapping[str, Any], draw: Draw) -> Iterator[Holdout]:
    """Hold out contexts of known perturbations, or one whole context in turn.

    ``pairs`` is the covariate transfer of PerturBench (arXiv:2408.10609), ``whole`` the task of scGen
    (doi:10.1038/s41592-019-0494-8) and Zhu. The controls of a held-out context stay. ``folds`` cut the
    perturbations; a fold's perturbations lose contexts, all others are whole.
    """
    if len({c.context_id for c in material.conditions}) < 2:
        raise material.error(
            "it has perturbations in one context only", "use unseen-perturbation or unseen-combination"
        )
    cut = _pairs if parameters["mode"] == "pairs" else _whole
    yield from cut(material, parameters, draw)


def _pairs(material: Material, parameters: Mapping[str, Any], draw: Draw) -> Iterator[Holdout]:
    """Pairs that are not testable are not candidates, so they stay in train and leak nothing."""
    least = parameters["min_train_contexts"]
    contexts: dict[str, set[str]] = {}
    candidates: dict[str, set[str]] = {}
    for c in material.conditions:
        contexts.setdefault(c.perturbation, set()).add(c.context_id)
        if c.id in material.testable:
            candidates.setdefault(c.perturbation, set()).add(c.context_id)
    units = [p for p in candidates if len(contexts[p]) > least]
    if not units:
        raise material.error(
            f"no testable perturbation is measured in {least + 1} or more contexts",
            "lower min_train_contexts or minimum_cells, or use unseen-perturbation",
        )
    if draw.folds > len(units):
        raise material.error(
            f"{draw.folds} folds cannot be cut from {len(units)} perturbations", "lower folds"
        )
    room = _room(material, parameters)
    held: set[tuple[str, str]] = set()
    for p in draw.held_out(units, parameters.get("fraction"), most=len(units)):
        count = min(parameters["max_heldout_contexts"], len(contexts[p]) - least)
        open_to = [(p, context) for context in candidates[p] if room[context] > 0]
        for pair in draw.ranked(open_to, "contexts")[:count]:
            held.add(pair)
            room[pair[1]] -= 1
    inside = ids(c for c in material.conditions if (c.perturbation, c.context_id) in held)
    rest = [c for c in material.conditions if c.id not in inside]
    kept = _kept_for_validation(held, draw, parameters.get("valid_share_of_heldout", 0.0))
    valid = ids(c for c in material.conditions if (c.perturbation, c.context_id) in kept)
    yield Holdout(
        test=(inside & material.testable) - valid,
        valid=valid | reserve_conditions(rest, draw, parameters["valid_fraction"], min_train_contexts=least),
        left_out=inside - material.testable - valid,
    )


def _room(material: Material, parameters: Mapping[str, Any]) -> dict[str, float]:
    """How many perturbations of each context may be held out (PerturBench's two limits)."""
    share = parameters.get("max_heldout_fraction_per_context", 1.0)
    most = parameters.get("max_heldout_per_context") or math.inf
    pairs = {(c.perturbation, c.context_id) for c in material.conditions}
    sizes = Counter(context for _, context in pairs)
    return {context: min(most, math.floor(share * n + 1e-9)) for context, n in sizes.items()}


def _kept_for_validation(held: set[tuple[str, str]], draw: Draw, share: float) -> set[tuple[str, str]]:
    """A share of the held-out pairs of each context; one pair alone stays in test."""
    by_context: dict[str, list[tuple[str, str]]] = {}
    for pair in held:
        by_context.setdefault(pair[1], []).append(pair)
    kept: set[tuple[str, str]] = set()
    for pairs in by_context.values():
        count = min(round_half_up(share * len(pairs)), len(pairs) - 1)
        kept |= set(draw.ranked(pairs, "valid of held out")[:count])
    return kept


def _whole(material: Material, parameters: Mapping[str, Any], draw: Draw) -> Iterator[Holdout]:
    """A context without testable conditions (no controls, too few cells) gets no artefact, stays in train."""
    contexts = {c.context_id for c in material.conditions if c.id in material.testable}
    names = slugs({c.context_id for c in material.conditions})
    for context in sorted(contexts):
        inside = ids(c for c in material.conditions if c.context_id == context)
        rest = [c for c in material.conditions if c.id not in inside]
        yield Holdout(
            stratum=names[context],
            test=inside & material.testable,
            valid=reserve_conditions(rest, draw, parameters["valid_fraction"], min_train_contexts=1),
            left_out=inside - material.testable,
        )


def slugs(contexts: Iterable[str]) -> dict[str, str]:
    """A name for every context that can stand in an id: ``CD14+Mono`` is ``cd14-mono``.

    Contexts that would share a name get the start of their SHA-256 behind it, all of them, so that a name
    says the same whatever else is in the data.
    """
    plain = {context: _slug(context) for context in contexts}
    times = Counter(plain.values())
    return {
        context: name if times[name] == 1 else f"{name}-{sha256_json(context)[:8]}"
        for context, name in plain.items()
    }


def _slug(text: str) -> str:
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only).strip("-") or "context"
