"""Another attempt, an end to one, and room made: ``retry``, ``cancel`` and ``clean``."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import boards
import pytest
from lanner import cleaning, methods
from lanner.config import Settings

WAITS = """
pathlib.Path({started!r}).touch()
while True:
    time.sleep(0.05)
"""
FAILS_ONCE = """
if not pathlib.Path({flag!r}).exists():
    pathlib.Path({flag!r}).touch()
    sys.exit("not today")
write()
"""


class Folder:
    """A registry, a LANNER_HOME, and the command line on both."""

    def __init__(self, path: Path) -> None:
        self.path, self.home = path, path / "home"
        self.registry = boards.registry(path / "registry")
        self.settings = Settings(home=self.home, registry=self.registry)

    def add(self, name: str, program: str) -> None:
        boards.add_method(self.registry, name, program)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return boards.lanner(*arguments, home=self.home, cwd=self.path, registry=self.registry)

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json").stdout)

    def build(self, *names: str) -> subprocess.CompletedProcess[str]:
        board = boards.board(self.path, names)
        return self.run("leaderboard", "build", str(board), "--runner", "process", "--trust-process")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_failed_run_is_done_again_when_asked_and_only_then(folder: Folder) -> None:
    folder.add("flaky", FAILS_ONCE.format(flag=str(folder.path / "flag")))
    assert folder.build("flaky").returncode == 1
    assert folder.build("flaky").returncode == 1, "a method's failure stands"
    again = folder.run("retry", "--failed=METHOD_ERROR", "--json")
    assert again.returncode == 0
    (row,) = json.loads(again.stdout)["runs"]
    assert (row["state"], row["error_class"]) == ("succeeded", None)
    assert folder.build("flaky").returncode == 0
    (attempt, _) = sorted((folder.home / "runs").glob("*/*/*/*/attempt-*"))
    assert json.loads((attempt / "run.json").read_text())["error_class"] == "METHOD_ERROR"


def test_another_class_of_failure_is_left_alone(folder: Folder) -> None:
    folder.add("flaky", FAILS_ONCE.format(flag=str(folder.path / "flag")))
    folder.build("flaky")
    assert folder.json("retry", "--failed=OOM") == {"runs": []}


def test_retrying_nothing_is_a_usage_error(folder: Folder) -> None:
    assert folder.run("retry").returncode == 2
    assert folder.run("retry", "0000").returncode == 2
    assert folder.run("retry", "--failed=nonsense").returncode == 2


def test_a_run_under_way_is_cancelled_by_its_key(folder: Folder) -> None:
    started = folder.path / "started"
    folder.add("endless", WAITS.format(started=str(started)))
    board = boards.board(folder.path, ["endless"])
    arguments = ("leaderboard", "build", board, "--runner", "process", "--trust-process", "--json")
    harness = boards.start(*arguments, home=folder.home, cwd=folder.path, registry=folder.registry)
    boards.until(started.exists, "the start of the method")
    (row,) = folder.json("status")["runs"]
    assert folder.json("cancel", row["key"]) == {"cancelling": [row["key"]]}
    output, _ = harness.communicate(timeout=60)
    (row,) = json.loads(output)["rows"]
    assert (row["status"], row["error_class"]) == ("cancelled", "CANCELLED")
    assert folder.run("cancel", "--all").stdout.strip() == "nothing is under way"


def test_clean_shows_and_removes_what_it_is_asked_to(folder: Folder) -> None:
    folder.add("flaky", FAILS_ONCE.format(flag=str(folder.path / "flag")))
    folder.build("flaky")
    folder.json("retry", "--failed")
    before = folder.json("clean", "attempts", "staged", "--dry-run")
    assert [item["kind"] for item in before["found"]] == ["attempts", "staged"]
    assert before["removed"] == []
    refused = folder.run("clean", "attempts")
    assert refused.returncode == 130, "without an answer nothing is removed"
    done = folder.json("clean", "attempts", "staged", "--yes")
    assert len(done["removed"]) == 2
    assert not list((folder.home / "staged").glob("*"))
    assert folder.build("flaky").returncode == 0, "what was removed is made again"


def test_everything_can_go_and_come_back(folder: Folder) -> None:
    folder.add("constant", "write()")
    folder.build("constant")
    first = (folder.home / "leaderboards" / "board" / "leaderboard.json").read_bytes()
    kinds = [kind for kind in cleaning.KINDS if kind != "images"]
    folder.json("clean", *kinds, "--yes")
    assert cleaning.find(folder.settings, frozenset(kinds)) == []
    assert folder.build("constant").returncode == 0
    assert (folder.home / "leaderboards" / "board" / "leaderboard.json").read_bytes() == first


def test_what_is_being_run_is_not_removed(folder: Folder) -> None:
    started = folder.path / "started"
    folder.add("endless", WAITS.format(started=str(started)))
    plan = boards.planned(folder.settings, methods.find(folder.settings, "endless"))
    harness = boards.drive(folder.settings, "endless")
    try:
        boards.until(started.exists, "the start of the method")
        assert plan.folder.path not in {
            item.path for item in cleaning.find(folder.settings, frozenset({"runs"}))
        }
    finally:
        folder.run("cancel", "--all")
        harness.wait(timeout=60)


def test_watching_ends_when_nothing_is_under_way(folder: Folder) -> None:
    started = folder.path / "started"
    folder.add("endless", WAITS.format(started=str(started)))
    boards.planned(folder.settings, methods.find(folder.settings, "endless"))
    harness = boards.drive(folder.settings, "endless")
    boards.until(started.exists, "the start of the method")
    watch = boards.start("status", "--watch", home=folder.home, cwd=folder.path, registry=folder.registry)
    with pytest.raises(subprocess.TimeoutExpired):
        watch.communicate(timeout=3)
    folder.run("cancel", "--all")
    output, _ = watch.communicate(timeout=60)
    assert "cancelled" in output
    harness.communicate(timeout=60)
