"""What runs are expected to take, and the order and estimate made of it."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lanner.config import Settings
from lanner.execution import local
from lanner.execution.local import LocalEngine
from lanner.leaderboard.costs import HARNESS_SECONDS, Cost, Costs, estimate, makespan
from lanner.records import Limits

LIMITS = Limits(cpus=2, memory_mb=4000, timeout_s=1000)


def recorded(home: Path, number: int, dataset: str, method: str, wall: float, **changes: Any) -> None:
    folder = home / "runs" / dataset / "1a2b3c4d" / method / f"{number:08x}"
    (folder / "attempt-1").mkdir(parents=True)
    record = {"state": "succeeded", "error_class": None, "attempt": 1, "dataset": dataset, "method": method}
    (folder / "run.json").write_text(json.dumps({**record, **changes}))
    usage = {"wall_seconds": wall, "cpu_seconds": wall / 2, "peak_memory_mb": 100.0}
    (folder / "attempt-1" / "resources.json").write_text(json.dumps(usage))


@pytest.fixture
def costs(tmp_path: Path) -> Costs:
    for number, wall in enumerate([1.0, 3.0, 100.0]):
        recorded(tmp_path, number, "small", "ours", wall)
    recorded(tmp_path, 3, "large", "ours", 50.0)
    recorded(tmp_path, 4, "small", "crashes", 9.0, state="failed", error_class="METHOD_ERROR")
    recorded(tmp_path, 5, "small", "slow", 1000.0, state="failed", error_class="TIMEOUT")
    return Costs(tmp_path)


def test_the_median_of_the_same_method_and_dataset_comes_first_then_the_method_then_the_limits(
    costs: Costs,
) -> None:
    same = costs.expected("ours", "small", LIMITS)
    assert (same.wall_seconds, same.cpu_seconds, same.memory_mb) == (3.0, 1.5, 100.0)
    assert same.basis == "same method and dataset"
    other = costs.expected("ours", "unseen", LIMITS)
    assert (other.wall_seconds, other.basis) == (26.5, "same method")
    unknown = costs.expected("new", "small", LIMITS)
    assert (unknown.wall_seconds, unknown.cpu_seconds, unknown.memory_mb) == (1000.0, 2000.0, 4000)
    assert unknown.basis == "time limit"


def test_a_run_that_failed_early_says_nothing_and_one_that_ran_out_of_time_does(costs: Costs) -> None:
    assert costs.expected("crashes", "small", LIMITS).basis == "time limit"
    assert costs.expected("slow", "small", LIMITS).wall_seconds == 1000.0


@given(st.lists(st.floats(0.1, 1e4), min_size=1, max_size=40), st.integers(1, 12))
def test_longest_first_is_within_four_thirds_of_what_no_schedule_beats(
    seconds: list[float], workers: int
) -> None:
    bound = max(max(seconds), sum(seconds) / workers)
    found = makespan(sorted(seconds, reverse=True), workers)
    # Graham (1969): (4 - 1/m)/3 of the optimum; the bound may lie below the optimum, by less than twice.
    assert bound * (1 - 1e-9) <= found <= bound * 2
    assert makespan(seconds, 1) == pytest.approx(sum(seconds))


def test_an_estimate_adds_up_and_names_what_it_rests_on(costs: Costs) -> None:
    found = [costs.expected(name, "small", LIMITS) for name in ("new", "ours", "ours")]
    document = estimate(found, [LIMITS] * 3, workers=2)
    assert document["run_seconds"] == 1006.0
    assert document["wall_seconds"] == 1000.0 + HARNESS_SECONDS
    assert document["cpu_hours"] == pytest.approx(2003 / 3600, abs=1e-3)
    assert (document["peak_memory_mb"], document["memory_at_once_mb"]) == (4000, 8000)
    assert document["basis"] == {"same method and dataset": 2, "same method": 0, "time limit": 1}
    assert estimate([], [], 4)["wall_seconds"] == 0.0
    assert isinstance(found[0], Cost)


class Started:
    """Stands for the process of an attempt; ends when told."""

    pid = 1

    def __init__(self, *_: Any, **__: Any) -> None:
        self.over = False

    def poll(self) -> int | None:
        return 0 if self.over else None


def test_who_came_first_is_placed_first_even_when_a_smaller_run_would_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local.subprocess, "Popen", Started)
    engine = LocalEngine(Settings(home=tmp_path), jobs=4)
    engine._memory_mb = 1000

    def submit(name: str, memory_mb: int) -> Any:
        (tmp_path / name).mkdir()
        return engine.submit(tmp_path / name, Limits(cpus=0.1, memory_mb=memory_mb), lambda: False)

    def running() -> list[int]:
        return [limits.memory_mb for limits in engine._running]

    first = submit("first", 600)
    threads = []
    for name, memory_mb in (("large", 900), ("small", 100)):
        threads.append(threading.Thread(target=submit, args=(name, memory_mb)))
        threads[-1].start()
        while len(engine._waiting) < len(threads):
            threading.Event().wait(0.005)
    threading.Event().wait(3 * local.ROOM_SECONDS)
    assert running() == [600]  # the small one fits beside it, and waits for its turn
    first._process.over = True
    assert first.poll() == ""
    for thread in threads:
        thread.join(timeout=60)
    assert running() == [900, 100]


def test_runs_that_ask_for_more_gpus_than_there_are_wait_for_one_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local.gpus, "devices", lambda: ("GPU-0",))
    engine = LocalEngine(Settings(home=tmp_path), jobs=4)
    needy = Limits(cpus=0.1, memory_mb=1, gpus=1)
    assert engine._fits(needy)
    engine._running.append(needy)
    assert not engine._fits(needy) and engine._fits(Limits(cpus=0.1, memory_mb=1))
