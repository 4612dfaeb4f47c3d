"""What a container may not do, and what it must be able to do, tried from inside."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from running import Run

pytestmark = pytest.mark.docker


def test_everything_on_the_first_list_is_denied_and_on_the_second_allowed(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "canary")
    outcome = run("python", "probe.py", memory_mb=512, output_mb=128)
    assert outcome.error_class is None, outcome
    report = json.loads((tmp_path / "attempt" / "stdout.log").read_text())
    assert len(report["denied"]) >= 25
    assert [attempt for attempt, result in report["denied"].items() if result == "ok"] == []
    assert {attempt: result for attempt, result in report["allowed"].items() if result != "ok"} == {}


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
