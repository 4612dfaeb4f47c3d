"""The workflows call what `make help` lists, and the one for methods checks what a pull request touches."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
LANNER = """#!/bin/sh
echo "$@" >> "$CALLS"
case "$*" in
  "method info"*) echo '{"tasks": ["perturbation-response", "network-inference"]}';;
  "method check"*bad*) exit 1;;
esac
"""


def scripts(path: Path) -> list[str]:
    """The shell text of every step."""
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_make_target_a_workflow_calls_is_there(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    called = [
        name for script in scripts(path) for name in re.findall(r"^make ([a-z-]+)", script, re.MULTILINE)
    ]
    assert called
    assert set(called) <= targets


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone whose branch adds one method, changes another, and touches what is no method."""
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")

    def commit(*files: str) -> None:
        for name in files:
            path = tmp_path / "method_containers" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as stream:
                stream.write("x")
        for arguments in (("add", "method_containers"), ("commit", "-qm", "x")):
            subprocess.run([*git, *arguments], cwd=tmp_path, check=True)

    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    commit("old/method.yaml", "changed/method.yaml", "changed/predict.py", "README")
    subprocess.run(["git", "update-ref", "refs/remotes/origin/main", "HEAD"], cwd=tmp_path, check=True)
    commit("changed/predict.py", "new/method.yaml", "README", "no-method/notes")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "lanner").write_text(LANNER)
    (tmp_path / ".venv" / "bin" / "lanner").chmod(0o755)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    return tmp_path


def propose(checkout: Path) -> tuple[int, list[str]]:
    """Exit code of the last step for a pull request, and what it asked of lanner."""
    environment = {**os.environ, "GITHUB_BASE_REF": "main", "CALLS": str(checkout / "calls")}
    script = scripts(REPOSITORY / ".github" / "workflows" / "proposed-method.yml")[-1]
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script], cwd=checkout, env=environment, check=False
    )
    return done.returncode, (checkout / "calls").read_text().splitlines()


def test_the_methods_a_pull_request_touches_are_checked_and_compared_on_each_of_their_tasks(
    checkout: Path,
) -> None:
    code, calls = propose(checkout)
    assert code == 0
    assert [call for call in calls if call.startswith("method check")] == [
        "method check method_containers/changed",
        "method check method_containers/new",
    ]
    ran = [call for call in calls if call.startswith("run --method method_containers/new")]
    assert [call.split("--task ")[1].split()[0] for call in ran] == [
        "perturbation-response",
        "network-inference",
    ]
    assert all(call.endswith("--compare") for call in ran)


def test_a_method_that_fails_its_check_fails_the_pull_request(checkout: Path) -> None:
    (checkout / "method_containers" / "new").rename(checkout / "method_containers" / "bad")
    subprocess.run(["git", "add", "-A", "method_containers"], cwd=checkout, check=True)
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, "commit", "-qm", "x"], cwd=checkout, check=True)
    code, calls = propose(checkout)
    assert code == 1
    assert calls == ["method check method_containers/bad"]
