"""Intervals hold the truth as often as they say, on simulated data whose truth is known."""

from __future__ import annotations

import pytest
from simulated_intervals import SIMULATIONS, TESTS, Case, cases, exact_lower_bound, false_alarms, measure

CHANCE = 3 * (0.95 * 0.05 / SIMULATIONS) ** 0.5
"""What a share may differ from its expectation in so many simulations."""


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case.kind}: {case.data}")
def test_an_interval_holds_the_truth_as_often_as_it_says(case: Case) -> None:
    found = measure(case)
    assert case.least - CHANCE / 3 <= found.covered <= case.most + CHANCE / 3


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("name", "n", "genes"), TESTS)
def test_a_test_rejects_a_true_null_no_more_often_than_it_says(name: str, n: int, genes: int | None) -> None:
    size, power = false_alarms(n, genes)
    assert size <= 0.08 and power > 2 * size


@pytest.mark.parametrize("n", [6, 9, 15, 40, 158])
@pytest.mark.parametrize("share", [0.5, 0.62, 0.8, 0.95])
def test_the_exact_lower_bound_of_a_share_is_exceeded_in_at_most_one_case_of_forty(n, share) -> None:
    assert exact_lower_bound(n, share) >= 0.975 - 1e-12


def test_every_kind_of_interval_is_among_the_cases() -> None:
    kinds = " ".join(case.kind for case in cases())
    for word in ("single targets", "doubles", "contexts", "skill", "paired difference"):
        assert word in kinds
