"""The battery in podman, for real: its service on a store of its own, through the same SDK."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lanner.errors import ErrorClass
from lanner.methods import load
from lanner.runners.battery import PROBE, Battery, Report, expected_user
from lanner.runners.docker import DockerRunner, engine_facts
from lanner.runners.engine import docker_available

pytestmark = [
    pytest.mark.docker,
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        not all(map(shutil.which, ("podman", "catatonit"))) or os.geteuid() != 0,
        reason="podman, catatonit and root are needed for a store of its own",
    ),
]
KNOWN_BREACHES = {"unshare a user namespace"}
"""docs/explanation/security.md says this of podman's default seccomp profile."""


@pytest.fixture(scope="module")
def battery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Battery]:
    probe = load(PROBE)
    DockerRunner().prepare(probe)  # its base image comes from Docker's store: here may be no network
    folder = Path(tempfile.mkdtemp(prefix="lanner-podman-"))  # a socket's path must be short
    folder.chmod(0o711)
    podman = ["podman", "--root", str(folder / "root"), "--runroot", str(folder / "run")]
    before = os.environ.get("DOCKER_HOST")
    saved = subprocess.Popen(["docker", "save", probe.tag], stdout=subprocess.PIPE)
    subprocess.run([*podman, "load"], stdin=saved.stdout, check=True, capture_output=True)
    service = subprocess.Popen([*podman, "system", "service", "--time=0", f"unix://{folder}/socket"])
    os.environ["DOCKER_HOST"] = f"unix://{folder}/socket"
    try:
        end = time.monotonic() + 120
        while docker_available() is not None and time.monotonic() < end:
            time.sleep(0.2)
        assert engine_facts().name == "Podman"
        found = Battery(DockerRunner(), folder)
        found.prepare()
        yield found
    finally:
        service.terminate()
        service.wait()
        if before is None:
            del os.environ["DOCKER_HOST"]
        else:
            os.environ["DOCKER_HOST"] = before
        for name in ("root/overlay", "root"):
            subprocess.run(["umount", "-l", str(folder / name)], check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


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
        "print('well')": None,
    }
    found = {program: battery.run("python", "-c", program)[0].error_class for program in ends}
    assert found == ends
    assert battery.run("python", "-c", "import time; time.sleep(99)", timeout_s=3)[0].error_class == "TIMEOUT"
