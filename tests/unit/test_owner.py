"""A process is told from every other that ever had its number, whatever the clock says."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from lanner import cleaning, owner, reaping
from lanner.config import Settings
from lanner.runners import docker
from lanner.store import Status


def dead_token() -> str:
    """What a process that has ended named its files."""
    program = "from lanner.owner import token; print(token())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_this_process_runs_and_one_that_ended_does_not() -> None:
    assert owner.is_running(owner.this_process()) is True
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert owner.is_running({**owner.this_process(), "pid": ended.pid}) is False


def test_of_another_host_nothing_is_known() -> None:
    assert owner.is_running({**owner.this_process(), "host": "elsewhere"}) is None


def test_of_another_boot_or_pid_namespace_of_this_name_nothing_is_known() -> None:
    mine = owner.this_process()
    for changed in ({"boot": "another"}, {"pid_namespace": 1}, {"pid_namespace": None}):
        assert owner.is_running({**mine, **changed}) is None
        assert owner.is_running({**mine, **changed, "pid": 1 << 30}) is None
        # A container's label of another boot is of a container that ended with it.
        assert owner.is_written_by_the_dead(json.dumps({**mine, **changed})) is ("boot" in changed)


def test_where_proc_shows_another_pid_namespace_numbers_tell_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "self"
    theirs.symlink_to("1")
    monkeypatch.setattr(owner, "PROC_SELF", theirs)
    assert owner.this_process()["pid_namespace"] is None
    assert owner.is_running(owner.this_process()) is None
    assert owner.is_abandoned(f"check.{owner.token()}.x") is None


def test_a_name_tells_whether_its_process_has_ended() -> None:
    assert owner.is_abandoned(f".train.10.h5ad.{owner.token()}.3fa9.partial") is False
    assert owner.is_abandoned(f".train.10.h5ad.{dead_token()}.3fa9.partial") is True
    assert owner.is_abandoned(".train.10.h5ad.partial") is None
    pid, start, _, namespace = dead_token().split("-")
    assert owner.is_abandoned(f"check.{pid}-{start}-{'0' * 8}-{namespace}.x") is None


def test_of_another_pid_namespace_and_of_names_that_do_not_tell_theirs_nothing_is_known() -> None:
    """Two pods of a node share its boot, and each has a process of that number."""
    for token in (owner.token(), dead_token()):
        pid, start, boot, namespace = token.split("-")
        assert owner.is_abandoned(f"check.{pid}-{start}-{boot}-{int(namespace) + 1}.x") is None
        assert owner.is_abandoned(f"check.{pid}-{start}-{boot}.x") is None


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Temporary files of a dead process, of this one, and of somebody unknown."""
    run = tmp_path / "runs" / "tiny" / "split" / "method" / "key"
    for name in (dead_token(), owner.token(), "unknown"):
        (run / "tmp" / f"check.{name}.abc" / "canonical").mkdir(parents=True)
        (run / f".run.json.{name}.ab12.partial").write_text("{")
        (tmp_path / "staged" / f".input.{name}.partial").mkdir(parents=True)
    (run / "run.json").write_text("{}")
    return tmp_path


def test_the_folder_a_plain_process_ran_in_is_swept_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in (dead_token(), owner.token()):
        (tmp_path / f"lanner-process.{name}.abc" / "home").mkdir(parents=True)
    assert reaping.sweep(tmp_path / "home") == 1
    assert [owner.token() in path.name for path in tmp_path.iterdir()] == [True]


def temporary(home: Path) -> list[str]:
    return [path.name for path in home.rglob("*") if path.name.count(".") > 1]


def test_what_dead_processes_left_is_swept_and_nothing_else(home: Path) -> None:
    assert len(temporary(home)) == 9
    assert reaping.sweep(home) == 3
    assert len(temporary(home)) == 6
    assert not [name for name in temporary(home) if owner.is_abandoned(name)]
    assert (home / "runs" / "tiny" / "split" / "method" / "key" / "run.json").exists()


def test_clean_takes_what_nobody_is_known_to_own_and_leaves_a_live_process_its_files(home: Path) -> None:
    found = {item.path for item in cleaning.find(Settings(home=home), frozenset({"leftovers"}))}
    partial = {path.name for path in found if path is not None and path.suffix == ".partial"}
    assert not [name for name in partial if owner.token() in name]
    assert [name for name in partial if "unknown" in name]


def test_the_empty_scratch_folder_of_a_run_that_ended_by_itself_is_no_leftover(tmp_path: Path) -> None:
    runs = tmp_path / "runs" / "tiny" / "split" / "method"
    (runs / "ended" / "tmp").mkdir(parents=True)
    (runs / "killed" / "tmp" / "check.x").mkdir(parents=True)
    found = [item.path for item in cleaning.find(Settings(home=tmp_path), frozenset({"leftovers"}))]
    assert found == [runs / "killed" / "tmp"]


def test_a_link_in_place_of_a_temporary_file_is_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (tmp_path / f".x.{dead_token()}.partial").symlink_to(tmp_path / "precious")
    assert reaping.sweep(tmp_path) == 1
    assert [path.name for path in (tmp_path / "precious").iterdir()] == ["file"]


def test_a_container_is_an_orphan_once_nobody_works_on_its_attempt_or_its_shell_has_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "runs" / "tiny" / "split" / "method" / "key"
    attempts = {name: run / name for name in ("attempt-1", "attempt-2", "attempt-3")}
    for attempt in attempts.values():
        attempt.mkdir(parents=True)
    assert Status(attempts["attempt-2"]).claim()
    ended = subprocess.Popen(["true"])
    ended.wait()
    labelled = {
        "of-the-dead": json.dumps({**owner.this_process(), "pid": ended.pid}),
        "of-the-living": owner.written(),
        "of-another-host": json.dumps({**owner.this_process(), "host": "elsewhere"}),
        "of-nobody-knows-whom": "p1",
    }
    removed: list[str] = []

    def remove(name: str) -> bool:
        removed.append(name)
        return True

    def below(folder: Path) -> dict[str, Path]:
        return attempts if folder == tmp_path / "runs" else {}

    monkeypatch.setattr(docker, "containers_below", below)
    monkeypatch.setattr(docker, "owned_containers", lambda: labelled)
    monkeypatch.setattr(docker, "remove_container", remove)
    found = cleaning.find(Settings(home=tmp_path), frozenset({"leftovers"}))
    assert [item.container for item in found if item.container] == ["attempt-1", "attempt-3", "of-the-dead"]
    assert reaping.remove_orphans(tmp_path) == 3
    assert removed == ["attempt-1", "attempt-3", "of-the-dead"]
