"""The process runner: who is accepted, what a program sees, and how each kind of end is told apart."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from lanner.config import Settings
from lanner.errors import ErrorClass, InfrastructureError
from lanner.intake import remove_folder
from lanner.methods import Method, find, load
from lanner.records import Limits, Outcome
from lanner.runners import RUNNERS, scratch
from lanner.runners.process import SPARE_ADDRESS_SPACE_MB, ProcessRunner, resource_limits

MANIFEST = """
name: {name}
version: "1"
label: Test method
summary: Does one thing.
licence: MIT
command: ["python", "run.py"]
tasks: [unseen-perturbation]
"""
Run = Callable[..., Outcome]


@pytest.fixture
def method(tmp_path: Path) -> Callable[[str], Method]:
    """Make a method out of the text of its program."""

    def make(program: str) -> Method:
        folder = tmp_path / "own-method"
        folder.mkdir()
        (folder / "method.yaml").write_text(MANIFEST.format(name="own-method"))
        (folder / "Dockerfile").write_text("FROM scratch\n")
        (folder / "run.py").write_text(program)
        (folder / "beside.txt").write_text("found")
        return load(folder)

    return make


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "input").mkdir()

    def call(method: Method, *, trust: bool = True, **limits: int) -> Outcome:
        return ProcessRunner(trust=trust).run(
            method,
            input_dir=tmp_path / "input",
            output_dir=tmp_path / "output",
            log_dir=tmp_path / "logs",
            environment={"LANNER_SEED": "7", "LANNER_INPUT": "/input", "LANNER_OUTPUT": "/output"},
            limits=Limits(**{"timeout_s": 30, **limits}),
            labels={},
        )

    return call


def test_a_method_that_does_not_ship_with_lanner_needs_a_container(
    method: Callable[[str], Method], run: Run, tmp_path: Path
) -> None:
    outcome = run(method("open('/nowhere', 'w')"), trust=False)
    assert outcome.error_class == ErrorClass.NOT_APPLICABLE
    assert outcome.message.startswith("needs a container")
    assert not (tmp_path / "output").exists()


def test_a_bundled_method_is_accepted_and_its_failure_is_its_own(settings: Settings, run: Run) -> None:
    outcome = run(find(settings, "train-mean"), trust=False)  # there is no input: it starts, and fails
    assert outcome.error_class == ErrorClass.METHOD_ERROR
    assert outcome.provenance["unsealed"] is True
    assert outcome.provenance["trusted"] is False


def test_trust_is_recorded(method: Callable[[str], Method]) -> None:
    assert ProcessRunner(trust=True).prepare(method(""))["trusted"] is True


def test_the_program_sees_only_what_it_is_given(
    method: Callable[[str], Method], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "canary")
    program = (
        "import json, os; from pathlib import Path\n"
        "seen = {**os.environ, 'cwd': os.getcwd(), 'beside': Path('beside.txt').read_text()}\n"
        "Path('litter').write_text('x'); Path.home().joinpath('more').write_text('x')\n"
        "Path(os.environ['LANNER_OUTPUT'], 'seen.json').write_text(json.dumps(seen))"
    )
    built = method(program)
    outcome = run(built)
    assert outcome.error_class is None, outcome
    seen = json.loads((tmp_path / "output" / "seen.json").read_text())
    assert "SECRET_TOKEN" not in seen
    assert seen["beside"] == "found"
    assert seen["LANNER_SEED"] == "7"
    assert seen["LANNER_INPUT"] == str(tmp_path / "input")
    assert seen["LANNER_METHOD_DIR"] == seen["cwd"] != str(built.folder)
    assert not Path(seen["cwd"]).exists()
    assert sorted(path.name for path in built.folder.iterdir()) == [
        "Dockerfile",
        "beside.txt",
        "method.yaml",
        "run.py",
    ]
    assert outcome.usage["peak_memory_mb"] > 1
    assert outcome.usage["wall_seconds"] > 0


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("", None),
        ("import sys; sys.exit('no doses')", ErrorClass.METHOD_ERROR),
        ("import sys; print('no doses', file=sys.stderr); sys.exit(99)", ErrorClass.NOT_APPLICABLE),
        ("import os; os.abort()", ErrorClass.CRASH),
        ("import os; os.kill(os.getpid(), 9)", ErrorClass.CRASH),
        ("import ctypes; ctypes.string_at(0)", ErrorClass.CRASH),
    ],
)
def test_each_end_is_told_apart(
    program: str, expected: ErrorClass | None, method: Callable[[str], Method], run: Run
) -> None:
    outcome = run(method(program))
    assert outcome.error_class == expected
    if expected in (ErrorClass.METHOD_ERROR, ErrorClass.NOT_APPLICABLE):
        assert outcome.message.endswith("no doses")


def test_the_clock_ends_the_whole_family(method: Callable[[str], Method], run: Run, tmp_path: Path) -> None:
    program = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    began = time.monotonic()
    assert run(method(program), timeout_s=1).error_class == ErrorClass.TIMEOUT
    assert time.monotonic() - began < 5
    child = int((tmp_path / "logs" / "stdout.log").read_text())
    status = Path(f"/proc/{child}/stat")
    assert not status.exists() or status.read_text().split()[2] == "Z"


def test_more_memory_than_granted_is_out_of_memory(method: Callable[[str], Method], run: Run) -> None:
    outcome = run(method("import time; x = bytearray(300 << 20); time.sleep(5)"), memory_mb=128)
    assert outcome.error_class == ErrorClass.OOM


@pytest.mark.parametrize(
    "program",
    [
        "open(OUT + '/big', 'wb').write(bytes(30 << 20))",
        "[open(f'{OUT}/{i}', 'wb').write(bytes(6 << 20)) for i in range(5)]",
        "[open(f'{OUT}/{i}', 'wb') for i in range(1100)]",
    ],
)
def test_more_output_than_granted_is_too_large(
    program: str, method: Callable[[str], Method], run: Run
) -> None:
    outcome = run(method(f"import os; OUT = os.environ['LANNER_OUTPUT']\n{program}"), output_mb=16)
    assert outcome.error_class == ErrorClass.OUTPUT_TOO_LARGE


def test_a_hostile_tree_in_a_scratch_folder_goes_and_what_it_links_to_keeps_its_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    with scratch.scratch_folder() as folder:
        (folder / "link").symlink_to(outside)
        here = os.open(folder, os.O_RDONLY)
        for _ in range(3000):  # deeper than Python recurses, and longer than a path may be
            os.mkdir("deep", dir_fd=here)
            below = os.open("deep", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(here)
        folder.chmod(0)
    assert not folder.exists() and outside.stat().st_mode & 0o777 == 0o755


def test_a_scratch_folder_that_cannot_be_removed_fails_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> None:
        remove_folder(path)
        raise InfrastructureError("it stays")

    monkeypatch.setattr(scratch, "remove_folder", fail)
    with scratch.scratch_folder() as folder:
        assert folder.is_dir()


def test_a_temporary_file_may_be_as_large_as_tmp_is(method: Callable[[str], Method], run: Run) -> None:
    program = "open(os.environ['TMPDIR'] + '/big', 'wb').write(bytes(30 << 20))"
    assert run(method(f"import os\n{program}"), output_mb=16, tmp_mb=64).error_class is None
    assert resource_limits(Limits(output_mb=16, tmp_mb=64))[0] == str(64 << 11)


def test_address_space_is_bounded_but_for_gpus_which_map_more_than_any_run_is_granted() -> None:
    assert int(resource_limits(Limits(memory_mb=1024))[1]) == (4 * 1024 + SPARE_ADDRESS_SPACE_MB) << 10
    assert resource_limits(Limits(gpus=1))[1] == "unlimited"


def test_a_flood_of_output_is_bounded_and_keeps_its_head_and_tail(
    method: Callable[[str], Method], run: Run, tmp_path: Path
) -> None:
    program = "print('first'); [print('x' * 1023) for _ in range(40_000)]; print('last')"
    assert run(method(program)).error_class is None
    log = (tmp_path / "logs" / "stdout.log").read_bytes()
    assert len(log) < 10 << 20
    assert log.startswith(b"first")
    assert log.endswith(b"last\n")
    assert b"bytes left out" in log


def test_runners_are_found_by_name() -> None:
    assert RUNNERS["process"] is ProcessRunner
    assert set(RUNNERS) >= {"docker", "process"}
