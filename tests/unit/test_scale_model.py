"""The model of the queue: what it must give where the answer is known without it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("simpy")
sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from benchmarks.scale.costs import Costs, Design, drawn, lower_bound
from benchmarks.scale.model import local, simulate

FREE = Costs(name=0, place=0, poll=0, before=0, after=0, score=0, score_start=0, record=0)
INSTANT = Design(
    name="instant", in_flight=10**6, poll_seconds=1e-9, status_seconds=1.0, lag=0.0, scoring="here"
)


def test_without_costs_it_is_longest_first_on_the_first_free_worker() -> None:
    found = simulate([7.0, 5.0, 4.0, 3.0, 1.0], 2, INSTANT, FREE)
    assert found["makespan"] == pytest.approx(10.0, abs=1e-6)  # 7 + 3 beside 5 + 4 + 1
    assert (found["lower_bound"], found["ratio"]) == (10.0, pytest.approx(1.0, abs=1e-6))


@pytest.mark.parametrize("workers", [1, 3, 40])
@pytest.mark.parametrize("scoring", ["here", "placed"])
def test_no_makespan_is_below_the_bound(workers: int, scoring: str) -> None:
    design = Design(name="", in_flight=16, poll_seconds=0.2, status_seconds=0.2, lag=0.1, scoring=scoring)
    assert simulate(drawn(60), workers, design, Costs())["ratio"] >= 1


def test_scoring_in_the_harness_bounds_the_makespan_however_many_workers_there_are() -> None:
    found = simulate([1.0] * 100, 100, INSTANT, replace(FREE, score=2.0))
    assert found["makespan"] == pytest.approx(201.0, abs=1e-3)
    assert found["scoring_load"] == pytest.approx(200 / 201, abs=1e-3)
    placed = simulate([1.0] * 100, 100, replace(INSTANT, scoring="placed"), replace(FREE, score=2.0))
    assert placed["makespan"] == pytest.approx(3.0, abs=1e-3)


def test_workers_beyond_what_is_in_flight_stand_idle() -> None:
    narrow = replace(INSTANT, in_flight=10)
    few, many = (simulate([1.0] * 100, workers, narrow, FREE)["makespan"] for workers in (10, 1000))
    assert few == pytest.approx(many) == pytest.approx(10.0, abs=1e-6)


def test_polls_take_their_share_of_the_interpreter_and_of_the_store() -> None:
    design = replace(INSTANT, poll_seconds=1.0)
    found = simulate([100.0] * 50, 50, design, replace(FREE, poll=0.01, run_operations=0, beat_seconds=1e9))
    assert found["harness_load"] == pytest.approx(0.5, rel=0.02)
    assert found["store_per_second"] == pytest.approx(50 * FREE.poll_operations, rel=0.02)


def test_the_same_seed_draws_the_same_runs_longest_first() -> None:
    assert drawn(50) == drawn(50) == sorted(drawn(50), reverse=True) != drawn(50, seed=1)
    assert drawn(50, 60.0) == pytest.approx([60 * each for each in drawn(50)])
    assert lower_bound([4.0, 1.0, 1.0], 2) == 4.0 and lower_bound([2.0, 2.0, 2.0], 2) == 3.0


def test_on_one_machine_what_computes_shares_its_cores_and_what_sleeps_does_not() -> None:
    costs = replace(FREE, before=1.0, after=1.0)
    assert local([3.0] * 4, 4, cores=2, costs=costs, cpu=0.0) == pytest.approx(5.0)
    assert local([0.0] * 4, 4, cores=2, costs=costs, cpu=2.0) == pytest.approx(4.0)
    assert local([0.0] * 4, 1, cores=2, costs=costs, cpu=2.0) == pytest.approx(8.0)
