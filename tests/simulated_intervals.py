"""Simulated data of known truth for every kind of interval, and what the intervals cover."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from lanner.aggregate.intervals import Estimate, clopper_pearson_lower, interval, ratio_interval
from lanner.aggregate.resampling import Resampling, resampling_of
from lanner.aggregate.significance import p_value

Array = np.ndarray
SIMULATIONS = 1000
SEED_TEXT = "coverage"
LOGNORMAL = float(np.exp(0.32))


@dataclass(frozen=True)
class Case:
    """One kind of data: ``estimate`` draws a data set and returns its interval; ``truth`` is what it aims at.

    ``least`` and ``most`` are what is promised of its coverage.
    """

    kind: str
    data: str
    truth: float
    estimate: Callable[[np.random.Generator], Estimate]
    least: float = 0.92
    most: float = 0.98


@dataclass(frozen=True)
class Coverage:
    """What was found: the share of intervals that hold the truth, and of those that lie above or below it."""

    case: Case
    method: str
    covered: float
    above: float
    below: float

    @property
    def error(self) -> float:
        """Standard error of ``covered`` over the simulations."""
        return float(np.sqrt(self.covered * (1 - self.covered) / SIMULATIONS))


def singles(n: int) -> Resampling:
    """n targets in one context."""
    return resampling_of(tuple(f"G{i:03d}" for i in range(n)), ("c",) * n, SEED_TEXT)


def doubles(genes: int, n: int | None) -> tuple[Resampling, Array, Array]:
    """n of the pairs of so many genes, and the places of their first and second genes."""
    pairs = np.array([(a, b) for a in range(genes) for b in range(a)])
    if n is not None:
        pairs = pairs[np.sort(np.random.default_rng(5).choice(len(pairs), n, replace=False))]
    names = tuple(f"G{b:03d}+G{a:03d}" for a, b in pairs)
    return resampling_of(names, ("c",) * len(pairs), SEED_TEXT), pairs[:, 0], pairs[:, 1]


def grid(genes: int, contexts: int) -> Resampling:
    """Every gene in every context."""
    names = tuple(f"G{i:03d}" for i in range(genes) for _ in range(contexts))
    return resampling_of(names, tuple(f"c{j:02d}" for _ in range(genes) for j in range(contexts)), SEED_TEXT)


def cases() -> Iterator[Case]:
    """All kinds of intervals, each on several kinds of data."""
    yield from _means()
    yield from _doubles()
    yield from _grids()
    yield from _skills()
    yield from _differences()


def _means() -> Iterator[Case]:
    for n in (6, 10, 20, 21, 40, 120):
        of = singles(n)
        # Six to twenty strongly skewed values do not show their tail: no method can know of it.
        worst = 0.90 if n < 40 else 0.92
        for data, truth, draw, least in (
            ("normal", 0.0, lambda g, n=n: g.normal(size=n), 0.92),
            ("exponential", 1.0, lambda g, n=n: g.exponential(size=n), 0.90 if n < 40 else 0.92),
            ("log-normal, sigma 0.8", LOGNORMAL, lambda g, n=n: np.exp(0.8 * g.normal(size=n)), worst),
        ):
            kind = f"mean of {n} single targets"
            yield Case(kind, data, truth, lambda g, of=of, draw=draw: interval(draw(g), of), least)


EFFECTS = (("genes only", 1.0, 0.0), ("genes and noise", 1.0, 1.0), ("noise only", 0.0, 1.0))


def _doubles() -> Iterator[Case]:
    for genes, n in ((8, None), (12, 30), (18, 15), (28, 158), (104, 126)):
        of, a, b = doubles(genes, n)
        for data, sd_gene, sd_noise in EFFECTS:

            def estimate(g, of=of, a=a, b=b, genes=genes, sd_gene=sd_gene, sd_noise=sd_noise):
                effect = sd_gene * g.normal(size=genes)
                return interval(effect[a] + effect[b] + sd_noise * g.normal(size=len(a)), of)

            kind = f"mean of {len(a)} doubles of {genes} genes"
            yield Case(kind, data, 0.0, estimate, most=0.98 if sd_gene else 1.0)


def _grids() -> Iterator[Case]:
    for genes, contexts in ((9, 3), (8, 8), (20, 6), (21, 21)):
        of = grid(genes, contexts)
        both = contexts >= 6
        for data, sd_gene, sd_context, sd_noise in (
            ("genes only", 1.0, 0.0, 0.3),
            ("genes and contexts", 1.0, 1.0, 1.0),
            ("noise only", 0.0, 0.0, 1.0),
        ):
            if sd_context and not both:
                continue

            def estimate(
                g,
                of=of,
                shape=(genes, contexts),
                sds=(sd_gene, sd_context, sd_noise),
            ):
                rows, columns = g.normal(size=(shape[0], 1)), g.normal(size=(1, shape[1]))
                values = sds[0] * rows + sds[1] * columns + sds[2] * g.normal(size=shape)
                return interval(values.ravel(), of)

            kind = f"mean of {genes} targets x {contexts} contexts"
            yield Case(kind, data, 0.0, estimate, most=0.98 if sd_gene else 1.0)


def _skills() -> Iterator[Case]:
    """A method half way between the negative bound and the duplicate; skewed as mse is."""
    for n in (8, 15, 30, 100):
        of = singles(n)
        for data, gap in (("one best negative", 1.0), ("two equal negatives", 0.0)):

            def estimate(g, of=of, n=n, gap=gap):
                level = 1 + g.gamma(4.0, 0.25, size=n)
                own = 0.15 * g.normal(size=(4, n))
                columns = -np.stack(
                    [1.5 * level + own[0], level + own[1], 2 * level + own[2], (2 + gap) * level + own[3]],
                    axis=1,
                )
                best = int(columns[:, 2:].mean(axis=0).argmax()) + 2
                return ratio_interval(
                    columns[:, 0] - columns[:, best],
                    columns[:, 1] - columns[:, best],
                    of,
                    columns,
                    lambda m: (m[:, 0] - m[:, 2:].max(axis=1)) / (m[:, 1] - m[:, 2:].max(axis=1)),
                )

            yield Case(f"skill of {n} conditions", data, 0.5, estimate)


def _differences() -> Iterator[Case]:
    for n in (10, 60):
        of = singles(n)

        def estimate(g, of=of, n=n):
            shared = g.gamma(2.0, 1.0, size=n)
            return interval((shared + 0.3 * g.normal(size=n) + 0.2) - shared, of)

        yield Case(f"paired difference of {n} conditions", "common part skewed", 0.2, estimate)


def measure(case: Case, simulations: int = SIMULATIONS, seed: int = 0) -> Coverage:
    """Draw data sets of one kind and count how often the interval holds the truth."""
    generator = np.random.default_rng([seed, *case.kind.encode(), *case.data.encode()])
    above = below = 0
    method = ""
    for _ in range(simulations):
        estimate = case.estimate(generator)
        method = estimate.method
        assert estimate.interval is not None, method
        low, high = estimate.interval
        above += case.truth < low
        below += case.truth > high
    return Coverage(case, method, 1 - (above + below) / simulations, above / simulations, below / simulations)


def exact_lower_bound(n: int, share: float) -> float:
    """Probability that the exact lower bound of n conditions is not above the true share, summed."""
    from scipy.stats import binom

    counts = np.arange(n + 1)
    held = [clopper_pearson_lower(float(k), n) <= share for k in counts]
    return float(binom.pmf(counts, n, share) @ held)


def false_alarms(n: int, genes: int | None, simulations: int = SIMULATIONS) -> tuple[float, float]:
    """Share of p < .05 without any difference, and with one of half a standard deviation."""
    generator = np.random.default_rng(n)
    of, a, b = (singles(n), None, None) if genes is None else doubles(genes, n)
    hits = np.zeros(2)
    for _ in range(simulations):
        noise = generator.normal(size=n)
        if genes is not None:
            effect = generator.normal(size=genes)
            noise = noise + effect[a] + effect[b]
        for k, shift in enumerate((0.0, 0.5)):
            hits[k] += (p_value(noise + shift, of, SEED_TEXT) or 1.0) < 0.05
    return float(hits[0] / simulations), float(hits[1] / simulations)


TESTS = (
    ("10 single targets", 10, None),
    ("30 single targets", 30, None),
    ("158 doubles of 28 genes", 158, 28),
)
