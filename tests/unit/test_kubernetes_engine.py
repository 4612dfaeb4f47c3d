"""An API server that fails for a moment costs a poll, and a run that cannot be placed costs that run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lanner import execution, pipeline
from lanner.errors import ConfigurationError, InfrastructureError
from lanner.execution import kubernetes
from lanner.execution.kubernetes import KubernetesEngine, KubernetesJob
from lanner.execution.kubernetes_api import Cluster
from lanner.execution.kubernetes_manifests import Site
from lanner.records import Limits
from lanner.store import write_json
from urllib3.exceptions import ProtocolError


class Cut:
    """An answer whose connection is cut in its middle."""

    @property
    def data(self) -> bytes:
        raise ProtocolError("Connection broken")


def cluster(answer: Any) -> Cluster:
    """One whose server answers every request with ``answer``."""

    def call(*arguments: Any, **options: Any) -> Any:
        return answer

    class RefusedError(Exception):
        pass

    made = object.__new__(Cluster)
    api = SimpleNamespace(list_namespaced_job=call, list_namespaced_pod=call, read_namespaced_pod_log=call)
    made.__dict__.update(
        _site=Site(home=Path("/home"), user=(1, 1), options={}),
        _refused=RefusedError,
        _batch=api,
        _core=api,
        _namespace="lanner",
    )
    return made


@pytest.mark.parametrize(
    "answer",
    [
        Cut(),
        *(
            SimpleNamespace(data=text)
            for text in (b'{"items": [', b"<html>", b"[]", b"\xff{", b'{"items": 1}')
        ),
    ],
)
def test_an_answer_that_is_cut_off_or_no_list_is_the_platform_s_failure(answer: Any) -> None:
    with pytest.raises(InfrastructureError, match="the Kubernetes API server"):
        cluster(answer).listed()


def test_a_log_that_is_cut_off_is_empty() -> None:
    assert cluster(Cut()).log({"metadata": {"name": "x"}}) == b""
    assert cluster(SimpleNamespace(data=b"line")).log({"metadata": {"name": "x"}}) == b"line"


class Server:
    """Stands for an engine and its cluster: ``failures`` deletions fail before one succeeds."""

    def __init__(self, home: Path, seen: Any, failures: int) -> None:
        self.site, self.seen, self.failures = SimpleNamespace(home=home), seen, failures
        self.cluster, self.deleted = self, 0

    def look(self, name: str, *, afresh: bool = False) -> Any:
        return (None, None) if self.deleted else self.seen

    def delete(self, name: str) -> None:
        if self.failures:
            self.failures -= 1
            raise InfrastructureError("the Kubernetes API server does not answer")
        self.deleted += 1


Make = Callable[..., tuple[KubernetesJob, Server]]


@pytest.fixture
def job(tmp_path: Path) -> Make:
    def make(seen: Any, failures: int) -> tuple[KubernetesJob, Server]:
        attempt = tmp_path / "key" / "attempt-1"
        attempt.mkdir(parents=True)
        write_json(attempt / "spec.json", {})
        server: Any = Server(tmp_path, seen, failures)
        return KubernetesJob(server, "job", attempt, Limits()), server

    return make


def test_a_deletion_that_fails_is_tried_again_and_the_run_ends_once(
    job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    records: list[Any] = []
    monkeypatch.setattr(pipeline, "finish", lambda attempt, spec, record: records.append(record))
    lost, server = job((None, None), failures=2)
    assert [lost.poll() for _ in range(4)] == [None, None, "", ""]
    assert server.deleted == 1 and [record["error_class"] for record in records] == ["LOST"]


def test_a_cancelled_job_whose_deletion_fails_is_deleted_by_a_later_poll(job: Make) -> None:
    running, server = job(({"status": {"active": 1}}, None), failures=2)
    running.cancel()
    assert running.poll() is None and running.poll() == "the Job was deleted" and server.deleted == 1


def test_a_cancelled_job_that_cannot_be_deleted_is_not_waited_for_for_ever(
    job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes, "PATIENCE_SECONDS", -1.0)
    running, _ = job(({"status": {"active": 1}}, None), failures=1000)
    running.cancel()
    assert "could not be deleted" in (running.poll() or "")


@pytest.mark.parametrize("error", [ConfigurationError("no such method"), PermissionError(1, "no permit")])
def test_a_run_that_cannot_be_placed_is_unplaced_for_any_reason(error: Exception, tmp_path: Path) -> None:
    class Refuses:
        has_own_containers = True

        def submit(self, *arguments: Any) -> Any:
            raise error

    folder = SimpleNamespace(attempts=list, new_attempt=lambda spec: tmp_path)
    plan: Any = SimpleNamespace(folder=folder, spec={"keyed": {"limits": {}}})
    engine: Any = Refuses()
    with pytest.raises(execution._UnplacedError, match=r"no such method|no permit"):
        execution._place(plan, engine, [])


def test_a_folder_that_cannot_be_given_to_the_pod_s_user_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def squash(*arguments: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", squash)
    engine = object.__new__(KubernetesEngine)
    engine.site = Site(home=tmp_path, user=(10001, 10001), options={})
    with pytest.raises(InfrastructureError, match="cannot be given to uid 10001"):
        engine._hand_over(tmp_path / "attempt-1")
