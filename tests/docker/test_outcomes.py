"""Each way to end, in a real container, is charged to the right party."""

from __future__ import annotations

import os
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest
from lanner.errors import (
    ErrorClass,
    ImageBuildError,
    ImageRefusedError,
    InfrastructureError,
    PredictionError,
)
from lanner.intake import collect
from lanner.methods import Method, load
from lanner.records import Limits
from lanner.runners.docker import DockerRunner, remove_image
from running import Run

pytestmark = pytest.mark.docker

EAT = "x = bytearray(400 << 20)"
FORK = f"import os, sys\npid = os.fork()\nif pid == 0:\n    {EAT}; os._exit(0)\nos.waitpid(pid, 0)\n"
FILL_TMP = "[open(f'/tmp/{i}', 'wb').write(bytes(6 << 20)) for i in range(10)]; x = bytearray(100 << 20)"

# Python programs but where a list is given.
ENDINGS: dict[str, tuple[str | list[str], ErrorClass | None]] = {
    "nothing special": (["true"], None),
    "exit code 3": ("import sys; sys.exit(3)", ErrorClass.METHOD_ERROR),
    "exit code 99": ("import sys; sys.exit(99)", ErrorClass.NOT_APPLICABLE),
    "exit code 137 by itself": ("import sys; sys.exit(137)", ErrorClass.CRASH),
    "killed by itself": ("import os; os.kill(os.getpid(), 9)", ErrorClass.CRASH),
    "segmentation fault": ("import ctypes; ctypes.string_at(0)", ErrorClass.CRASH),
    "abort": ("import os; os.abort()", ErrorClass.CRASH),
    # Without an init, a shell as process 1 survives its own signal and ends with 0.
    "a signal a shell sends itself": (["sh", "-c", "kill -SEGV $$"], ErrorClass.CRASH),
    "an orphan left running": (["sh", "-c", "sleep 60 & exit 0"], None),
    "out of memory": (EAT, ErrorClass.OOM),
    "a child out of memory, its parent fails": (f"{FORK}sys.exit(1)", ErrorClass.OOM),
    "a child out of memory, its parent recovers": (FORK, None),
    "memory filled through /tmp": (FILL_TMP, ErrorClass.OOM),
    "a missing command": (["no-such-program"], ErrorClass.START_ERROR),
    "a command that is no program": (["/etc/passwd"], ErrorClass.START_ERROR),
    "one file too large": ("open('/output/x', 'wb').write(bytes(20 << 20))", ErrorClass.OUTPUT_TOO_LARGE),
    "many files too large": (
        "[open(f'/output/{i}', 'wb').write(bytes(6 << 20)) for i in range(4)]",
        ErrorClass.OUTPUT_TOO_LARGE,
    ),
    "too many files": ("[open(f'/output/{i}', 'w') for i in range(1500)]", ErrorClass.OUTPUT_TOO_LARGE),
}


@pytest.mark.parametrize(("command", "expected"), ENDINGS.values(), ids=ENDINGS.keys())
def test_each_end_is_charged_to_the_right_party(
    command: str | list[str], expected: ErrorClass | None, run: Run
) -> None:
    outcome = run("python", "-c", command) if isinstance(command, str) else run(*command)
    assert outcome.error_class == expected, outcome
    assert outcome.message.isprintable()


