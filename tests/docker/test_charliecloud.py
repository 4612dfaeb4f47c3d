"""The battery in Charliecloud, for real: what namespaces alone keep, and what they are known not to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from lanner.errors import ErrorClass
from lanner.runners.battery import Battery, Report, expected_user
from lanner.runners.charliecloud import CharliecloudRunner
from lanner.runners.unpacked import VARIABLE

pytestmark = [
    pytest.mark.docker,
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not CharliecloudRunner.is_installed(), reason="Charliecloud is not installed"),
]

KNOWN_BREACHES = {
    "unshare a user namespace",  # it lives by them itself
    "call the kernel unfiltered",  # it sets no seccomp filter
    "hold a capability",  # in the bounding set of its own namespace, where none can be had
    "fill /tmp",  # a folder of the disk, which the watcher of the output does not see
}
"""docs/explanation/security.md says these of Charliecloud."""


@pytest.fixture(scope="module")
def battery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Battery]:
    folder = tmp_path_factory.mktemp("charliecloud")
    for path in (folder, *folder.parents):
        if path.owner() == "root" and os.geteuid() == 0 and not path.stat().st_mode & 0o001:
            path.chmod(path.stat().st_mode | 0o011)  # the sandbox's user must get there
    before = os.environ.get(VARIABLE)
    os.environ.setdefault(VARIABLE, str(folder / "images"))
    found = Battery(CharliecloudRunner(), folder)
    found.prepare()
    yield found
    if before is None:
        del os.environ[VARIABLE]


@pytest.fixture(scope="module")
def report(battery: Battery) -> Report:
    return battery.attempts()


def test_no_more_gets_out_than_what_the_documentation_says(report: Report) -> None:
    assert set(report.breaches) <= KNOWN_BREACHES


def test_everything_methods_need_works(report: Report) -> None:
    assert report.missing == []


def test_files_are_the_sandbox_s_user_s_inside_and_out(battery: Battery) -> None:
    owner = battery.ownership()
    assert owner.inside == owner.outside == expected_user() and owner.readable


def test_ends_are_told_as_docker_s_are(battery: Battery) -> None:
    ends = {
        "import sys; sys.exit(3)": ErrorClass.METHOD_ERROR,
        "import sys; print('no', file=sys.stderr); sys.exit(99)": ErrorClass.NOT_APPLICABLE,
        "import os; os.kill(os.getpid(), 11)": ErrorClass.CRASH,
        "x = bytearray(600 << 20); import time; time.sleep(20)": ErrorClass.OOM,
        "open('/output/x', 'wb').truncate(1 << 30)": ErrorClass.METHOD_ERROR,  # EFBIG, by ulimit
        "print('well')": None,
    }
    found = {program: battery.run("python", "-c", program)[0].error_class for program in ends}
    assert found == ends


def test_the_clock_ends_all_that_it_started(battery: Battery) -> None:
    program = "import os, time\nfor _ in range(3): os.fork()\ntime.sleep(1234)"
    outcome, _ = battery.run("python", "-c", program, timeout_s=5)
    assert outcome.error_class is ErrorClass.TIMEOUT
    left = [process for process in psutil.process_iter() if program in " ".join(_command(process))]
    assert left == []


def test_an_image_is_unpacked_once(battery: Battery) -> None:
    folder = Path(os.environ[VARIABLE])
    images = {path: path.stat().st_mtime_ns for path in folder.glob("charliecloud-*")}
    battery.prepare()
    assert images and images == {path: path.stat().st_mtime_ns for path in folder.glob("charliecloud-*")}


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
