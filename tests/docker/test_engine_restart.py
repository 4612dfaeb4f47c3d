"""An engine that is killed and started again in the middle of runs: one terminal record, no orphan."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import boards
import pytest
from engine import PrivateEngine, containerise, why_not
from lanner import reaping
from lanner.errors import ErrorClass, InfrastructureError
from lanner.methods import Method
from lanner.records import Limits, Outcome
from lanner.runners import supervision
from lanner.runners.docker import DockerRunner
from lanner.store import Status

REPOSITORY = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.docker,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]


@pytest.fixture(scope="module")
def base() -> Iterator[tuple[PrivateEngine, str]]:
    engine = PrivateEngine()
    try:
        engine.start()
        yield engine, engine.base()
    finally:
        engine.stop()


@pytest.fixture
def engine(base: tuple[PrivateEngine, str], monkeypatch: pytest.MonkeyPatch) -> PrivateEngine:
    monkeypatch.setenv("DOCKER_HOST", base[0].host)
    return base[0]


@pytest.fixture
def registry(base: tuple[PrivateEngine, str], tmp_path: Path) -> Path:
    registry = boards.registry(tmp_path / "registry")
    containerise(boards.add_method(registry, "slow", "time.sleep(8); write()"), base[1])
    return registry


@pytest.fixture
def run(engine: PrivateEngine, registry: Path, tmp_path: Path) -> Callable[..., Outcome]:
    """Run ``command`` in a container of the private engine."""
    from lanner.methods import load

    method: Method = load(registry / "method_containers" / "slow")
    attempt = tmp_path / "home" / "runs" / "tiny" / "split" / "slow" / "key" / "attempt-1"
    (attempt / "input").mkdir(parents=True)

    def call(*command: str) -> Outcome:
        runner = DockerRunner()
        runner.prepare(method)
        return runner.run(
            replace(method, document={**method.document, "command": list(command)}),
            input_dir=attempt / "input",
            output_dir=attempt / "output",
            log_dir=attempt,
            environment={},
            limits=Limits(timeout_s=120),
            labels={"lanner.folder": str(attempt)},
        )

    return call


def when_running(engine: PrivateEngine, act: Callable[[], None]) -> threading.Thread:
    """Act once a container runs."""

    def wait() -> None:
        boards.until(lambda: engine.client().containers.list(ignore_removed=True), "a container")
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_a_build_over_a_restart_of_the_engine_ends_and_the_next_one_makes_up_for_it(
    engine: PrivateEngine, registry: Path, tmp_path: Path
) -> None:
    home, board = tmp_path / "home", boards.board(tmp_path, ["slow"])
    build = ("leaderboard", "build", board, "--runner", "docker", "--json")
    harness = boards.start(*build, home=home, cwd=tmp_path, registry=registry)
    boards.until(lambda: engine.client().containers.list(ignore_removed=True), "a container", 180)
    engine.kill()
    time.sleep(1)
    engine.start()
    stdout, stderr = harness.communicate(timeout=240)
    assert harness.returncode == 1, stderr
    (row,) = json.loads(stdout)["rows"]
    assert (row["status"], row["error_class"]) == ("failed", "PLATFORM_ERROR"), row
    assert row["reason"] == "the container engine was restarted while the method ran"
    assert engine.client().containers.list(all=True) == []

    again = boards.lanner(*build, home=home, cwd=tmp_path, registry=registry)
    (row,) = json.loads(again.stdout)["rows"]
    assert row["status"] == "succeeded", again.stderr
    assert len(list(home.glob("runs/*/*/*/*/run.json"))) == 1
    assert [status["state"] for status in boards.statuses(home)] == ["failed", "succeeded"]
    assert not list(home.glob("runs/*/*/*/*/attempt-*/*put"))
    assert engine.client().containers.list(all=True) == []


def test_a_container_whose_engine_stays_away_is_ended_all_the_same_and_removed_when_it_is_back(
    engine: PrivateEngine,
    run: Callable[..., Outcome],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervision, "ENGINE_PATIENCE_S", 2.0)
    thread = when_running(engine, engine.kill)
    program = "import time\nwhile True: open('/output/beat', 'w').write(str(time.time())); time.sleep(0.1)"
    try:
        with pytest.raises(InfrastructureError) as caught:
            run("python", "-c", program)
        thread.join()
        (beat,) = tmp_path.rglob("output/beat")
        last = beat.read_text()
        time.sleep(1)
        assert beat.read_text() == last
    finally:
        engine.start()
    assert caught.value.error_class is ErrorClass.PLATFORM_ERROR
    (attempt,) = tmp_path.glob("home/runs/*/*/*/*/attempt-1")
    assert not Status(attempt).is_alive()
    assert len(engine.client().containers.list(all=True)) == 1
    assert reaping.remove_orphans(tmp_path / "home") == 1
    assert engine.client().containers.list(all=True) == []


def test_fifteen_runs_survive_random_kills_of_everything() -> None:
    command = [sys.executable, "-m", "tests.docker.soak", "--runs", "15", "--kills", "8", "--seed", "11"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert report["complaints"] == []
    assert report["runs"] >= 15 and sum(report["blows"].values()) >= 4
    assert report["attempts"] > report["runs"]
