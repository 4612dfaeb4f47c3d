"""Hold out at growing distance: a series of splits whose train and test parts are less and less alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lanner.records import Condition, derived_seed
from lanner.splits.design import Draw, Holdout, Material, per_cent, split_design
from lanner.splits.parameters import Parameter

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

LEAST = 4
"""Perturbations that must survive at a step of the series: fewer make no train and test part."""
LEVELS = 100_000
"""Steps on which similarities are compared, from 0 to the largest there can be."""
ROWS = 128
"""Perturbations compared with all later ones at a time: their similarities stay near a core."""
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
    apart=True,
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

    own = {condition: condition.id for condition in material.conditions}
    names, profiles = _profiles(own, material.effects())
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
    thresholds = _quantiles(similarity, [1 - s for s in grid])
    for s, threshold in zip(grid, thresholds, strict=True):
        alive = _survivors(similarity, rank, coins, s, threshold)
        survivors = frozenset(name for name, kept in zip(names, alive, strict=True) if kept)
        cut = _cut(material, own, parameters, draw, survivors, s)
        if len(survivors) >= LEAST and cut.test:
            yield cut


def _cut(
    material: Material,
    own: Mapping[Condition, str],
    parameters: Mapping[str, Any],
    draw: Draw,
    survivors: frozenset[str],
    s: float,
) -> Holdout:
    """One step of the series; ``own`` has the id of each condition."""
    testable = {c.perturbation for c, name in own.items() if name in material.testable}
    units = survivors & testable
    most = min(len(units), len(survivors) - 1)
    tested = frozenset(draw.held_out(units, parameters["fraction"], most=most)) if most > 0 else frozenset()
    rest = survivors - tested
    kept = frozenset(draw.reserved(rest, parameters["valid_fraction"], most=len(rest) - 1))
    held = frozenset(name for c, name in own.items() if c.perturbation in tested)
    gone = frozenset(name for c, name in own.items() if c.perturbation not in survivors)
    return Holdout(
        stratum=f"s{per_cent(s)}",
        test=held & material.testable,
        valid=frozenset(name for c, name in own.items() if c.perturbation in kept),
        left_out=gone | (held - material.testable),
    )


def _profiles(own: Mapping[Condition, str], effects: Mapping[str, Array]) -> tuple[list[str], Array]:
    """Perturbations with a measured effect, sorted, and its mean over conditions, ``(n, n_genes)``."""
    import numpy as np

    found: dict[str, list[Array]] = {}
    for condition, name in own.items():
        if name in effects:
            found.setdefault(condition.perturbation, []).append(effects[name])
    names = sorted(found)
    means = [found[name][0] if len(found[name]) == 1 else np.mean(found[name], axis=0) for name in names]
    return names, np.array(means)


def _similarity(profiles: Array, kind: str) -> Array:
    """Int32 ``(n, n)`` in units of the largest over LEVELS: last bits must not decide anything."""
    import numpy as np

    n = len(profiles)
    squares = (profiles**2).sum(axis=1)
    if kind == "cosine":
        norm = np.sqrt(squares)[:, None]
        profiles = np.divide(profiles, norm, out=np.zeros_like(profiles), where=norm > 0)
        largest = 1.0
    else:
        largest = 2 * float(np.sqrt(squares.max())) or 1.0  # no two are further apart
    answer = np.empty((n, n), dtype=np.int32)
    room = np.empty(min(ROWS, n) * n)
    for start in range(0, n, ROWS):  # at once, 10,000 perturbations would take several GiB
        rows, later = slice(start, start + ROWS), slice(start, n)
        shape = len(profiles[rows]), n - start
        values = np.matmul(profiles[rows], profiles[later].T, out=room[: shape[0] * shape[1]].reshape(shape))
        if kind != "cosine":
            values *= -2
            values += squares[rows, None]
            values += squares[later]
            np.sqrt(np.maximum(values, 0, out=values), out=values)
        values *= (1 if kind == "cosine" else -1) * LEVELS / largest
        answer[rows, later] = np.rint(values, out=values)
        answer[later, rows] = answer[rows, later].T  # each pair is compared once
    return answer


def _quantiles(similarity: Array, shares: Sequence[float]) -> list[int]:
    """The least levels that at least these shares of all pairs do not exceed."""
    import numpy as np

    counts = np.zeros(2 * LEVELS + 1, dtype=np.int64)
    for start in range(0, len(similarity), 4 * ROWS):
        stop = start + 4 * ROWS
        own, later = similarity[start:stop, start:stop], similarity[start:stop, stop:]
        counts += np.bincount(own.ravel() + LEVELS, minlength=len(counts))
        counts += 2 * np.bincount(later.ravel() + LEVELS, minlength=len(counts))
    counts -= np.bincount(similarity.diagonal() + LEVELS, minlength=len(counts))
    share = counts.cumsum() / counts.sum()
    return [int(np.searchsorted(share, wanted - 1e-12)) - LEVELS for wanted in shares]


def _survivors(similarity: Array, rank: Array, coins: Array, s: float, threshold: int) -> Array:
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
