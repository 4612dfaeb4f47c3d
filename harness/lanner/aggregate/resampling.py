"""How conditions are resampled: by target gene and, where there are enough of them, by context.

Conditions that share a gene are not independent: an interval that counts each of Norman's doubles as one
observation understates their error 2.3-fold (metrics.md section 5).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from lanner.records import COMBINATION, derived_seed

Array = np.ndarray[Any, Any]

DRAWS = 10_000
GENE = "target gene"
"""The way of resampling that most metrics have; a card may call it otherwise."""
MIN_UNITS = 6
"""Fewer genes, or contexts, cannot be resampled."""
MAX_T = 20
"""Up to this many units Student's t stands in for the bootstrap."""
_BLOCK = 1 << 23
"""Weights held at a time."""


@lru_cache(maxsize=4)
def resampling_of(perturbations: tuple[str, ...], contexts: tuple[str, ...], seed_text: str) -> Resampling:
    """The resampling of these conditions, kept for the next metric that is defined on the same ones."""
    return Resampling(perturbations, contexts, seed_text)


class Resampling:
    """Units of n conditions, their bootstrap and jackknife, and the variance of a mean that follows.

    Units are target genes: each draws a multinomial count, and a condition weighs the product of its targets'
    counts (w_A w_B for a double), so that all conditions of a gene come and go together; all contexts and
    doses of a perturbation share its weight. With 6 or more contexts contexts are drawn too and multiply
    (two-way, or pigeonhole, bootstrap; Owen 2007, doi:10.1214/07-AOAS122); fewer are taken as they are. A
    gene that every condition targets cannot be drawn: it is part of the question, and where no other gene is
    left contexts are the only units.
    """

    def __init__(self, perturbations: Sequence[str], contexts: Sequence[str], seed_text: str) -> None:
        self._perturbations, self._contexts = tuple(perturbations), tuple(contexts)
        self._seed_text = seed_text

    def subset(self, chosen: Array) -> Resampling:
        """The same for some of the conditions, bool ``(n,)``."""
        if chosen.all():
            return self
        return resampling_of(
            tuple(name for name, keep in zip(self._perturbations, chosen, strict=True) if keep),
            tuple(name for name, keep in zip(self._contexts, chosen, strict=True) if keep),
            self._seed_text,
        )

    @cached_property
    def ways(self) -> dict[str, Array]:
        """Bool ``(n, units)`` of each way conditions are resampled: ``target gene``, ``context``."""
        genes = _members([set(name.split(COMBINATION)) for name in self._perturbations])
        contexts = _members([{name} for name in self._contexts])
        genes = genes[:, ~genes.all(axis=0)]
        ways = {GENE: genes} if genes.shape[1] else {}
        if not ways or contexts.shape[1] >= MIN_UNITS:
            ways["context"] = contexts
        return ways

    @property
    def bootstraps(self) -> bool:
        """Whether there are units enough for a bootstrap."""
        return self.n_units > MAX_T

    @property
    def unit(self) -> str:
        """What is resampled, in words."""
        return " and ".join(self.ways)

    @cached_property
    def n_units(self) -> float:
        """Effective number of units of the smallest way.

        (sum d)^2 / sum d^2 for units that d conditions have (Kish 1965): a gene in most doubles leaves little
        to resample, however many partners it has.
        """
        sizes = [way.sum(axis=0, dtype=np.float64) for way in self.ways.values()]
        return float(min(size.sum() ** 2 / (size**2).sum() for size in sizes))

    @property
    def freedom(self) -> float:
        """Degrees of freedom of ``variance``: those of its rarest units.

        Too few where conditions of one unit have nothing in common, which makes intervals too wide rather
        than too narrow: Satterthwaite's mixture covered 89 % where genes explained half of the variance.
        """
        return self.n_units - 1

    @cached_property
    def label(self) -> Array | None:
        """``(n,)`` number of the one unit of each condition; None where a condition has several."""
        joined = np.concatenate(list(self.ways.values()), axis=1)
        return joined.argmax(axis=1) if (joined.sum(axis=1) == 1).all() else None

    def draws(self, columns: Array) -> Array:
        """Bootstrap means ``(<= DRAWS, k)`` of ``columns`` ``(n, k)``.

        Draws that leave no condition are absent. Seeded by the seed text alone, so every column and every
        method meets the same draws.
        """
        n = len(self._perturbations)
        blocks = self._kept if n * DRAWS <= _BLOCK else self._weights()
        return np.concatenate([weights @ columns for weights in blocks])

    @cached_property
    def _kept(self) -> list[Array]:
        return list(self._weights())

    def _weights(self) -> Iterator[Array]:
        """Weights ``(block, n)`` that sum to 1, a block of draws at a time."""
        n = len(self._perturbations)
        counts = _counts(self._seed_text, tuple(way.shape[1] for way in self.ways.values()))
        members = [_padded(way) for way in self.ways.values()]
        step = max(1, _BLOCK // n)
        for start in range(0, DRAWS, step):
            weights = np.ones((min(step, DRAWS - start), n))
            for count, places in zip(counts, members, strict=True):
                block = np.pad(count[start : start + step], ((0, 0), (0, 1)), constant_values=1)
                for column in places.T:
                    weights *= block[:, column]
            totals = weights.sum(axis=1)
            kept = totals > 0
            yield weights[kept] / totals[kept, None]

    def left_out(self, columns: Array) -> Array:
        """Means ``(units, k)`` of ``columns`` ``(n, k)`` without the conditions of one unit."""
        return np.concatenate([means for means, _ in self._jackknife(columns)])

    def _jackknife(self, columns: Array) -> Iterator[tuple[Array, int]]:
        for way in self.ways.values():
            left = (~way).T.astype(np.float64)
            kept = left.sum(axis=1) > 0
            yield left[kept] @ columns / left[kept].sum(axis=1, keepdims=True), int(kept.sum())

    def variance(self, values: Array) -> float:
        """Variance of the mean of ``values`` ``(n,)``.

        The jackknife over units, summed over ways; pairs of conditions that share s > 1 units were counted s
        times and are taken off s - 1 times, as in dyadic and two-way cluster-robust variances (Cameron,
        Gelbach and Miller 2011, doi:10.1198/jbes.2010.07136; Aronow, Samii and Assenova 2015,
        doi:10.1093/pan/mpv018). Never below that of independent conditions, s^2/n, which it is for one
        condition per unit.
        """
        n = len(values)
        residuals = values - values.mean()
        independent = float(residuals @ residuals) / (n * (n - 1))
        clustered = -float(residuals @ self._counted_again @ residuals) / (n * (n - 1))
        for means, units in self._jackknife(residuals[:, None]):
            clustered += (units - 1) / units * float(means[:, 0] @ means[:, 0])
        return max(clustered, independent)

    @cached_property
    def _counted_again(self) -> Array:
        """``(n, n)``: how many units two conditions share beyond the first."""
        joined = np.concatenate(list(self.ways.values()), axis=1).astype(np.float64)
        return np.clip(joined @ joined.T - 1, 0, None)


def _members(sets: Sequence[set[str]]) -> Array:
    """Bool ``(n, units)``, units sorted by name."""
    units = sorted(set().union(*sets))
    place = {unit: number for number, unit in enumerate(units)}
    members = np.zeros((len(sets), len(units)), dtype=bool)
    for row, own in zip(members, sets, strict=True):
        row[[place[unit] for unit in own]] = True
    return members


def _padded(way: Array) -> Array:
    """``(n, most)`` places of each condition's units, padded with the place after the last."""
    most = int(way.sum(axis=1).max(initial=0))
    places = np.full((len(way), most), way.shape[1])
    for row, own in zip(places, way, strict=True):
        found = np.flatnonzero(own)
        row[: len(found)] = found
    return places


@lru_cache(maxsize=4)
def _counts(seed_text: str, units: tuple[int, ...]) -> tuple[Array, ...]:
    """How often each unit of each way is drawn, ``(DRAWS, units)``; small integers, so they are kept."""
    generator = np.random.default_rng(derived_seed(seed_text, "bootstrap"))
    return tuple(
        generator.multinomial(size, np.full(size, 1 / size), DRAWS).astype(np.uint16) for size in units
    )
