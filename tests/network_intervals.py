"""Simulated rankings of edges whose population numbers are known, and the intervals that rows give them.

Regulators are drawn: how many real edges each has (skewed), how well its edges rank, on what scale. A number
of all pairs is then what it would be with very many regulators, and a row of the frame what one regulator
adds to it: its jackknife pseudo-value.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace

import numpy as np
from lanner.aggregate.intervals import Estimate, interval, ratio_interval
from lanner.network_scoring.frame import pseudo_values
from lanner.networks import NetworkValues
from lanner.networks.gold import early_precision, scored
from lanner.networks.ranking import Ranking, area_under_roc, average_precision
from simulated_intervals import Case, singles

Array = np.ndarray
SIMULATIONS = 300
"""Fewer than for intervals over plain values: every row is a ranking of all pairs without one regulator."""
PAIRS = 40
MANY = 20_000
"""Regulators of what stands for the population."""
SCORES: dict[str, Callable[[Array, Array], float]] = {
    "AUPRC": average_precision,
    "AUROC": area_under_roc,
    "early precision": early_precision,
}


def ranking(generator: np.random.Generator, n: int, signals: tuple[float, ...]) -> list[Ranking]:
    """Networks of different quality over the same n regulators and real edges, all pairs predicted."""
    real = np.minimum(1 + generator.poisson(np.exp(generator.normal(1.0, 0.7, n))), PAIRS // 2)
    positive = (np.arange(PAIRS) < real[:, None]).ravel()
    row = np.repeat(np.arange(n), PAIRS)
    ease, scale = generator.normal(0, 0.5, n), np.exp(generator.normal(0, 0.3, n))
    found = []
    for signal in signals:
        score = generator.normal(size=len(row)) + positive * (signal + (signal > 0) * ease[row])
        order = np.argsort(-score * scale[row])
        found.append(
            Ranking(
                units=np.arange(n),
                row=row[order],
                block=np.arange(len(row)),
                positive=positive[order],
                n_pairs=np.full(n, float(PAIRS)),
                n_positives=real.astype(float),
            )
        )
    return found


def values(ranks: Ranking, score: Callable[[Array, Array], float]) -> NetworkValues:
    """The answer a metric gives for a ranking."""
    genes = [f"G{u:05d}" for u in range(len(ranks.units))]
    return scored(
        SimpleNamespace(n_edges=len(ranks.row)), SimpleNamespace(genes=genes), lambda *_: ranks, score
    )


def precision(generator: np.random.Generator, n: int, spread: float = 0.8) -> NetworkValues:
    """A ratio of sums: right edges over edges, regulators with very different numbers of them.

    With a spread of 1.5 few regulators hold most edges: 10 of them are worth four equal ones, 24 eight.
    """
    edges = 1 + generator.poisson(np.exp(generator.normal(2.0, spread, n)))
    right = generator.binomial(edges, generator.beta(4, 6, n))
    names = tuple(f"G{u:05d}" for u in range(n))
    return NetworkValues.averaged(names, right / edges, edges.astype(float))


@cache
def population(name: str, signal: float) -> float:
    """The number with very many regulators."""
    (ranks,) = ranking(np.random.default_rng(11), MANY, (signal,))
    return SCORES[name](*ranks.blocks())


CASES = (
    *((name, n) for n in (10, 24, 60) for name in (*SCORES, "ratio of sums")),
    *(("skill by AUPRC", n) for n in (24, 60)),
    *(("ratio of sums, few hold most,", n) for n in (10, 24)),
)
"""Numbers of all pairs, ratios of sums, and skills of the first, by number of regulators."""


def case(name: str, n: int) -> Case:
    """One of ``CASES``, with what it aims at."""
    if name == "skill by AUPRC":
        return _skill(n)
    of = singles(n)
    if name.startswith("ratio of sums"):
        few = name != "ratio of sums"
        return Case(
            f"{name} of {n} regulators",
            "very skewed degrees" if few else "skewed degrees",
            0.4,
            lambda g: interval(pseudo_values(precision(g, n, 1.5 if few else 0.8)), of),
            least=0.80 if few else 0.92,  # known to be too narrow: there are fewer regulators than it counts
        )

    def estimate(g: np.random.Generator) -> Estimate:
        return interval(pseudo_values(values(ranking(g, n, (1.0,))[0], SCORES[name])), of)

    return Case(f"{name} of {n} regulators", "signal 1", population(name, 1.0), estimate)


def _skill(n: int) -> Case:
    """Half way between a guess and the network of the other half, by AUPRC."""
    of = singles(n)
    method, low, high = (population("AUPRC", signal) for signal in (1.0, 0.0, 2.0))

    def estimate(g: np.random.Generator) -> Estimate:
        columns = np.stack(
            [pseudo_values(values(r, average_precision)) for r in ranking(g, n, (1.0, 2.0, 0.0))], axis=1
        )
        above, span = columns[:, 0] - columns[:, 2], columns[:, 1] - columns[:, 2]
        return ratio_interval(above, span, of, columns, lambda m: (m[:, 0] - m[:, 2]) / (m[:, 1] - m[:, 2]))

    return Case(
        f"skill by AUPRC of {n} regulators", "signals 1, 2 and 0", (method - low) / (high - low), estimate
    )
