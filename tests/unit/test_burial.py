"""What becomes of an attempt that its engine calls over without a record: waited for, or lost, and once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import boards
import pytest
from lanner import execution, methods, pipeline, store
from lanner.config import Settings
from lanner.errors import ErrorClass
from lanner.execution import burial
from lanner.pipeline import Plan
from lanner.records import Limits, State
from lanner.store import Status, read_json, write_json

NODE = "a-node-of-its-own"
OWN = pipeline.ended(State.SKIPPED, ErrorClass.NOT_APPLICABLE, "its own words")


class Ended:
    """An attempt that its engine has lost sight of, at once."""

    ticket = "1"

    def poll(self) -> str:
        return "the node does not answer"

    def cancel(self) -> None:
        pass


class BlindEngine:
    """Gives each attempt to ``node``, in a thread as on another machine, and sees nothing of it."""

    id: ClassVar[str] = "blind"
    poll_seconds = 0.01
    in_flight = 4
    has_own_containers: ClassVar[bool] = False
    outlives_harness: ClassVar[bool] = False

    def __init__(self, node: Callable[[Path, Status], None]) -> None:
        self.node = node

    @classmethod
    def open(cls, settings: Settings, *, jobs: int, configuration: Mapping[str, Any]) -> Self:
        raise NotImplementedError

    def submit(self, attempt: Path, limits: Limits, is_cancelled: Callable[[], bool]) -> Ended:
        status = Status(attempt)
        assert status.claim()
        enter(status, State.RUNNING)
        threading.Thread(target=self.node, args=(attempt, status)).start()
        return Ended()

    def adopt(self, ticket: str) -> None:
        return None

    def close(self) -> None:
        pass


def enter(status: Status, state: State) -> None:
    """Have the other host say so."""
    status.set(state)
    write_json(status.path, {**(status.read() or {}), "host": NODE})


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setattr(store, "LEASE_SECONDS", 2.0)
    monkeypatch.setattr(burial, "SETTLE_SECONDS", 3.0)
    settings = Settings(home=tmp_path / "home", registry=boards.registry(tmp_path / "registry"))
    return boards.planned(settings, methods.find(settings, "train-mean"))


def complete(plan: Plan, node: Callable[[Path, Status], None]) -> dict[str, Any]:
    records: list[dict[str, Any]] = []
    settings = Settings(home=plan.folder.path.parents[4])
    execution.complete(
        [plan], settings, BlindEngine(node), on_record=lambda _, record: records.append(record)
    )
    assert len(records) == 1 and len(plan.folder.attempts()) == 1
    return records[0]


def test_what_a_node_that_was_cut_off_still_finishes_is_taken(plan: Plan) -> None:
    def node(attempt: Path, status: Status) -> None:
        for _ in range(8):  # longer than a lease
            time.sleep(0.5)
            status.beat()
        pipeline.finish(attempt, plan.spec, OWN)

    record = complete(plan, node)
    assert (record["state"], record["message"]) == ("skipped", "its own words")


def test_a_record_that_a_slow_store_shows_after_the_status_is_waited_for(plan: Plan) -> None:
    def node(attempt: Path, status: Status) -> None:
        pipeline.finish(attempt, plan.spec, OWN)
        path, late = plan.folder.path / "run.json", read_json(plan.folder.path / "run.json")
        path.unlink()
        time.sleep(1.0)
        write_json(path, late)

    assert complete(plan, node)["message"] == "its own words"


@pytest.mark.parametrize("ended", [False, True], ids=["before-its-status", "between-status-and-record"])
def test_a_node_that_is_gone_is_lost_when_its_lease_is_over_and_in_its_engine_s_words(
    ended: bool, plan: Plan
) -> None:
    def node(attempt: Path, status: Status) -> None:
        if ended:
            enter(status, State.SUCCEEDED)

    record = complete(plan, node)
    assert (record["state"], record["error_class"]) == ("failed", "LOST")
    assert "the node does not answer" in record["message"]
    status = Status(plan.folder.attempts()[0]).read()
    assert status is not None and status["error_class"] == "LOST"
