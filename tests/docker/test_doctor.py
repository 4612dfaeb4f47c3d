"""`lanner doctor` tries the sandbox for real, one finding per attempt, each with its fix."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

import pytest
from click.testing import CliRunner
from lanner import doctor
from lanner.cli import lanner
from lanner.config import Settings
from lanner.runners.battery import BASE_IMAGE, Battery, Report
from lanner.runners.docker import RUNTIME_VARIABLE

pytestmark = pytest.mark.docker


def by_check(settings: Settings, **options: bool) -> Mapping[str, doctor.Finding]:
    return {finding.check: finding for finding in doctor.examine(settings, **options)}


def test_both_lists_are_tried_from_inside_and_this_machine_passes(settings: Settings) -> None:
    findings = by_check(settings)
    assert {check: finding.found for check, finding in findings.items() if finding.level == "error"} == {}
    assert len([check for check in findings if check.startswith("denied: ")]) >= 28
    assert len([check for check in findings if check.startswith("allowed: ")]) >= 17
    assert findings["memory flag"].level == "ok"
    assert "readable" in findings["users"].found
    assert "cgroup v" in findings["docker"].found


def test_quick_starts_no_container(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Battery, "run")
    findings = by_check(settings, quick=True)
    assert findings["sandbox"].found == "not tried (--quick)"
    assert {"disk", "reader", "gpu", "cgroups", "docker", "podman", "apptainer"} <= set(findings)


def test_a_breach_and_a_missing_need_are_errors_with_a_fix(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    holes = {"mount": "ok", "unshare a user namespace": "ok", "be root": "PermissionError"}
    report = Report(denied=holes, allowed={"write to /tmp": "OSError: read-only"})
    monkeypatch.setattr(Battery, "attempts", lambda self: report)
    findings = by_check(settings)
    levels = {check: finding.level for check, finding in findings.items() if ": " in check}
    assert levels == {
        "denied: mount": "error",
        "denied: unshare a user namespace": "warning",
        "denied: be root": "ok",
        "allowed: write to /tmp": "error",
    }
    assert all(finding.fix for finding in findings.values() if finding.level != "ok")


def test_a_runtime_the_engine_does_not_know_is_an_error(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RUNTIME_VARIABLE, "no-such-runtime")
    assert by_check(settings, quick=True)["runtime"].level == "error"


def test_an_engine_that_does_not_answer_is_a_warning_that_says_what_to_do(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/engine.sock")
    finding = by_check(settings)["docker"]
    assert finding.level == "warning"
    assert "only Lanner's own methods" in finding.fix


def test_every_fix_belongs_to_an_attempt_and_the_image_to_the_dockerfile() -> None:
    from lanner.runners.battery import PROBE

    program = (PROBE / "probe.py").read_text()
    assert all(f'"{name}": ' in program for name in {**doctor.DENIED_FIXES, **doctor.ALLOWED_FIXES})
    assert f"FROM {BASE_IMAGE}\n" in (PROBE / "Dockerfile").read_text()


def test_the_command_prints_the_findings_as_json() -> None:
    result = CliRunner().invoke(lanner, ["doctor", "--quick", "--json"])
    assert result.exit_code == 0, result.output
    findings = json.loads(result.stdout)["findings"]
    assert {"check", "level", "found", "fix"} == set(findings[0])
    assert os.environ["LANNER_HOME"] in [finding["found"] for finding in findings]