@pytest.mark.parametrize("program", ["", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "])
def test_the_clock_ends_it_whether_or_not_it_listens(program: str, run: Run) -> None:
    began = time.monotonic()
    outcome = run("python", "-c", f"{program}import time; time.sleep(60)", timeout_s=2)
    assert outcome.error_class == ErrorClass.TIMEOUT
    assert 2 <= outcome.usage["wall_seconds"] < 4
    assert time.monotonic() - began < 6


def test_writing_without_end_is_stopped_long_before_the_clock(run: Run) -> None:
    program = (
        "import itertools, time\nfor i in itertools.count():\n"
        "    open(f'/output/{i}', 'wb').write(bytes(4 << 20)); time.sleep(0.05)"
    )
    outcome = run("python", "-c", program)
    assert outcome.error_class == ErrorClass.OUTPUT_TOO_LARGE
    assert outcome.usage["wall_seconds"] < 5


def test_a_fork_bomb_ends_with_the_clock(run: Run) -> None:
    program = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    assert run("python", "-c", program, timeout_s=2, processes=64).error_class == ErrorClass.TIMEOUT


def test_a_flood_of_output_is_bounded(run: Run, tmp_path: Path) -> None:
    program = "import sys\nfor _ in range(30): sys.stdout.write('x' * (1 << 20) + '\\n')\nprint('last')"
    assert run("python", "-c", program).error_class is None
    log = tmp_path / "attempt" / "stdout.log"
    assert log.stat().st_size < 10 << 20
    assert log.read_bytes().endswith(b"last\n")


def test_stdout_and_stderr_are_kept_apart(run: Run, tmp_path: Path) -> None:
    run("python", "-c", "import sys; print('result'); print('talk', file=sys.stderr)")
    assert (tmp_path / "attempt" / "stdout.log").read_text() == "result\n"
    assert (tmp_path / "attempt" / "stderr.log").read_text() == "talk\n"


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_the_platform_s_fault(run: Run) -> None:
    with pytest.raises(InfrastructureError, match="asks for 1 GPU and this machine has none") as caught:
        run("true", gpus=1)
    assert caught.value.error_class is ErrorClass.PLATFORM_ERROR


def test_a_container_killed_by_somebody_else_is_not_the_method_s_fault(run: Run) -> None:
    """As `docker kill` and `docker stop` do it; what kills itself ends with the same code, and is a crash."""

    def kill() -> None:
        client, label = docker.from_env(), f"lanner.run=test-{os.getpid()}"
        listed: list[Any] = []
        while not listed:
            listed = client.containers.list(filters={"label": label}, ignore_removed=True)
        listed[0].kill()

    thread = threading.Thread(target=kill)
    thread.start()
    outcome = run("python", "-c", "import time; time.sleep(60)")
    thread.join()
    assert outcome.error_class is ErrorClass.PLATFORM_ERROR, outcome
    assert outcome.message.endswith("not at fault: the container was killed by somebody else")


def test_every_usage_is_recorded_where_it_can_be_known(run: Run) -> None:
    outcome = run(
        "python", "-c", "open('/output/x', 'wb').write(bytes(3 << 20)); import time; time.sleep(0.5)"
    )
    assert set(outcome.usage) == {
        "wall_seconds", "cpu_seconds", "peak_memory_mb", "peak_gpu_memory_mb", "output_mb",
    }  # fmt: skip
    assert 3 <= outcome.usage["output_mb"] < 4
    assert outcome.usage["peak_gpu_memory_mb"] is None
    assert outcome.provenance["peak_gpu_memory_unknown"] == "no GPU was granted"


def test_memory_and_processor_time_are_measured(run: Run) -> None:
    program = "import time; x = bytearray(60 << 20); end = time.time() + 1\nwhile time.time() < end: pass"
    usage = run("python", "-c", program).usage
    assert 60 < usage["peak_memory_mb"] <= 128
    assert 0.1 < usage["cpu_seconds"] < 2  # one second, or what a busy machine leaves of it
    assert 1 < usage["wall_seconds"] < 4


def test_provenance_names_the_image(run: Run, probe: Method) -> None:
    provenance = run("true").provenance
    assert provenance["image_id"].startswith("sha256:")
    assert provenance["tag"] == probe.tag


@pytest.mark.parametrize("make", ["os.symlink('/input/task.json', P)", "os.mkfifo(P)", "os.mkdir(P)"])
def test_what_is_left_in_place_of_the_prediction_is_not_followed(make: str, run: Run, tmp_path: Path) -> None:
    outcome = run("python", "-c", f"import os; P = '/output/prediction.h5ad'; {make}")
    assert outcome.error_class is None
    output = tmp_path / "attempt" / "output"
    with pytest.raises(PredictionError) as caught:
        collect(output, "prediction.h5ad", tmp_path / "taken", max_bytes=1 << 20)
    assert caught.value.code == "not-a-file"
    assert not output.exists()


def variant(probe: Method, tmp_path: Path, dockerfile: str) -> Method:
    assert probe.folder is not None
    folder = tmp_path / "probe"
    folder.mkdir()
    (folder / "method.yaml").write_text((probe.folder / "method.yaml").read_text())
    (folder / "Dockerfile").write_text(dockerfile)
    return load(folder)


def test_a_step_that_fails_is_the_method_s_and_shows_the_log(probe: Method, tmp_path: Path) -> None:
    dockerfile = "FROM python:3.11-slim-bookworm\nRUN echo before; echo reason >&2; false\n"
    with pytest.raises(ImageBuildError, match=r"step .*RUN echo before") as caught:
        DockerRunner().prepare(variant(probe, tmp_path, dockerfile))
    assert "reason" in caught.value.log_tail


@pytest.mark.parametrize("last_line", ["", "USER root", "USER 0:0"])
def test_an_image_that_would_run_as_root_is_refused_before_anything_runs(
    last_line: str, probe: Method, tmp_path: Path
) -> None:
    method = variant(probe, tmp_path, f"FROM python:3.11-slim-bookworm\n{last_line}\n")
    with pytest.raises(ImageRefusedError, match=r"runs as root.*add `USER 10001`"):
        DockerRunner().prepare(method)
    pinned = replace(probe, document={**probe.document, "image": method.tag}, identity="image:root")
    folders = {name: tmp_path / name for name in ("input_dir", "output_dir", "log_dir")}
    with pytest.raises(ImageRefusedError, match="build one with `FROM"):
        DockerRunner().run(pinned, **folders, environment={}, limits=Limits(), labels={})
    remove_image(method.tag)


def test_a_base_image_that_cannot_be_had_is_the_platform_s(probe: Method, tmp_path: Path) -> None:
    dockerfile = "FROM 127.0.0.1:1/nowhere/nothing:1\n"
    with pytest.raises(InfrastructureError, match="cannot be pulled") as caught:
        DockerRunner().prepare(variant(probe, tmp_path, dockerfile))
    assert caught.value.error_class is ErrorClass.PULL_ERROR


@pytest.mark.parametrize(
    "reference", ["127.0.0.1:1/nowhere/nothing@sha256:" + "0" * 64, "sha256:" + "0" * 64]
)
def test_a_pinned_image_that_cannot_be_had_is_the_platform_s(probe: Method, reference: str) -> None:
    method = replace(probe, document={**probe.document, "image": reference}, identity=f"image:{reference}")
    with pytest.raises(InfrastructureError) as caught:
        DockerRunner().prepare(method)
    assert caught.value.error_class is ErrorClass.PULL_ERROR


def test_a_local_image_is_run_by_its_id(probe: Method, tmp_path: Path, run: Run) -> None:
    image = run("true").provenance["image_id"]
    method = replace(probe, document={**probe.document, "image": image}, identity=f"image:{image}")
    assert DockerRunner().prepare(method)["image_id"] == image


def test_what_is_built_once_is_not_built_again(probe: Method) -> None:
    began = time.monotonic()
    first, second = DockerRunner().prepare(probe), DockerRunner().prepare(probe)
    assert first == second
    assert time.monotonic() - began < 2
