"""Records: whole or not at all, claimed once, found again, and their owners alive or dead."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import boards
import psutil
import pytest
from lanner import owner
from lanner.errors import ConfigurationError, ErrorClass, InfrastructureError
from lanner.records import State
from lanner.store import (
    LEASE_SECONDS,
    RunFolder,
    Status,
    Watch,
    find_run,
    find_runs,
    read_json,
    write_bytes,
    write_json,
)

CLAIM = "import sys; from pathlib import Path; from lanner.store import Status\n"
CLAIM += "sys.stdin.readline(); sys.exit(not Status(Path(sys.argv[1])).claim())"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with boards.small_disk(tmp_path / "disk") as disk:
        yield disk


def run_folder(home: Path, key: str = "a" * 64) -> RunFolder:
    return RunFolder.of(home, dataset="tiny", split_sha256="b" * 64, method="m", key=key)


def recorded(home: Path, key: str = "a" * 64, **changes: object) -> RunFolder:
    """A run with one attempt, a prediction and a record."""
    folder = run_folder(home, key)
    attempt = folder.new_attempt({"key": key})
    (attempt / "prediction.h5ad").write_bytes(b"x")
    record = {"key": key, "state": "succeeded", "error_class": None, "attempt": 1, **changes}
    write_json(folder.path / "run.json", record)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_written_file_appears_whole_with_its_mode_and_nothing_beside_it(tmp_path: Path) -> None:
    write_bytes(tmp_path / "new" / "file", b"data", 0o444)
    assert (tmp_path / "new" / "file").read_bytes() == b"data"
    assert (tmp_path / "new" / "file").stat().st_mode & 0o777 == 0o444
    assert names(tmp_path / "new") == ["file"]


def test_a_full_disk_is_said_and_leaves_the_old_file_and_nothing_else(small_disk: Path) -> None:
    write_json(small_disk / "record.json", {"old": 1})
    with pytest.raises(InfrastructureError, match=r"No space left.*free disk space") as caught:
        write_bytes(small_disk / "record.json", bytes(2 << 20))
    assert caught.value.error_class is ErrorClass.DISK_FULL
    assert names(small_disk) == ["record.json"]
    assert read_json(small_disk / "record.json") == {"old": 1}


def test_a_home_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("not a folder")
    with pytest.raises(InfrastructureError, match=r"cannot be written"):
        write_json(tmp_path / "home" / "runs" / "run.json", {})
    with pytest.raises(InfrastructureError, match=r"cannot be made"):
        run_folder(tmp_path / "home").new_attempt({})


def test_a_value_that_is_no_json_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "run.json", {"value": float("nan")})
    assert names(tmp_path) == []


def test_an_absent_document_is_none_and_a_damaged_one_an_error_that_names_it(tmp_path: Path) -> None:
    assert read_json(tmp_path / "run.json") is None
    for damage in (b"{", b"\xff\xfe"):
        (tmp_path / "run.json").write_bytes(damage)
        with pytest.raises(InfrastructureError, match=r"run\.json cannot be read"):
            read_json(tmp_path / "run.json")


def test_a_folder_that_holds_another_key_is_refused(tmp_path: Path) -> None:
    recorded(tmp_path, "a" * 64)
    other = run_folder(tmp_path, "a" * 8 + "b" * 56)
    assert other.path == run_folder(tmp_path).path
    with pytest.raises(InfrastructureError, match=r"holds the run a{64}, not a{8}b{56}; move"):
        other.record()


def test_attempts_are_numbered_in_order_beyond_nine(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    made = [folder.new_attempt({"key": folder.key}).name for _ in range(11)]
    assert made == [f"attempt-{n}" for n in range(1, 12)]
    assert [path.name for path in folder.attempts()] == made
    assert read_json(folder.path / "attempt-11" / "spec.json") == {"key": folder.key, "attempt": 11}
    (folder.path / "attempt-x").mkdir()
    assert len(folder.attempts()) == 11


def test_attempts_made_at_the_same_time_by_several_processes_are_all_different(tmp_path: Path) -> None:
    program = "import sys; from pathlib import Path; from lanner.store import RunFolder\n"
    program += "f = RunFolder(path=Path(sys.argv[1]), key='k'); sys.stdin.readline()\n"
    program += "print(*[f.new_attempt({}).name for _ in range(20)])"
    made = [name for line in together(program, tmp_path / "run", 3) for name in line[1].split()]
    assert sorted(made) == sorted(f"attempt-{n}" for n in range(1, 61))


def together(program: str, path: Path, n: int) -> list[tuple[int, str]]:
    """Start ``n`` processes, let them go at once; their exit codes and output."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(n)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    return [(process.returncode, output) for process, output in zip(processes, outputs, strict=True)]


