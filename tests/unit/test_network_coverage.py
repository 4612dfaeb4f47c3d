"""Intervals of network numbers, over jackknife pseudo-values, hold the truth as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from lanner.config import bundled_root
from lanner.network_scoring.frame import pseudo_values
from lanner.networks.ranking import average_precision
from network_intervals import CASES, SIMULATIONS, case, precision, ranking, values
from simulated_intervals import measure

CHANCE = (0.95 * 0.05 / SIMULATIONS) ** 0.5


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("name", "n"), CASES)
def test_an_interval_over_pseudo_values_holds_the_truth_as_often_as_it_says(name: str, n: int) -> None:
    simulated = case(name, n)
    found = measure(simulated, SIMULATIONS)
    assert simulated.least - CHANCE <= found.covered <= simulated.most + CHANCE


def test_the_page_on_coverage_has_a_line_for_every_kind_of_number() -> None:
    page = (bundled_root() / "docs" / "reference" / "coverage.md").read_text(encoding="utf-8")
    section = page.partition("## Numbers of networks")[2]
    assert section.count(" regulators |") == len(CASES)
    assert all(f"\n| {name} of {n} regulators |" in section for name, n in CASES)


def test_pseudo_values_average_to_the_number_and_spread_as_the_jackknife_says() -> None:
    generator = np.random.default_rng(0)
    for found in (values(ranking(generator, 15, (1.0,))[0], average_precision), precision(generator, 15)):
        rows = pseudo_values(found)
        assert rows.mean() == pytest.approx(found.value, rel=1e-12)
        without = np.array([found.pooled(np.arange(15) != u) for u in range(15)])
        jackknife = 14 / 15 * ((without - without.mean()) ** 2).sum()  # Tukey's variance of the number
        assert rows.var(ddof=1) / 15 == pytest.approx(jackknife, rel=1e-9)
