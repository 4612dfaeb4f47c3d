"""What doctor says of engines that are not here."""

from __future__ import annotations

import pytest
from lanner import doctor
from lanner.runners import docker
from lanner.runners.engine import Engine


def engine(*, rootless: bool, cgroup: str) -> Engine:
    return Engine(
        name="Podman",
        version="4.3",
        storage="overlay",
        cgroup=cgroup,
        rootless=rootless,
        remapped=False,
        runtimes=("runc",),
        default_runtime="runc",
    )


@pytest.mark.parametrize(
    ("rootless", "cgroup", "warned"), [(True, "1", True), (True, "2", False), (False, "1", False)]
)
def test_a_rootless_engine_that_keeps_no_limit_is_warned_of(
    rootless: bool, cgroup: str, warned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker, "docker_available", lambda: None)
    monkeypatch.setattr(docker, "engine_facts", lambda: engine(rootless=rootless, cgroup=cgroup))
    found = {finding.check: finding for finding in doctor._engines(quick=True)}
    assert ("limits" in found) is warned
    assert not warned or (found["limits"].level == "warning" and "cgroup v2" in found["limits"].fix)


def test_every_way_to_run_a_method_says_what_it_does_not_promise() -> None:
    assert {"docker", "podman", "charliecloud", "apptainer", "kubernetes", "process"} <= set(doctor.PROMISES)
    assert "no Apptainer yet" in doctor.PROMISES["apptainer"]
    assert "never run on a real cluster" in doctor.PROMISES["kubernetes"]
