"""After any end, an interrupted one included, no container and no volume of ours exists."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import docker
import pytest
from lanner.runners.docker import SANDBOX_LABEL, remove_containers
from running import Run

pytestmark = pytest.mark.docker


def leftovers() -> tuple[list[str], set[str]]:
    client = docker.from_env()
    containers = client.containers.list(
        all=True, filters={"label": f"{SANDBOX_LABEL}=1"}, ignore_removed=True
    )
    mine = [c.name for c in containers if c.labels.get("lanner.run") == f"test-{os.getpid()}"]
    return mine, {volume.name for volume in client.volumes.list()}


@pytest.mark.parametrize(
    "command",
    [["true"], ["no-such-program"], ["python", "-c", "open('/data/x', 'w').write('x'); raise SystemExit(1)"]],
)
def test_an_ended_run_leaves_nothing(command: list[str], run: Run) -> None:
    _, volumes = leftovers()
    run(*command)
    deadline = time.monotonic() + 10  # another worker's build may hold a volume for a moment
    while not leftovers()[1] <= volumes and time.monotonic() < deadline:
        time.sleep(0.5)
    containers, after = leftovers()
    assert containers == []
    assert after <= volumes


def test_a_run_stopped_at_its_limit_leaves_nothing(run: Run) -> None:
    run("python", "-c", "import time; time.sleep(60)", timeout_s=1)
    assert leftovers()[0] == []


def test_an_interrupted_run_leaves_nothing(run: Run) -> None:
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run("python", "-c", "import time; time.sleep(60)")
    assert leftovers()[0] == []


def test_what_a_killed_harness_left_is_found_by_its_label(run: Run, tmp_path: Path) -> None:
    client = docker.from_env()
    labels = {SANDBOX_LABEL: "1", "lanner.run": f"killed-{os.getpid()}"}
    container = client.containers.create("python:3.11-slim-bookworm", ["sleep", "60"], labels=labels)
    container.start()
    assert remove_containers(f"lanner.run=killed-{os.getpid()}") == 1
    assert container.id not in [c.id for c in client.containers.list(all=True, ignore_removed=True)]


def test_two_workers_that_need_one_image_build_it_once(tmp_path: Path) -> None:
    folder = tmp_path / "twice"
    folder.mkdir()
    (folder / "method.yaml").write_text(
        'name: twice\nversion: "1"\nlabel: T\nsummary: T.\nlicence: MIT\ncommand: ["true"]\ntasks: [t]\n'
    )
    (folder / "Dockerfile").write_text(
        f"FROM python:3.11-slim-bookworm\nRUN sleep 1 && echo {time.time_ns()}\nUSER 10001\n"
    )
    program = (
        "import sys; from pathlib import Path; from lanner.methods import load;"
        "from lanner.runners.docker import DockerRunner;"
        "m = load(Path(sys.argv[1])); print(DockerRunner().prepare(m)['image_id'], m.tag)"
    )
    command = [sys.executable, "-c", program, str(folder)]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = {worker.communicate()[0] for worker in workers}
    assert len(answers) == 1
    image, tag = answers.pop().split()
    assert image.startswith("sha256:")
    docker.from_env().images.remove(tag, force=True)
