"""Runs as Jobs, through the official client and over HTTP, on the stand-in for a cluster of this folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boards
import pytest
import yaml
from lanner import methods
from lanner.config import Settings
from lanner.errors import ConfigurationError, InfrastructureError
from lanner.execution import complete, open_engine
from lanner.execution.local import LocalEngine
from lanner.pipeline import Plan
from lanner.records import Limits
from lanner.store import write_json

pytest.importorskip("kubernetes")
pytest.importorskip("kubernetes_validate")
from kubernetes_cluster import OPTIONS, Cluster, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PATIENCE = 280.0
ENDS = ("constant", "crashes", "inapplicable", "silent", "litters")
LITTERS = """
write()
for number in range(1000):
    (OUTPUT / f"more-{number}").touch()
"""


class World:
    """A registry, a LANNER_HOME, a cluster, and an engine that places runs on it."""

    def __init__(self, folder: Path, cluster: Cluster, registry: Path) -> None:
        self.cluster = cluster
        self.settings = Settings(home=folder / "home", registry=registry)
        self.configuration = folder / "engine.yaml"
        self.configuration.write_text(yaml.safe_dump(OPTIONS))

    def engine(self) -> Any:
        return open_engine("kubernetes", self.settings, jobs=2, configuration=self.configuration)

    def plan(self, name: str, **changes: Any) -> Plan:
        method = methods.find(self.settings, name)
        return boards.planned(self.settings, method, runner="docker", trust=False, **changes)

    def complete(self, *plans: Plan, **options: Any) -> dict[str, dict[str, Any]]:
        records: dict[str, dict[str, Any]] = {}
        complete(
            plans,
            self.settings,
            self.engine(),
            on_record=lambda plan, record: records.update({plan.method: record}),
            **options,
        )
        return records


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    own = boards.registry(tmp_path_factory.mktemp("kubernetes") / "registry")
    boards.add_method(own, "constant", "X[:] = 0.3 + 0.01 * np.arange(len(genes)); write()")
    boards.add_method(own, "crashes", "sys.exit('it broke')")
    boards.add_method(own, "inapplicable", "print('needs doses', file=sys.stderr); sys.exit(99)")
    boards.add_method(own, "silent", "pass")
    boards.add_method(own, "litters", LITTERS)
    boards.add_method(own, "sleeps", "time.sleep(300); write()")
    return own


@pytest.fixture
def world(tmp_path: Path, registry: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    with running(folder, registry / "method_containers") as cluster:
        monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig()))
        yield World(tmp_path, cluster, registry)


def attempts(plan: Plan) -> list[Path]:
    return plan.folder.attempts()


def test_runs_end_as_they_do_elsewhere_each_in_one_job_under_the_policy(world: World) -> None:
    plans = [world.plan(name) for name in ENDS]
    records = world.complete(*plans)
    ends = {name: (record["state"], record["error_class"]) for name, record in records.items()}
    assert ends == {
        "constant": ("succeeded", None),
        "crashes": ("failed", "METHOD_ERROR"),
        "inapplicable": ("skipped", "NOT_APPLICABLE"),
        "silent": ("failed", "NO_OUTPUT"),
        "litters": ("failed", "OUTPUT_TOO_LARGE"),  # with its 1,001st file, as elsewhere
    }
    assert records["inapplicable"]["message"] == "needs doses"
    assert len(world.cluster.created) == len(plans) and world.cluster.unpolicied == 0
    assert (attempts(plans[1])[0] / "stdout.log").read_text().strip() == "it broke"
    cost = json.loads((attempts(plans[0])[0] / "resources.json").read_text())
    assert cost["engine_name"] == "kubernetes" and cost["node"] == "node-1" and "reader" in cost
    # The same bytes as from a process of this machine.
    method = methods.find(world.settings, "constant")
    here = boards.planned(world.settings, method)
    local: list[dict[str, Any]] = []
    engine = LocalEngine(world.settings, jobs=1)
    complete([here], world.settings, engine, on_record=lambda _, record: local.append(record))
    assert records["constant"]["prediction"] == local[0]["prediction"]
    # Done is done: nothing is placed again.
    assert world.plan("constant").folder.reason_to_run() is None


@pytest.mark.parametrize(
    ("blow", "error_class"),
    [
        ("node lost", "LOST"),
        ("evicted", "LOST"),
        ("deleted", "LOST"),
        ("deadline", "TIMEOUT"),
        ("output", "OUTPUT_TOO_LARGE"),
        ("memory", "OOM"),
    ],
)
def test_a_run_that_is_struck_has_one_record_of_the_right_class_and_leaves_nothing(
    world: World, blow: str, error_class: str
) -> None:
    plan = world.plan("sleeps", limits=Limits(timeout_s=400))
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(world.complete, plan)
        name = boards.until(world.cluster.works, "the start of the method", PATIENCE)
        process = world.cluster.processes[name]
        world.cluster.strike(name, blow)
        record = future.result(timeout=PATIENCE)["sleeps"]
    assert (record["state"], record["error_class"]) == ("failed", error_class)
    assert len(attempts(plan)) == len(world.cluster.created) == 1
    boards.until(lambda: process.poll() is not None, "the end of the method's process", PATIENCE)
    assert not (attempts(plan)[0] / "prediction.h5ad").exists()


def test_an_image_nobody_can_pull_is_told_and_not_waited_for(world: World) -> None:
    plan = world.plan("constant")
    method = methods.find(world.settings, "constant")
    world.cluster.unpullable.add(f"reg.test/{method.tag}")
    record = world.complete(plan)["constant"]
    assert (record["state"], record["error_class"]) == ("failed", "PULL_ERROR")
    assert "not found" in record["message"] and not world.cluster.jobs
    world.cluster.unpullable.clear()
    assert world.complete(plan)["constant"]["state"] == "succeeded"
    assert [path.name for path in attempts(plan)] == ["attempt-1", "attempt-2"]


def test_an_interrupt_deletes_the_jobs_that_run_and_says_cancelled(world: World) -> None:
    quick, slow = world.plan("constant"), world.plan("sleeps", limits=Limits(timeout_s=400))

    def interrupt(plan: Plan, record: Any) -> None:
        boards.until(world.cluster.works, "the start of the other method", PATIENCE)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        complete([quick, slow], world.settings, world.engine(), on_record=interrupt)
    record = slow.folder.record()
    assert record is not None and (record["state"], record["error_class"]) == ("cancelled", "CANCELLED")
    assert world.cluster.works() is None and len(world.cluster.jobs) == 1  # the one that had ended


@pytest.mark.parametrize("forgotten", [False, True], ids=["its-job-is-kept", "its-job-is-past-its-ttl"])
def test_what_was_placed_and_left_is_collected_once_across_a_server_that_goes_away(
    forgotten: bool, world: World
) -> None:
    plan = world.plan("constant")
    complete([plan], world.settings, world.engine(), detach=True)
    assert plan.folder.record() is None
    engine = world.engine()
    world.cluster.is_away = True
    records: list[dict[str, Any]] = []
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(
            complete, [plan], world.settings, engine, on_record=lambda _, record: records.append(record)
        )
        boards.until(lambda: (attempts(plan)[0] / "outcome.json").exists(), "the end of the pod", PATIENCE)
        assert not future.done()
        if forgotten:
            boards.until(lambda: world.cluster.succeeded, "the end of the Job", PATIENCE)
            world.cluster.delete(world.cluster.created[0])
        world.cluster.is_away = False
        future.result(timeout=PATIENCE)
    assert [record["state"] for record in records] == ["succeeded"]
    assert len(attempts(plan)) == len(world.cluster.created) == 1


def test_a_job_that_a_killed_harness_forgot_is_gone_before_the_next_attempt(world: World) -> None:
    plan = world.plan("constant")
    forgotten = plan.folder.new_attempt(plan.spec)
    world.engine().submit(forgotten, Limits(), lambda: False)  # and died before it could note that
    boards.until(lambda: (forgotten / "outcome.json").exists(), "the end of the forgotten pod", PATIENCE)
    write_json(
        forgotten / "status.json", {**json.loads((forgotten / "status.json").read_text()), "pid_started": 1}
    )
    record = world.complete(plan)["constant"]
    assert (record["state"], record["attempt"]) == ("succeeded", 2)
    assert len(world.cluster.jobs) == 1 and len(world.cluster.created) == 2


def test_a_server_that_refuses_is_quoted(world: World) -> None:
    plan = world.plan("constant")
    world.cluster.refusal = "exceeded quota: small"
    record = world.complete(plan)["constant"]
    assert record["error_class"] == "PLATFORM_ERROR"
    assert "the Kubernetes API server refused (403): exceeded quota: small" in record["message"]
    world.cluster.is_away = True
    with pytest.raises(InfrastructureError, match="503"):
        world.engine()


def test_what_is_rendered_is_what_would_be_created(world: World, tmp_path: Path) -> None:
    board = boards.board(tmp_path, ["constant", "crashes"], seeds=[0])
    home, registry = world.settings.home, world.settings.registry
    arguments = ("engine", "render", board, "--engine-config", world.configuration, "--out", tmp_path / "out")
    done = boards.lanner(*arguments, "--json", home=home, cwd=tmp_path, registry=registry)
    assert done.returncode == 0, done.stderr
    documents = [json.loads(Path(name).read_text()) for name in json.loads(done.stdout)["files"]]
    assert [document["kind"] for document in documents] == ["NetworkPolicy", "Job", "Job"]
    assert not list((home / "runs").rglob("attempt-*")) and not world.cluster.created


def test_a_leaderboard_is_the_same_byte_for_byte_collected_later_or_at_once(
    world: World, tmp_path: Path
) -> None:
    board = boards.board(tmp_path, ENDS, seeds=[0])
    options = ("--engine", "kubernetes", "--engine-config", world.configuration, "--json")
    digests = []
    for home, steps in (("one", [()]), ("two", [("--detach",), ()])):
        for step in steps:
            arguments = ("leaderboard", "build", board, *options, *step)
            registry = world.settings.registry
            done = boards.lanner(*arguments, home=tmp_path / home, cwd=tmp_path, registry=registry)
        assert done.returncode == 1, done.stderr
        path = tmp_path / home / "leaderboards" / "board" / "leaderboard.json"
        digests.append(hashlib.sha256(path.read_bytes()).hexdigest())
    assert digests[0] == digests[1]
    assert len(world.cluster.created) == 2 * len(ENDS)


def test_what_the_file_lacks_is_said_before_a_cluster_is_asked(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with pytest.raises(ConfigurationError, match=r"needs --engine-config with image .* and claim"):
        open_engine("kubernetes", settings, jobs=1)
    path = tmp_path / "engine.yaml"
    path.write_text("engine: kubernetes\nimage: x\n")
    with pytest.raises(ConfigurationError, match=r"needs --engine-config with claim \(of LANNER_HOME\)"):
        open_engine("kubernetes", settings, jobs=1, configuration=path)
