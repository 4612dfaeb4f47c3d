"""The same board by every engine: equal bytes; and what becomes of runs whose engine fails them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boards
import psutil
import pytest
import yaml
from lanner import execution, methods
from lanner.config import Settings
from lanner.errors import ConfigurationError, InfrastructureError
from lanner.pipeline import Plan
from lanner.records import Limits

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

FILLS = """
with (OUTPUT / "junk").open("wb", buffering=0) as junk:
    for _ in range(0 if os.path.exists({room!r}) else 1024):
        junk.write(bytes(1 << 20))
write()
"""
NAMES = ("constant", "half", "crashes", "train-mean")


def has_slurm() -> bool:
    if shutil.which("scontrol") is None:
        return False
    return "UP" in subprocess.run(["scontrol", "ping"], capture_output=True, text=True, check=False).stdout


needs_slurm = pytest.mark.skipif(not has_slurm(), reason="no SLURM controller answers")
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "local": {},
    "dask": {
        "engine": "dask",
        "classes": {"small": {"cpus": 1, "memory_mb": 6144, "workers": 2}},
    },
    "dask on slurm": {
        "engine": "dask",
        "cluster": "slurm",
        "classes": {"small": {"cpus": 1, "memory_mb": 6144, "workers": 1, "walltime_s": 900}},
    },
    "slurm-array": {"engine": "slurm-array"},
}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    own = boards.registry(tmp_path_factory.mktemp("engines") / "registry")
    boards.add_method(own, "constant", "X[:] = 0.3 + 0.01 * np.arange(len(genes)); write()")
    boards.add_method(own, "half", boards.HALF)
    boards.add_method(own, "crashes", "sys.exit('it broke')")
    boards.add_method(own, "sleeps", "time.sleep(300); write()")
    boards.add_method(own, "fills", FILLS.format(room=str(own / "room")))
    return own


def configured(folder: Path, document: dict[str, Any]) -> list[str]:
    if not document:
        return []
    path = folder / "engine.yaml"
    path.write_text(yaml.safe_dump(document))
    return ["--engine", document["engine"], "--engine-config", str(path)]


def build(folder: Path, registry: Path, *options: str) -> subprocess.CompletedProcess[str]:
    board = boards.board(folder, NAMES, seeds=[0])
    arguments = ("leaderboard", "build", board, "--runner", "process", "--trust-process", "--json")
    return boards.lanner(*arguments, *options, home=folder / "home", cwd=folder, registry=registry)


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / "home/leaderboards/board/leaderboard.json").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def expected(registry: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the local engine makes of the board."""
    folder = tmp_path_factory.mktemp("local")
    done = build(folder, registry)
    assert done.returncode == 1, done.stderr  # one of the methods fails
    return digest(folder)


@pytest.mark.parametrize(
    "name",
    [
        "dask",
        pytest.param("dask on slurm", marks=needs_slurm),
        pytest.param("slurm-array", marks=needs_slurm),
    ],
)
def test_every_engine_makes_the_same_leaderboard_byte_for_byte(
    name: str, expected: str, registry: Path, tmp_path: Path
) -> None:
    done = build(tmp_path, registry, *configured(tmp_path, CONFIGURATIONS[name]))
    assert done.returncode == 1, done.stderr
    assert digest(tmp_path) == expected
    again = build(tmp_path, registry, *configured(tmp_path, CONFIGURATIONS["local"]))
    assert "0 runs to do" in again.stderr


@needs_slurm
def test_a_detached_array_is_collected_by_a_later_call(expected: str, registry: Path, tmp_path: Path) -> None:
    options = configured(tmp_path, CONFIGURATIONS["slurm-array"])
    placed = build(tmp_path, registry, *options, "--detach")
    assert placed.returncode == 0, placed.stderr
    assert not (tmp_path / "home/leaderboards/board/leaderboard.json").exists()
    done = build(tmp_path, registry, *options)
    assert done.returncode == 1, done.stderr
    assert digest(tmp_path) == expected
    runs = list((tmp_path / "home" / "runs").glob("*/*/*/*"))
    assert all(len(list(run.glob("attempt-*"))) == 1 for run in runs)


