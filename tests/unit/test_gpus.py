"""One method at a time on each GPU, by its id; on a machine without any, by a list of made-up ids."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest
from lanner.config import Settings
from lanner.errors import ErrorClass, InfrastructureError
from lanner.execution.local import LocalEngine
from lanner.records import Limits
from lanner.runners import gpus
from lanner.runners.gpus import lease, permitted

TWO = ("GPU-a", "GPU-b")
LISTING = "0, GPU-aa11\n1, GPU-bb22\n2, GPU-ab33\n"
HOLDS = """
import sys, time
from pathlib import Path
from lanner.runners.gpus import lease
with lease(1, "lanner-killed-one", reap=print, available=lambda: ("GPU-a",), folder=Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def one() -> tuple[str, ...]:
    return ("GPU-a",)


def unexpected(holder: str) -> None:
    raise AssertionError(f"{holder} was to be ended")


def hold(stack: ExitStack, folder: Path, count: int = 1, holder: str = "one") -> tuple[str, ...]:
    held = lease(count, holder, reap=unexpected, available=lambda: TWO, folder=folder)
    return stack.enter_context(held)


def test_every_run_has_devices_of_its_own(tmp_path: Path) -> None:
    with ExitStack() as stack:
        first, second = hold(stack, tmp_path), hold(stack, tmp_path)
        assert {*first, *second} == {*TWO}
    with ExitStack() as stack:
        assert hold(stack, tmp_path, 2) == TWO


def test_who_asks_for_none_touches_nothing(tmp_path: Path) -> None:
    with ExitStack() as stack:
        assert hold(stack, tmp_path, 0) == ()
    assert list(tmp_path.iterdir()) == []


def test_who_needs_two_waits_for_both_and_holds_neither_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus, "PAUSE_S", 0.2)
    order = []

    def both() -> None:
        with ExitStack() as stack:
            hold(stack, tmp_path, 2, "two")
            order.append("both")

    with ExitStack() as first:
        hold(first, tmp_path)
        waiting = threading.Thread(target=both)
        waiting.start()
        for _ in range(5):
            with ExitStack() as other:
                assert len(hold(other, tmp_path, 1, "other")) == 1
        order.append("others")
    waiting.join(timeout=30)
    assert order == ["others", "both"]


def test_the_lease_of_a_killed_holder_is_taken_over_and_its_container_ended_first(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    ended: list[str] = []
    for _ in range(2):
        with lease(1, "next", reap=ended.append, available=one, folder=tmp_path) as devices:
            assert devices == ("GPU-a",)
    assert ended == ["lanner-killed-one"]


def test_a_holder_that_failed_leaves_its_name_and_one_that_cannot_be_ended_keeps_the_device(
    tmp_path: Path,
) -> None:
    with (
        pytest.raises(InfrastructureError, match="no engine"),
        lease(1, "first", reap=unexpected, available=one, folder=tmp_path),
    ):
        raise InfrastructureError("no engine to remove it with")
    with (
        pytest.raises(AssertionError, match="first was to be ended"),
        lease(1, "second", reap=unexpected, available=one, folder=tmp_path),
    ):
        raise RuntimeError("never reached")
    ended: list[str] = []
    with lease(1, "third", reap=ended.append, available=one, folder=tmp_path):
        assert ended == ["first"]


@pytest.mark.parametrize(("names", "found"), [((), "none"), (TWO, "2 that it may use")])
def test_more_than_there_are_is_the_platform_s_fault(names: tuple[str, ...], found: str) -> None:
    with (
        pytest.raises(InfrastructureError, match=f"asks for 3 GPUs and this machine has {found}") as caught,
        lease(3, "one", reap=unexpected, available=lambda: names),
    ):
        raise RuntimeError("never reached")
    assert caught.value.error_class is ErrorClass.PLATFORM_ERROR


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, ("GPU-aa11", "GPU-bb22", "GPU-ab33")),
        ("", ()),
        ("2,0", ("GPU-ab33", "GPU-aa11")),
        ("GPU-bb22", ("GPU-bb22",)),
        ("GPU-b", ("GPU-bb22",)),
        ("1,1", ("GPU-bb22",)),
        ("1,7,0", ("GPU-bb22",)),  # as CUDA reads it: up to the first that is not there
        ("-1", ()),
        ("MIG-0c0ffee", ("MIG-0c0ffee",)),
    ],
)
def test_what_a_batch_system_granted_is_all_that_is_given(
    visible: str | None, expected: tuple[str, ...]
) -> None:
    assert permitted(LISTING, visible) == expected


def test_a_driver_that_lists_nothing_has_no_devices() -> None:
    assert permitted("No devices were found\n", None) == ()


def test_no_more_local_runs_start_than_the_gpus_they_want_and_one_too_greedy_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus, "devices", lambda: ("GPU-a", "GPU-b"))
    engine = LocalEngine(Settings(home=tmp_path), jobs=8)
    engine._running = [Limits(gpus=1, memory_mb=1)]
    wanted = {n: engine._fits(Limits(gpus=n, memory_mb=1)) for n in (0, 1, 2, 3)}
    assert wanted == {0: True, 1: True, 2: False, 3: True}  # 3 can never be had: its run says so
