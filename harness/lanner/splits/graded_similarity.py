"""Hold out at growing distance: a series of splits whose train and test parts are less and less alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from lanner.records import derived_seed
from lanner.splits.design import Draw, Holdout, Material, ids, per_cent, split_design
from lanner.splits.parameters import Parameter

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

LEAST = 4
"""Perturbations that must survive at a step of the series: fewer make no train and test part."""
MARK = "fitted on truth: which conditions are held out depends on their measured effects"


@split_design(
    "graded-similarity",
    Parameter(
        name="fraction",
        default=0.2,
        help="Share of the surviving perturbations held out at each step.",
        schema={"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    ),
    Parameter(
        name="similarity",
        default="cosine",
        help="Of mean measured effects: their cosine, or the negative Euclidean distance of PertEval.",
        schema={"enum": ["cosine", "negative-l2"]},
    ),
    Parameter(
        name="steps",
        default=11,
        help="Number of steps of the series, evenly spaced from s = 0.",
        schema={"type": "integer", "minimum": 2, "maximum": 101},
    ),
    Parameter(
        name="highest",
        default=1.0,
        help="The last s of the series.",
        schema={"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    ),
    without=["folds"],
    mark=MARK,
)
def graded_similarity(material: Material, parameters: Mapping[str, Any], draw: Draw) -> Iterator[Holdout]:
    """Hold out perturbations less and less like what is trained on: a series from s = 0.

    SPECTRA (Ektefaie 2024, doi:10.1038/s42256-024-00931-6) as PertEval-scFM uses it. The unit is the
    perturbation label, its effect the mean over its conditions. At step s the perturbations are visited in
    random order; each one that is still there stays, and of the others every one whose similarity to it is
    above the (1 - s) quantile of all pairs is left out with probability s. A fraction of the survivors is
    tested. The coin of a pair and the order are the same at every step. Steps with fewer than 4 survivors
    have no artefact, so that series end at different s: ``lanner.aggregate.auspc`` divides by the range.
    """
    if material.effects is None:
        raise material.error("effects were not measured", "resolve the split from a dataset")
    import numpy as np

    names, profiles = _profiles(material, material.effects())
    if len(names) < LEAST:
        raise material.error(
            f"it has {len(names)} perturbations with controls, and a series takes {LEAST}",
            "use another design",
        )
    order = {name: place for place, name in enumerate(draw.ranked(names, "graded order"))}
    rank = np.argsort([order[name] for name in names])
    text = f"{draw.seed}/{draw.repeat}"
    coins = np.array([derived_seed(f"{text}/{name}", "graded coin") for name in names], dtype=np.uint64)
    similarity = _similarity(profiles, parameters["similarity"])
    steps = parameters["steps"]
    grid = [round(parameters["highest"] * step / (steps - 1), 6) for step in range(steps)]
    above = similarity[np.triu_indices(len(names), 1)]
    thresholds = np.quantile(above, [1 - s for s in grid])
    del above
    for s, threshold in zip(grid, thresholds, strict=True):
        alive = _survivors(similarity, rank, coins, s, float(threshold))
        survivors = frozenset(name for name, kept in zip(names, alive, strict=True) if kept)
        cut = _cut(material, parameters, draw, survivors, s)
        if len(survivors) >= LEAST and cut.test:
            yield cut


def _cut(
    material: Material, parameters: Mapping[str, Any], draw: Draw, survivors: frozenset[str], s: float
) -> Holdout:
    testable = {c.perturbation for c in material.conditions if c.id in material.testable}
    units = survivors & testable
    most = min(len(units), len(survivors) - 1)
    tested = frozenset(draw.held_out(units, parameters["fraction"], most=most)) if most > 0 else frozenset()
    rest = survivors - tested
    kept = frozenset(draw.reserved(rest, parameters["valid_fraction"], most=len(rest) - 1))
    held = ids(c for c in material.conditions if c.perturbation in tested)
    gone = ids(c for c in material.conditions if c.perturbation not in survivors)
    return Holdout(
        stratum=f"s{per_cent(s)}",
        test=held & material.testable,
        valid=ids(c for c in material.conditions if c.perturbation in kept),
        left_out=gone | (held - material.testable),
    )


def _profiles(material: Material, effects: Mapping[str, Array]) -> tuple[list[str], Array]:
    """Perturbations with a measured effect, sorted, and its mean over conditions, ``(n, n_genes)``."""
    import numpy as np

    found: dict[str, list[Array]] = {}
    for condition in material.conditions:
        if condition.id in effects:
            found.setdefault(condition.perturbation, []).append(effects[condition.id])
    names = sorted(found)
    return names, np.array([np.mean(found[name], axis=0) for name in names])


def _similarity(profiles: Array, kind: str) -> Array:
    """Float32 ``(n, n)``, rounded: a library's last bits must not decide what is held out."""
    import numpy as np

    if kind == "cosine":
        norm = np.linalg.norm(profiles, axis=1, keepdims=True)
        unit = np.divide(profiles, norm, out=np.zeros_like(profiles), where=norm > 0)
        answer = unit @ unit.T
    else:
        squares = (profiles**2).sum(axis=1)
        answer = -np.sqrt(np.maximum(squares[:, None] + squares - 2 * profiles @ profiles.T, 0))
    rounded: Array = np.round(answer, 5).astype(np.float32)
    return rounded


def _survivors(similarity: Array, rank: Array, coins: Array, s: float, threshold: float) -> Array:
    """Bool ``(n,)``: who is left after each one still there, in order, has driven out its like."""
    import numpy as np

    alive = np.ones(len(rank), dtype=bool)
    if s == 0:
        return alive
    visited = np.zeros(len(rank), dtype=bool)
    for node in rank:
        if not alive[node]:
            continue
        visited[node] = True
        near = (similarity[node] >= threshold) if s == 1 else (similarity[node] > threshold)
        near &= ~visited
        if near.any():
            places = np.flatnonzero(near)
            alive[places[_uniform(coins[node] ^ coins[places]) < s]] = False
    return alive


def _uniform(bits: Array) -> Array:
    """Float64 in [0, 1) of uint64: the finaliser of SplitMix64 (Steele 2014, doi:10.1145/2660193.2660195)."""
    import numpy as np

    x = bits.astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x = x ^ (x >> np.uint64(31))
    return (x >> np.uint64(11)).astype(np.float64) / float(1 << 53)
