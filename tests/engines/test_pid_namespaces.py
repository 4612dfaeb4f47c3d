"""Harnesses in real pid namespaces of one machine, as two containers are, that share a LANNER_HOME."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boards
import pytest
from lanner import execution, methods, store
from lanner.config import Settings
from lanner.execution.local import LocalEngine
from lanner.pipeline import Plan
from lanner.store import Status

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

APART = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
GATED = """
with open({count!r}, "a") as stream:
    stream.write("{name}\\n")
while not pathlib.Path({gate!r}).exists():
    time.sleep(0.05)
write()
"""
NAMES = ("one", "two")


class World:
    """A LANNER_HOME with methods that wait for a gate."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(home=folder / "home", registry=boards.registry(folder / "registry"))
        self.gate, self.count = folder / "gate", folder / "count"
        assert self.settings.registry is not None
        for name in NAMES:
            program = GATED.format(count=str(self.count), gate=str(self.gate), name=name)
            boards.add_method(self.settings.registry, name, program)
        self.started_processes: list[subprocess.Popen[str]] = []

    def plan(self, name: str) -> Plan:
        return boards.planned(self.settings, methods.find(self.settings, name))

    def apart(self, *command: str) -> subprocess.Popen[str]:
        """Start a command as process 1 of a pid namespace of its own."""
        process = subprocess.Popen(
            [*APART, *command],
            env={**os.environ, "LANNER_HOME": str(self.settings.home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started_processes.append(process)
        return process

    def exec_apart(self, plan: Plan) -> tuple[Path, subprocess.Popen[str]]:
        """An attempt at work in another namespace, of a harness that is gone."""
        attempt = plan.folder.new_attempt(plan.spec)
        command = boards.command("exec", attempt / "spec.json", registry=self.settings.registry)
        process = self.apart(*command)
        boards.until(self.begun, "the start of the method")
        return attempt, process

    def begun(self) -> list[str]:
        return sorted(self.count.read_text().split()) if self.count.exists() else []

    def complete(self, plan: Plan) -> dict[str, Any]:
        records: list[dict[str, Any]] = []
        engine = LocalEngine(self.settings, jobs=1)
        execution.complete([plan], self.settings, engine, on_record=lambda _, record: records.append(record))
        return records[0]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    probe = (
        subprocess.run([*APART, "true"], capture_output=True, check=False) if shutil.which(APART[0]) else None
    )
    if probe is None or probe.returncode != 0:
        pytest.skip("a pid namespace cannot be made here: that needs root")
    world = World(tmp_path)
    yield world
    world.gate.touch()
    for process in world.started_processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_two_harnesses_in_namespaces_of_their_own_run_every_key_once_and_agree(world: World) -> None:
    world.plan("one")  # the dataset and its split are there
    own = (str(world.settings.home), str(world.settings.registry), *NAMES)
    both = [world.apart(sys.executable, boards.__file__, *own) for _ in range(2)]
    boards.until(lambda: world.begun() == sorted(NAMES), "the start of both methods")
    world.gate.touch()
    ends = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    ours, theirs = ({record["key"]: record for record in json.loads(stdout)} for stdout, _ in ends)
    assert ours == theirs and {record["state"] for record in ours.values()} == {"succeeded"}
    assert world.begun() == sorted(NAMES)


def test_a_live_attempt_of_another_namespace_is_waited_for_and_its_result_taken(world: World) -> None:
    plan = world.plan("one")
    attempt, process = world.exec_apart(plan)
    status = Status(attempt).read()
    assert status is not None and status["pid"] == 1  # there; here, process 1 is another
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(world.complete, plan)
        time.sleep(3.0)
        assert not future.done() and len(plan.folder.attempts()) == 1
        world.gate.touch()
        record = future.result(timeout=120)
    assert (record["state"], record["attempt"]) == ("succeeded", 1)
    assert process.wait(timeout=60) == 0
    assert world.begun() == ["one"]


def test_an_attempt_that_died_with_its_namespace_is_lost_when_its_lease_is_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "LEASE_SECONDS", 6.0)
    plan = world.plan("one")
    attempt, process = world.exec_apart(plan)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    # The worst case: a process of this namespace has the dead one's number and start.
    status = json.loads(Status(attempt).path.read_text())
    mine = store.this_process()
    beaten = Status(attempt).path.stat().st_mtime
    store.write_json(Status(attempt).path, {**status, "pid": mine["pid"], "pid_started": mine["pid_started"]})
    os.utime(Status(attempt).path, (beaten, beaten))
    assert status["pid_namespace"] != mine["pid_namespace"]
    world.gate.touch()
    record = world.complete(plan)
    assert (record["state"], record["attempt"]) == ("succeeded", 2)
    first = Status(attempt).read()
    assert first is not None and (first["state"], first["error_class"]) == ("failed", "LOST")
    assert world.begun() == ["one", "one"]
