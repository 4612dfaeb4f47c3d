"""What a container may not do, and what it must be able to do, tried from inside."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lanner.errors import ErrorClass
from lanner.runners.battery import Battery, expected_user
from lanner.runners.docker import RUNTIME_VARIABLE, DockerRunner
from running import Run

pytestmark = pytest.mark.docker


@pytest.fixture
def battery(tmp_path: Path) -> Battery:
    battery = Battery(DockerRunner(), tmp_path)
    battery.prepare()
    return battery


def test_everything_on_the_first_list_is_denied_and_on_the_second_allowed(
    battery: Battery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "canary")
    report = battery.attempts()
    assert (len(report.denied), len(report.allowed)) >= (28, 17)
    assert {attempt: report.denied[attempt] for attempt in report.breaches} == {}
    assert {attempt: report.allowed[attempt] for attempt in report.missing} == {}


def test_what_a_container_writes_is_its_user_s_and_never_root_s(battery: Battery) -> None:
    ownership = battery.ownership()
    assert ownership.outside == ownership.inside == expected_user()
    assert ownership.readable


def test_running_out_of_memory_is_known(battery: Battery) -> None:
    assert battery.reports_memory()


def test_the_output_belongs_to_the_container_s_user_and_nobody_else_may_look(
    run: Run, tmp_path: Path
) -> None:
    run("python", "-c", "open('/output/mine', 'w')")
    output = tmp_path / "attempt" / "output"
    assert output.stat().st_mode & 0o777 == 0o700
    owner = (output / "mine").stat().st_uid
    assert owner == (10001 if os.geteuid() == 0 else os.geteuid())


def test_nothing_left_in_the_output_is_setuid_root(run: Run, tmp_path: Path) -> None:
    run("python", "-c", "import os, shutil; os.chmod(shutil.copy('/bin/true', '/output/su'), 0o4755)")
    assert (tmp_path / "attempt" / "output" / "su").stat().st_uid != 0


def test_the_runtime_asked_for_is_used_and_recorded_and_a_missing_one_is_no_fault_of_the_method(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for runtime, expected in (("runc", None), ("no-such-runtime", ErrorClass.PLATFORM_ERROR)):
        monkeypatch.setenv(RUNTIME_VARIABLE, runtime)
        outcome, _ = Battery(DockerRunner(), tmp_path).run("true")
        assert outcome.error_class == expected, outcome
        assert outcome.provenance["runtime"] == runtime