class Sleeper:
    """One long run, placed by an engine in a thread of this process."""

    def __init__(self, folder: Path, registry: Path, engine: str, configuration: dict[str, Any]) -> None:
        self.settings = Settings(home=folder / "home", registry=registry)
        self.plan: Plan = boards.planned(
            self.settings, methods.find(self.settings, "sleeps"), limits=self.limits()
        )
        path = folder / "engine.yaml"
        path.write_text(yaml.safe_dump({"engine": engine, **configuration}))
        self.engine = execution.open_engine(engine, self.settings, jobs=1, configuration=path)
        self.records: list[dict[str, Any]] = []

    @staticmethod
    def limits() -> Limits:
        return Limits(timeout_s=400)

    def complete(self) -> dict[str, Any]:
        from lanner.execution import complete

        complete(
            [self.plan], self.settings, self.engine, on_record=lambda _, record: self.records.append(record)
        )
        return self.records[0]

    def running(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("LANNER_OUTPUT", "").startswith(str(self.settings.home)):
                    found.append(process)
            except psutil.Error:
                continue
        return found


def during(sleeper: Sleeper, blow: Any) -> dict[str, Any]:
    """The record of a run that is struck once it works."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(sleeper.complete)
        boards.until(sleeper.running, "the start of the run")
        blow()
        record = future.result(timeout=120)
    boards.until(lambda: not sleeper.running(), "the end of the method")
    return record


@pytest.fixture
def closing() -> Iterator[list[Any]]:
    engines: list[Any] = []
    yield engines
    for engine in engines:
        engine.close()


def test_a_killed_dask_worker_loses_its_run_in_one_record(
    registry: Path, tmp_path: Path, closing: list[Any]
) -> None:
    classes = {"small": {"cpus": 1, "memory_mb": 6144, "workers": 1}}
    sleeper = Sleeper(tmp_path, registry, "dask", {"classes": classes})
    closing.append(sleeper.engine)

    def kill() -> None:
        exec_process = sleeper.running()[0].parent()
        assert exec_process is not None
        worker = exec_process.parent()
        assert worker is not None
        os.kill(worker.pid, signal.SIGKILL)

    record = during(sleeper, kill)
    assert (record["state"], record["error_class"]) == ("failed", "LOST")
    assert len(list(sleeper.plan.folder.path.glob("attempt-*"))) == 1


@needs_slurm
def test_a_cancelled_job_loses_its_run_and_says_what_ended_it(
    registry: Path, tmp_path: Path, closing: list[Any]
) -> None:
    sleeper = Sleeper(tmp_path, registry, "slurm-array", {})
    closing.append(sleeper.engine)

    def scancel() -> None:
        placed = json.loads(next(sleeper.plan.folder.path.glob("attempt-1/placed.json")).read_text())
        subprocess.run(["scancel", "--full", placed["ticket"]], check=True)

    record = during(sleeper, scancel)
    assert (record["state"], record["error_class"]) == ("failed", "LOST")
    assert "slurm-array ended the job" in record["message"]


@needs_slurm
def test_a_controller_that_restarts_in_the_middle_loses_nothing(
    expected: str, registry: Path, tmp_path: Path
) -> None:
    board = boards.board(tmp_path, NAMES, seeds=[0])
    options = configured(tmp_path, CONFIGURATIONS["slurm-array"])
    arguments = ("leaderboard", "build", board, "--runner", "process", "--trust-process", "--json", *options)
    process = boards.start(*arguments, home=tmp_path / "home", cwd=tmp_path, registry=registry)
    boards.until(
        lambda: list((tmp_path / "home").glob("runs/*/*/*/*/attempt-1/placed.json")), "the first job"
    )
    subprocess.run(["scontrol", "shutdown", "slurmctld"], check=False, capture_output=True)
    subprocess.run(["slurmctld"], check=False, capture_output=True)
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 1, stderr
    assert digest(tmp_path) == expected


@needs_slurm
def test_a_run_longer_than_its_partition_allows_is_refused_with_the_fix(
    registry: Path, tmp_path: Path, closing: list[Any]
) -> None:
    sleeper = Sleeper(tmp_path, registry, "slurm-array", {"partition": "short"})
    closing.append(sleeper.engine)
    record = sleeper.complete()
    assert (record["state"], record["error_class"]) == ("failed", "PLATFORM_ERROR")
    assert "partition short ends jobs after 60 s; name another partition" in record["message"]


@needs_slurm
def test_a_run_s_gpus_are_asked_of_slurm_and_more_than_there_are_is_said(
    registry: Path, tmp_path: Path, closing: list[Any]
) -> None:
    found = subprocess.run(["sinfo", "--noheader", "--format=%G"], capture_output=True, text=True, check=True)
    if "gpu:1" not in found.stdout:
        pytest.skip("the SLURM node has not one GPU token")
    sleeper = Sleeper(tmp_path, registry, "slurm-array", {})
    closing.append(sleeper.engine)
    new = sleeper.plan.folder.new_attempt
    placed = sleeper.engine.submit(new(sleeper.plan.spec), Limits(gpus=1), lambda: False)
    shown = subprocess.run(
        ["scontrol", "show", "job", placed.ticket], capture_output=True, text=True, check=True
    ).stdout
    placed.cancel()
    assert "gres:gpu:1" in shown or "gres/gpu=1" in shown
    with pytest.raises(InfrastructureError, match=r"sbatch failed: .*not available"):
        sleeper.engine.submit(new(sleeper.plan.spec), Limits(gpus=2), lambda: False)
    boards.until(lambda: placed.poll() is not None, "the end of the cancelled job")


@needs_slurm
def test_a_job_past_its_wall_time_loses_its_run(registry: Path, tmp_path: Path, closing: list[Any]) -> None:
    sleeper = Sleeper(tmp_path, registry, "slurm-array", {"options": ["--time=00:01:00"]})
    closing.append(sleeper.engine)
    record = during(sleeper, lambda: None)
    assert (record["state"], record["error_class"]) == ("failed", "LOST")


def test_a_run_no_worker_holds_is_the_platform_s_fault_and_says_what_to_add(
    registry: Path, tmp_path: Path, closing: list[Any]
) -> None:
    classes = {"tiny": {"cpus": 1, "memory_mb": 512, "workers": 1}}
    sleeper = Sleeper(tmp_path, registry, "dask", {"classes": classes})
    closing.append(sleeper.engine)
    record = sleeper.complete()
    assert record["error_class"] == "PLATFORM_ERROR" and "add a class to --engine-config" in record["message"]


def test_an_engine_s_file_is_checked_before_anything_starts(tmp_path: Path) -> None:
    path = tmp_path / "engine.yaml"
    path.write_text("engine: dask\nclases: {}\n")
    with pytest.raises(ConfigurationError, match=r"engine\.yaml"):
        execution.open_engine("dask", Settings(home=tmp_path), jobs=1, configuration=path)
    path.write_text("engine: slurm-array\n")
    with pytest.raises(ConfigurationError, match="is for the engine slurm-array, not dask"):
        execution.open_engine("dask", Settings(home=tmp_path), jobs=1, configuration=path)


@pytest.mark.parametrize("engine", ["local", "dask"])
def test_a_full_store_ends_each_run_once_and_they_are_done_when_there_is_room(
    engine: str, registry: Path, tmp_path: Path, closing: list[Any]
) -> None:
    classes = {"small": {"cpus": 1, "memory_mb": 6144, "workers": 1}}
    with boards.small_disk(tmp_path / "disk", "12m") as disk:
        settings = Settings(home=disk / "home", registry=registry)
        names = ("fills", "constant")
        plans = [boards.planned(settings, methods.find(settings, name)) for name in names]
        path = tmp_path / "engine.yaml"
        path.write_text(yaml.safe_dump({"engine": engine, "classes": classes}))
        configuration = path if engine == "dask" else None
        placing = execution.open_engine(engine, settings, jobs=1, configuration=configuration)
        closing.append(placing)

        def complete() -> dict[str, dict[str, Any]]:
            records: dict[str, dict[str, Any]] = {}
            execution.complete(
                plans, settings, placing, on_record=lambda plan, record: records.update({plan.method: record})
            )
            return records

        records = complete()
        assert records["fills"]["error_class"] == "DISK_FULL"
        assert records["constant"]["error_class"] in (None, "DISK_FULL", "METHOD_ERROR", "LOST")
        assert [len(plan.folder.attempts()) for plan in plans] == [1, 1]
        assert not list(disk.rglob("*.partial")) and not list(disk.glob("home/runs/*/*/*/*/attempt-*/output"))
        assert plans[0].folder.reason_to_run() == "last attempt failed with DISK_FULL"
        (registry / "room").touch()  # the method writes less from now on
        try:
            again = complete()
        finally:
            (registry / "room").unlink()
        assert again["fills"]["state"] == "succeeded" and again["fills"]["attempt"] == 2


def test_a_node_that_is_lost_with_its_run_leaves_no_process_to_a_later_attempt(
    registry: Path, tmp_path: Path, closing: list[Any]
) -> None:
    classes = {"small": {"cpus": 1, "memory_mb": 6144, "workers": 1}}
    sleeper = Sleeper(tmp_path, registry, "dask", {"classes": classes})
    closing.append(sleeper.engine)
    method: list[psutil.Process] = []

    def lose() -> None:
        method.extend(sleeper.running())
        exec_process = method[0].parent()
        assert exec_process is not None
        worker = exec_process.parent()
        assert worker is not None
        exec_process.kill()  # no time to end what it started
        worker.kill()
        assert any(process.is_running() for process in method)  # as a container would go on

    record = during(sleeper, lose)
    assert (record["state"], record["error_class"]) == ("failed", "LOST")
    assert len(list(sleeper.plan.folder.path.glob("attempt-*"))) == 1


def test_a_killed_dask_scheduler_loses_its_runs_in_one_record_each(
    registry: Path, tmp_path: Path, closing: list[Any]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", str(port), "--no-dashboard"]
    scheduler = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    resources = ["--resources", "CPU=1 MEM=6144", "--nthreads", "1", "--no-nanny", "--no-dashboard"]
    resources += ["--memory-limit", "0"]
    worker = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_worker", address, *resources, "--death-timeout", "5"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        sleeper = Sleeper(tmp_path, registry, "dask", {"address": address})
        closing.append(sleeper.engine)
        boards.until(sleeper.engine._classes["workers"]._resources, "a worker", 240)
        record = during(sleeper, scheduler.kill)
        assert (record["state"], record["error_class"]) == ("failed", "LOST")
        assert len(list(sleeper.plan.folder.path.glob("attempt-*"))) == 1
    finally:
        for process in (worker, scheduler):
            process.kill()
            process.wait()


@needs_slurm
def test_a_node_s_daemon_that_restarts_in_the_middle_loses_nothing(
    expected: str, registry: Path, tmp_path: Path
) -> None:
    board = boards.board(tmp_path, NAMES, seeds=[0])
    options = configured(tmp_path, CONFIGURATIONS["slurm-array"])
    arguments = ("leaderboard", "build", board, "--runner", "process", "--trust-process", "--json", *options)
    process = boards.start(*arguments, home=tmp_path / "home", cwd=tmp_path, registry=registry)
    boards.until(
        lambda: list((tmp_path / "home").glob("runs/*/*/*/*/attempt-1/status.json")), "the first run", 240
    )
    os.kill(int(Path("/run/slurmd.pid").read_text()), signal.SIGKILL)
    subprocess.run(["slurmd"], check=True, capture_output=True)
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 1, stderr
    assert digest(tmp_path) == expected
    runs = list((tmp_path / "home" / "runs").glob("*/*/*/*"))
    assert all(len(list(run.glob("attempt-*"))) == 1 for run in runs)
