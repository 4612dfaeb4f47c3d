"""Where runs are placed, and what is left of them when any part of it is killed, interrupted or doubled."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boards
import psutil
import pytest
from lanner import execution, methods
from lanner.config import Settings
from lanner.execution.local import LocalEngine
from lanner.records import State

# A method that says that it started, and then waits for its gate.
GATED = """
with open({count!r}, "a") as stream:
    stream.write("{name}\\n")
while not pathlib.Path({gate!r}).exists():
    time.sleep(0.02)
write()
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("execution")
    settings = Settings(home=folder / "home", registry=boards.registry(folder / "registry"))
    boards.planned(settings, methods.find(settings, "train-mean"))
    return folder


class Bench:
    """A LANNER_HOME with gated methods, and what can be seen of the runs from outside."""

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        self.folder, self.names = folder, names
        self.settings = Settings(home=folder / "home", registry=folder / "registry")
        self.home = self.settings.home
        self.gate, self.count = folder / "gate", folder / "count"
        self.board = boards.board(folder, names)
        for name in names:
            program = GATED.format(count=str(self.count), gate=str(self.gate), name=name)
            boards.add_method(folder / "registry", name, program)

    def build(self) -> subprocess.Popen[str]:
        arguments = ("leaderboard", "build", self.board, "--runner", "process", "--trust-process", "--json")
        assert self.settings.registry is not None
        return boards.start(*arguments, home=self.home, cwd=self.folder, registry=self.settings.registry)

    def drive(self) -> subprocess.Popen[str]:
        return boards.drive(self.settings, *self.names)

    def started(self) -> list[str]:
        """Names of the methods that were started, once per start."""
        return sorted(self.count.read_text().split()) if self.count.exists() else []

    def wait_until_all_run(self) -> None:
        boards.until(lambda: set(self.started()) == set(self.names), "the start of every method")

    def processes(self) -> list[int]:
        """Processes that still work for this LANNER_HOME."""
        found = []
        for process in psutil.process_iter():
            try:
                environment = process.environ()
            except psutil.Error:
                continue
            places = [environment.get(name, "") for name in ("LANNER_OUTPUT", "LANNER_HOME")]
            if any(place.startswith(str(self.home)) for place in places):
                found.append(process.pid)
        return found

    def assert_tidy(self) -> None:
        """Nothing runs, every attempt has ended, and no folder of one stayed."""
        boards.until(lambda: not self.processes(), "the end of every process")
        assert all(State(status["state"]).is_terminal for status in boards.statuses(self.home))
        for run in self.home.glob("runs/*/*/*/*"):
            assert (run / "run.json").is_file()
            assert not list(run.glob("attempt-*/input")) and not list(run.glob("attempt-*/output"))
            assert not list(run.glob("tmp/*")) and not list(run.rglob(".*.partial"))

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted(self.home.glob("runs/*/*/*/*/run.json"))]


@pytest.fixture
def bench(template: Path, tmp_path: Path) -> Iterator[Bench]:
    for name in ("home", "registry"):
        shutil.copytree(template / name, tmp_path / name, copy_function=shutil.copy2)
    bench = Bench(tmp_path, ("slow-one", "slow-two"))
    yield bench
    bench.gate.touch()
    for pid in bench.processes():
        os.kill(pid, signal.SIGKILL)


def finished(process: subprocess.Popen[str], code: int = 0) -> str:
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == code, stderr
    return stdout


def test_runs_pass_through_the_states_in_order_and_end(template: Path, tmp_path: Path) -> None:
    for name in ("home", "registry"):
        shutil.copytree(template / name, tmp_path / name, copy_function=shutil.copy2)
    settings = Settings(home=tmp_path / "home", registry=tmp_path / "registry")
    plans = [boards.planned(settings, methods.find(settings, name)) for name in ("train-mean", "no-change")]
    seen: dict[str, list[str]] = {}
    ended = []
    execution.complete(
        plans,
        settings,
        LocalEngine(settings, jobs=2),
        on_state=lambda plan, state: seen.setdefault(plan.method, []).append(state),
        on_record=lambda plan, record: ended.append((plan.method, record["state"])),
    )
    assert sorted(ended) == [("no-change", "succeeded"), ("train-mean", "succeeded")]
    order = [*map(str, State)]
    for states in seen.values():
        assert states[0] == "queued" and "running" in states
        assert sorted(states, key=order.index) == states
    again: list[dict[str, Any]] = []
    execution.complete(
        plans, settings, LocalEngine(settings, jobs=1), on_record=lambda plan, record: again.append(record)
    )
    assert [record["attempt"] for record in again] == [1, 1]


def test_a_harness_killed_in_the_middle_is_made_up_for_by_the_same_command(bench: Bench) -> None:
    first = bench.build()
    bench.wait_until_all_run()
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    boards.until(lambda: not bench.processes(), "the end of what the killed harness had started")
    assert {record["error_class"] for record in bench.records()} == {"CANCELLED"}
    bench.gate.touch()
    document = json.loads(finished(bench.build()))
    assert [row["status"] for row in document["rows"]] == ["succeeded"] * 2
    assert bench.started() == ["slow-one", "slow-one", "slow-two", "slow-two"]
    bench.assert_tidy()
    finished(bench.build())
    assert len(bench.started()) == 4


