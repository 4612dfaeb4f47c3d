"""``docker-compose up site`` serves built pages, as the compose file and the tutorial say."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from lanner.site import write_site
from synthetic_board import material

pytestmark = [pytest.mark.docker, pytest.mark.slow]

COMPOSE = Path(__file__).parents[2] / "docker-compose.yml"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fetched(url: str, seconds: float = 120.0) -> bytes:
    """The body of a page, once the server answers."""
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return bytes(answer.read())
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            if time.monotonic() > end:
                raise
            time.sleep(0.5)


def test_the_site_service_serves_the_built_pages_byte_for_byte_and_only_here(tmp_path: Path) -> None:
    compose = shutil.which("docker-compose")
    if compose is None:
        pytest.skip("no docker-compose here: apt-get install docker-compose")
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)  # the service runs as nobody; pytest's folders are the user's alone
    shutil.copy(COMPOSE, tmp_path)
    (tmp_path / "method_containers").symlink_to(
        COMPOSE.parent / "method_containers"
    )  # other services' builds
    write_site(material(), tmp_path / "site" / "synthetic")
    port = free_port()
    environment = {**os.environ, "LANNER_PORT": str(port)}

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [compose, "-p", f"lannersite{os.getpid()}", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, text=True, capture_output=True, timeout=300, check=False
        )

    try:
        up = call("up", "-d", "site")
        assert up.returncode == 0, up.stderr
        base = f"http://127.0.0.1:{port}"
        for name in ("index.html", "datasets/dataset-01.html", "assets/plotly.min.js", "leaderboard.parquet"):
            expected = (tmp_path / "site" / "synthetic" / name).read_bytes()
            assert fetched(f"{base}/synthetic/{name}") == expected, name
        assert b"synthetic/" in fetched(f"{base}/")  # the folder of boards, where no board was chosen
        shown = call("port", "site", "8000")
        assert shown.stdout.strip() == f"127.0.0.1:{port}"
    finally:
        down = call("down", "--timeout", "2")
    assert down.returncode == 0, down.stderr
