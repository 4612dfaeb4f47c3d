"""What a run uses is read without following links, on either version of cgroups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lanner.records import Limits
from lanner.runners.watch import CgroupMeter, cgroup_files, gpu_bytes, is_too_large, usage

V1 = "11:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n0::/\n"
V2 = "0::/system.slice/docker-abc.scope\n"


def test_version_1_keeps_a_folder_per_controller(tmp_path: Path) -> None:
    files = cgroup_files(V1, tmp_path)
    assert files["peak"] == tmp_path / "memory/docker/abc/memory.max_usage_in_bytes"
    assert files["cpu"] == tmp_path / "cpuacct/docker/abc/cpuacct.usage"


@pytest.mark.parametrize("table", ["", "0::/\n", "11:memory:/\n0::/\n"])
def test_the_machine_s_own_numbers_are_never_taken_for_a_run_s(table: str, tmp_path: Path) -> None:
    assert cgroup_files(table, tmp_path) == {}


@pytest.mark.parametrize(
    ("table", "numbers"),
    [
        (
            V1,
            {
                "memory/docker/abc/memory.max_usage_in_bytes": "1000\n",
                "memory/docker/abc/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
                "cpuacct/docker/abc/cpuacct.usage": "1500000000\n",
            },
        ),
        (
            V2,
            {
                "system.slice/docker-abc.scope/memory.peak": "1000\n",
                "system.slice/docker-abc.scope/memory.events": "low 0\noom 3\noom_kill 2\noom_group_kill 0\n",
                "system.slice/docker-abc.scope/cpu.stat": "usage_usec 1500000\nuser_usec 1000000\n",
            },
        ),
    ],
)
def test_memory_time_and_kills_are_read_and_the_last_reading_counts(
    table: str, numbers: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in numbers.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    meter = CgroupMeter(os.getpid(), tmp_path)
    monkeypatch.setattr(meter, "_files", cgroup_files(table, tmp_path))
    meter.sample()
    for name in numbers:
        (tmp_path / name).unlink()
    meter.sample()
    assert (meter.peak_bytes, meter.cpu_seconds, meter.oom_kills) == (1000, 1.5, 2)


def test_a_process_that_is_gone_has_no_numbers() -> None:
    meter = CgroupMeter(2**22 + 1)
    meter.sample()
    assert (meter.peak_bytes, meter.cpu_seconds, meter.oom_kills) == (None, None, 0)


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        ("4242, 1024\n4243, 512\n7, 99\n", 1536 << 20),
        ("4242, 1024\n4242, 1000\n", 2024 << 20),  # on two GPUs
        ("4242, [N/A]\n", None),
        ("", None),
        ("No devices were found\n", None),
    ],
)
def test_gpu_memory_is_that_of_the_run_s_own_processes(listing: str, expected: int | None) -> None:
    assert gpu_bytes(listing, {4242, 4243}) == expected


def test_usage_follows_no_link_and_counts_what_is_on_disk(tmp_path: Path) -> None:
    output, elsewhere = tmp_path / "output", tmp_path / "elsewhere"
    (output / "deep" / "er").mkdir(parents=True)
    elsewhere.mkdir()
    (elsewhere / "large").write_bytes(bytes(5 << 20))
    (output / "link").symlink_to(elsewhere)
    (output / "deep" / "er" / "file").write_bytes(os.urandom(1 << 20))
    with (output / "sparse").open("wb") as stream:
        stream.truncate(1 << 40)
    total, entries = usage(output)
    assert 1 << 20 <= total < 2 << 20
    assert entries == 5


def test_bytes_and_entries_are_both_limited(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(os.urandom(1 << 20))
    assert not is_too_large(tmp_path, Limits(output_mb=2))
    assert is_too_large(tmp_path, Limits(output_mb=1))
    assert is_too_large(tmp_path, Limits(output_files=0))
    (tmp_path / "folder").mkdir()
    for number in range(50):
        (tmp_path / "folder" / str(number)).touch()
    assert usage(tmp_path)[1] == 52 and usage(tmp_path, most_entries=10)[1] == 11
    assert is_too_large(tmp_path, Limits(output_files=51))
    assert not is_too_large(tmp_path, Limits(output_files=52))