def test_of_several_processes_exactly_one_claims_an_attempt(tmp_path: Path) -> None:
    codes = [code for code, _ in together(CLAIM, tmp_path, 4)]
    assert sorted(codes) == [0, 1, 1, 1]
    assert json.loads((tmp_path / "status.json").read_text())["state"] == "queued"
    assert Status(tmp_path).claim() is False


@pytest.mark.parametrize("error_class", ["LOST", "CANCELLED", "PLATFORM_ERROR", "DISK_FULL", "PULL_ERROR"])
def test_a_failure_of_the_platform_is_tried_again(tmp_path: Path, error_class: str) -> None:
    folder = recorded(tmp_path, state="failed", error_class=error_class)
    assert folder.reason_to_run() == f"last attempt failed with {error_class}"


@pytest.mark.parametrize(
    "error_class", ["METHOD_ERROR", "TIMEOUT", "OOM", "INVALID_OUTPUT", "NOT_APPLICABLE"]
)
def test_a_failure_of_the_method_stands(tmp_path: Path, error_class: str) -> None:
    state = "skipped" if error_class == "NOT_APPLICABLE" else "failed"
    assert recorded(tmp_path, state=state, error_class=error_class).reason_to_run() is None


def test_the_reason_to_run_says_what_is_missing(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    assert folder.reason_to_run() == "never run"
    folder.new_attempt({"key": folder.key})
    assert folder.reason_to_run() == "interrupted before it ended"
    done = recorded(tmp_path, "c" * 64)
    assert done.reason_to_run() is None
    (done.path / "attempt-1" / "prediction.h5ad").unlink()
    assert done.reason_to_run() == "its prediction.h5ad is gone"


def test_runs_are_found_by_the_start_of_their_key_or_by_folder(tmp_path: Path) -> None:
    first, second = recorded(tmp_path, "ab" * 32), recorded(tmp_path, "ac" * 32)
    assert find_run(tmp_path, "abab")[0] == first.path
    assert find_run(tmp_path, str(second.path))[1]["key"] == second.key
    assert [record["key"] for _, record in find_runs(tmp_path)] == [first.key, second.key]


def test_an_ambiguous_or_unknown_run_is_a_configuration_error(tmp_path: Path) -> None:
    recorded(tmp_path, "ab" * 32)
    recorded(tmp_path, "ac" * 32)
    with pytest.raises(ConfigurationError, match=r"2 runs start with 'a' \(a.*give more characters"):
        find_run(tmp_path, "a")
    with pytest.raises(ConfigurationError, match=r"no run starts with 'f'.*lanner status"):
        find_run(tmp_path, "f")


def claimed(folder: Path, **changes: object) -> Status:
    status = Status(folder)
    assert status.claim()
    if changes:
        write_json(status.path, {**json.loads(status.path.read_text()), **changes})
    return status


def test_an_attempt_of_this_process_is_alive_until_it_is_terminal(tmp_path: Path) -> None:
    status = claimed(tmp_path)
    assert status.is_alive()
    status.set(State.FAILED, error_class="CRASH", message="")
    assert not status.is_alive()


def test_an_attempt_nobody_claimed_is_not_alive(tmp_path: Path) -> None:
    assert not Status(tmp_path).is_alive()
    (tmp_path / "status.json").touch()  # who claimed it says so in an instant
    assert Status(tmp_path).is_alive() and Status(tmp_path).read() is None
    os.utime(tmp_path / "status.json", (0, 0))  # or died in that instant
    assert not Status(tmp_path).is_alive()


def test_an_attempt_of_a_process_that_is_gone_or_never_was_is_dead(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert not claimed(tmp_path, pid=ended.pid).is_alive()


def test_a_process_that_ended_but_was_never_waited_for_is_dead(tmp_path: Path) -> None:
    zombie = subprocess.Popen(["sleep", "60"])
    status = claimed(tmp_path, pid=zombie.pid, pid_started=owner.started(zombie.pid))
    assert status.is_alive()
    zombie.kill()
    while psutil.Process(zombie.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert not status.is_alive()  # where process 1 reaps nobody, it stays like this for ever
    zombie.wait()


def test_another_process_under_a_reused_number_is_not_the_one_that_claimed(tmp_path: Path) -> None:
    mine = owner.started(os.getpid())
    assert mine is not None
    assert not claimed(tmp_path, pid_started=mine - 5).is_alive()


@pytest.mark.parametrize("changed", [{"boot": "another"}, {"pid_namespace": 1}, {"pid_namespace": None}])
@pytest.mark.parametrize("pid", [1, os.getpid()], ids=["of-a-process-here", "of-this-process"])
def test_of_another_boot_or_pid_namespace_of_this_name_only_heartbeats_tell(
    pid: int, changed: dict[str, object], tmp_path: Path
) -> None:
    """Neither is a live one declared dead, nor a dead one held alive by whoever has its number here."""
    status = claimed(tmp_path, pid=pid, pid_started=owner.started(pid), **changed)
    clock = Clock()
    watch = Watch(status, clock)
    assert status.is_alive() and watch.is_alive()
    os.utime(status.path, (0, 0))
    assert not status.is_alive()
    assert watch.is_alive()
    clock.now += LEASE_SECONDS
    assert not watch.is_alive()


@pytest.mark.parametrize("jump", [-7 * 3600, 7 * 3600])
def test_a_clock_that_is_set_neither_ends_nor_revives_an_attempt_of_this_machine(
    jump: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dead").mkdir()
    ended = subprocess.Popen(["sleep", "60"])
    alive = claimed(tmp_path)
    dead = claimed(tmp_path / "dead", pid=ended.pid, pid_started=owner.started(ended.pid))
    assert alive.is_alive() and dead.is_alive()
    ended.kill()
    ended.wait()
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + jump)
    monkeypatch.setattr(psutil, "boot_time", lambda: now() + jump)  # the kernel computes it from the clock
    assert alive.is_alive() and Watch(alive).is_alive()
    assert not dead.is_alive() and not Watch(dead).is_alive()


class Clock:
    """A monotonic clock that stands until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("jump", [-7 * 3600, 0, 7 * 3600])
def test_another_host_s_attempt_is_given_up_when_its_heart_was_seen_to_stand_still(
    jump: int, tmp_path: Path
) -> None:
    status = claimed(tmp_path, host=f"not-{socket.gethostname()}", pid=1)
    clock = Clock()
    watch = Watch(status, clock)
    for beat in range(5):  # every half lease, by a clock that is set by hours in between
        there = time.time() + jump * (beat % 2) + beat
        os.utime(status.path, (there, there))
        assert watch.is_alive()
        clock.now += LEASE_SECONDS / 2
        assert watch.is_alive()
    clock.now += LEASE_SECONDS / 2
    assert not watch.is_alive()
    status.beat()
    assert watch.is_alive()
    status.set(State.SUCCEEDED)
    assert not watch.is_alive()


def test_an_attempt_of_another_host_is_alive_while_its_heart_beats(tmp_path: Path) -> None:
    status = claimed(tmp_path, host=f"not-{socket.gethostname()}", pid=1)
    assert status.is_alive()
    old = time.time() - LEASE_SECONDS - 1
    os.utime(status.path, (old, old))
    assert not status.is_alive()
    status.beat()
    assert status.is_alive()
