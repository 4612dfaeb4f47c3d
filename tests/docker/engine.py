"""A Docker Engine of a test's own, that may be killed: the one the machine runs is other people's too."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import docker
import psutil
from docker.errors import DockerException
from lanner import methods
from lanner.config import Settings
from lanner.runners.docker import DockerRunner
from requests.exceptions import RequestException

START_S = 90.0


def why_not() -> str | None:
    """Why none can be started here; None where one can."""
    if os.geteuid() != 0:
        return "a second engine needs root"
    missing = [program for program in ("dockerd", "unshare") if shutil.which(program) is None]
    return f"{missing[0]} is not installed" if missing else None


class PrivateEngine:
    """dockerd in a network namespace of its own, with nothing shared but the kernel: no bridge, no data.

    Without that namespace, ``--bridge=none`` would remove the bridge of the machine's own engine.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="lanner-engine-"))  # a socket's path must be short
        self.folder.chmod(0o755)
        self.host = f"unix://{self.folder}/docker.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        for stale in ("docker.pid", "exec/containerd/containerd.pid"):  # of processes that were killed
            (self.folder / stale).unlink(missing_ok=True)
        command = ["unshare", "--net", "dockerd", "--host", self.host, "--bridge=none", "--iptables=false"]
        command += ["--ip-forward=false", "--ip-masq=false", "--pidfile", str(self.folder / "docker.pid")]
        command += ["--data-root", str(self.folder / "data"), "--exec-root", str(self.folder / "exec")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        end = time.monotonic() + START_S
        while time.monotonic() < end and self._process.poll() is None:
            with suppress(DockerException, RequestException):
                self.client().ping()
                return
            time.sleep(0.1)
        raise AssertionError(f"no engine came up: {(self.folder / 'log').read_text()[-2000:]}")

    def client(self) -> docker.DockerClient:
        """A new client of it."""
        return docker.DockerClient(base_url=self.host, version="1.41", timeout=60)

    def kill(self) -> None:
        """End it with no time to clean up; its containers go on until it is started again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """End it properly and remove everything it had."""
        if self._process is not None and self._process.poll() is None:
            for container in self.client().containers.list(all=True, ignore_removed=True):
                container.remove(force=True)
            self._process.terminate()
            self._process.wait(timeout=60)
        for process in psutil.process_iter():  # shims, where it was killed last
            with suppress(psutil.Error):
                if any(argument.startswith(str(self.folder)) for argument in process.cmdline()):
                    process.kill()
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in reversed([mount for mount in mounts if mount.startswith(f"{self.folder}/")]):
            subprocess.run(["umount", "-l", mount], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def base(self) -> str:
        """The image of a bundled method, copied into it: Python with h5py, where no network is."""
        method = methods.find(Settings(home=self.folder / "home"), "no-change")
        DockerRunner().prepare(method)
        self.client().api.load_image(docker.from_env().images.get(method.tag).save(named=True))
        return method.tag


def containerise(method: methods.Method, base: str) -> None:
    """Give a method of tests/boards.py a Dockerfile that needs no network."""
    assert method.folder is not None
    dockerfile = f"FROM {base}\nWORKDIR /method\nCOPY . /method\nUSER 10001\n"
    (method.folder / "Dockerfile").write_text(dockerfile)