def test_a_harness_killed_with_its_workers_leaves_no_method_at_work_once_built_again(bench: Bench) -> None:
    first = bench.drive()
    bench.wait_until_all_run()
    assert boards.kill_with_workers(first) == 2
    assert bench.processes()  # the methods themselves, which nobody told to end
    second = bench.drive()
    boards.until(lambda: len(bench.started()) == 4, "the second start")
    assert len([pid for pid in bench.processes() if "run.py" in psutil.Process(pid).cmdline()]) == 2
    bench.gate.touch()
    records = json.loads(finished(second))
    assert [(record["state"], record["attempt"]) for record in records] == [("succeeded", 2)] * 2
    bench.assert_tidy()
    lost = [status for status in boards.statuses(bench.home) if status["state"] == "failed"]
    assert {status["error_class"] for status in lost} == {"LOST"} and len(lost) == 2


def test_a_killed_worker_is_a_lost_run_and_is_tried_again_by_the_next_build(bench: Bench) -> None:
    first = bench.drive()
    bench.wait_until_all_run()
    for worker in boards.execs(first.pid):
        worker.kill()
    records = json.loads(finished(first))
    assert {(record["state"], record["error_class"]) for record in records} == {("failed", "LOST")}
    assert all(record["message"].startswith("lanner exec ended without a record") for record in records)
    bench.assert_tidy()
    bench.gate.touch()
    records = json.loads(finished(bench.drive()))
    assert {record["state"] for record in records} == {"succeeded"}
    bench.assert_tidy()


def test_two_harnesses_on_one_home_run_every_key_once(bench: Bench) -> None:
    both = [bench.drive(), bench.drive()]
    bench.wait_until_all_run()
    bench.gate.touch()
    ours, theirs = (json.loads(finished(process)) for process in both)
    by_key = {record["key"]: record for record in ours}
    assert by_key == {record["key"]: record for record in theirs}
    assert bench.started() == ["slow-one", "slow-two"]
    bench.assert_tidy()


def test_an_interrupted_build_cancels_its_runs_says_so_and_ends_with_130(bench: Bench) -> None:
    build = bench.build()
    bench.wait_until_all_run()
    os.killpg(build.pid, signal.SIGINT)
    stdout, stderr = build.communicate(timeout=60)
    assert build.returncode == 130
    assert stdout == "" and stderr.rstrip().endswith("interrupted")
    assert "Traceback" not in stderr
    assert [(r["state"], r["error_class"]) for r in bench.records()] == [("cancelled", "CANCELLED")] * 2
    bench.assert_tidy()


SWALLOWS = """
import signal
from pathlib import Path
from lanner import interruption
from lanner.config import Settings
from lanner.execution import complete
from lanner.execution.local import LocalEngine

interruption.listen()
complete([], Settings(home=Path()), LocalEngine(Settings(home=Path()), jobs=1))
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("swallowed, as some libraries do while they are imported")
try:
    complete([], Settings(home=Path()), LocalEngine(Settings(home=Path()), jobs=1))
except KeyboardInterrupt:
    print("raised again")
"""


def test_an_interrupt_that_a_library_swallowed_still_stops_what_would_begin_next(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SWALLOWS], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "raised again"


def test_a_terminated_harness_takes_its_runs_with_it(bench: Bench) -> None:
    harness = bench.drive()
    bench.wait_until_all_run()
    harness.terminate()
    harness.communicate(timeout=60)
    boards.until(lambda: not bench.processes(), "the end of the runs")
    assert {record["state"] for record in bench.records()} == {"cancelled"}


def test_who_waits_for_another_harness_can_be_interrupted_and_the_other_goes_on(bench: Bench) -> None:
    first = bench.drive()
    bench.wait_until_all_run()
    second = bench.drive()
    boards.until(lambda: _locks(second.pid) == 2, "the second harness's waiting")
    second.send_signal(signal.SIGINT)
    second.communicate(timeout=20)
    assert second.returncode != 0 and first.poll() is None
    bench.gate.touch()
    assert {record["state"] for record in json.loads(finished(first))} == {"succeeded"}
    assert bench.started() == ["slow-one", "slow-two"]


def _locks(pid: int) -> int:
    """Lock files a process holds open."""
    try:
        return sum(file.path.endswith("/.lock") for file in psutil.Process(pid).open_files())
    except psutil.Error:
        return 0


def test_an_attempt_abandoned_before_it_was_claimed_is_buried(bench: Bench) -> None:
    plan = boards.planned(bench.settings, methods.find(bench.settings, "slow-one"))
    attempt = plan.folder.new_attempt(plan.spec)
    (attempt / "input").mkdir()
    (plan.folder.new_attempt(plan.spec) / "spec.json").unlink()
    bench.gate.touch()
    records: list[dict[str, Any]] = []
    execution.complete(
        [plan],
        bench.settings,
        LocalEngine(bench.settings, jobs=1),
        on_record=lambda plan, record: records.append(record),
    )
    assert [(record["state"], record["attempt"]) for record in records] == [("succeeded", 3)]
    bench.assert_tidy()


def test_a_full_disk_stops_the_build_with_one_sentence_and_leaves_nothing_half_written(
    template: Path, tmp_path: Path
) -> None:
    with boards.small_disk(tmp_path / "disk", "300k") as disk:
        (disk / "home").mkdir()
        (disk / "home" / "data").symlink_to(template / "home" / "data")
        board = boards.board(tmp_path, ["train-mean"])
        arguments = ("leaderboard", "build", board, "--runner", "process")
        registry = template / "registry"
        result = boards.lanner(*arguments, home=disk / "home", cwd=tmp_path, registry=registry)
        assert result.returncode == 4
        assert "No space left on device; free disk space" in result.stderr.splitlines()[-1]
        assert "Traceback" not in result.stderr
        assert not [path for path in disk.rglob("*") if path.name.endswith(".partial")]
