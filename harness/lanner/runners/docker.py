"""Run methods in Docker (or podman, through the same SDK): create, start, supervise, classify, remove."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container
from docker.models.images import Image
from requests.exceptions import RequestException

from lanner.errors import ErrorClass, InfrastructureError
from lanner.methods import Method
from lanner.records import Limits, Outcome
from lanner.runners import RUNNERS
from lanner.runners.images import (
    built,
    built_images,
    connect,
    explain,
    has_image,
    pinned,
    platform_errors,
    refuse_root,
    remove_image,
)
from lanner.runners.outcome import Ending, classify, last_line
from lanner.runners.policy import METHOD_DIR, container_options, sandbox_user
from lanner.runners.watch import CgroupMeter, GpuMeter, is_disk_full, is_too_large, usage

__all__ = [
    "RUNTIME_VARIABLE",
    "SANDBOX_LABEL",
    "DockerRunner",
    "Engine",
    "built_images",
    "describe_engine",
    "docker_available",
    "engine_facts",
    "has_image",
    "remove_containers",
    "remove_image",
]

SHORTEST_POLL_S, LONGEST_POLL_S = 0.02, 0.2
NOT_ENDED = frozenset({"created", "configured", "initialized", "running", "restarting", "paused", "removing"})
SANDBOX_LABEL = "lanner.sandbox"

RUNTIME_VARIABLE = "LANNER_DOCKER_RUNTIME"
"""Names another OCI runtime of the engine, such as gVisor's runsc, for all containers of this harness."""

PODMAN_RUNTIME = f"start `podman --runtime=... system service`, and unset {RUNTIME_VARIABLE}"
PODMAN_PROCESSES = 32768
"""podman's own default may exceed what it may grant; the limit that counts is the cgroup's."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """What an engine says of itself. ``runtimes`` are those it knows of, installed or not."""

    name: str
    version: str
    storage: str
    cgroup: str
    rootless: bool
    remapped: bool
    runtimes: tuple[str, ...]
    default_runtime: str

    def __str__(self) -> str:
        """One line: name, version, storage driver, cgroup version, whose users."""
        users = "rootless" if self.rootless else "remapped users" if self.remapped else "the host's users"
        return f"{self.name} {self.version}, {self.storage}, cgroup v{self.cgroup}, {users}"


def docker_available() -> str | None:
    """None when an engine answers, else the reason why not, in one sentence."""
    try:
        connect(10).close()
    except InfrastructureError as error:
        return str(error)
    return None


def engine_facts() -> Engine:
    """What the engine that answers says of itself; InfrastructureError when none does."""
    client = connect(10)
    with platform_errors():
        info, is_podman = client.info(), _is_podman(client)
        client.close()
    security = " ".join(info.get("SecurityOptions") or [])
    return Engine(
        name="Podman" if is_podman else "Docker Engine",
        version=info["ServerVersion"],
        storage=info["Driver"],
        cgroup=str(info.get("CgroupVersion") or "1"),
        rootless=bool(info.get("Rootless")) or "name=rootless" in security,
        remapped="name=userns" in security,
        runtimes=tuple(sorted(info.get("Runtimes") or {})),
        default_runtime=info.get("DefaultRuntime") or "",
    )


def describe_engine() -> str:
    """``engine_facts`` in one line."""
    return str(engine_facts())


def _is_podman(client: docker.DockerClient) -> bool:
    components = client.version().get("Components") or []
    return any("podman" in str(component.get("Name", "")).lower() for component in components)


def remove_containers(label: str = SANDBOX_LABEL) -> int:
    """Remove every container with ``label`` (``name`` or ``name=value``), running or not; return how many."""
    with platform_errors():
        # ignore_removed: of another harness's containers, one may go between the listing and the look.
        client = docker.from_env()
        found = client.containers.list(all=True, filters={"label": label}, ignore_removed=True)
        for container in found:
            with suppress(NotFound):
                container.remove(force=True, v=True)
    return len(found)


class DockerRunner:
    """Runs each method in a container of its own, under ``policy.container_options``.

    DOCKER_HOST names another engine, LANNER_DOCKER_RUNTIME another OCI runtime; both are in the provenance
    and neither is in a run's key: they decide how well a method is locked in, not what it computes.
    """

    kind = "docker"

    def __init__(self) -> None:
        self._prepared: dict[str, Mapping[str, Any]] = {}
        self._runtime = os.environ.get(RUNTIME_VARIABLE) or None

    @cached_property
    def _client(self) -> docker.DockerClient:
        return connect()

    @cached_property
    def _is_podman(self) -> bool:
        return _is_podman(self._client)

    def prepare(self, method: Method) -> Mapping[str, Any]:
        """Build ``method.tag`` unless it exists, or pull the pinned image; returns provenance.

        Raises ImageBuildError with the build's last 20 lines, ImageRefusedError for an image that runs as
        root, InfrastructureError (PULL_ERROR) when an image cannot be had, or when no Engine answers.
        """
        with platform_errors():
            image = pinned(self._client, method.image) if method.image else built(self._client, method)
            refuse_root(method, (image.attrs["Config"] or {}).get("User") or "")
            return self._provenance(method, image)

    def run(
        self,
        method: Method,
        *,
        input_dir: Path,
        output_dir: Path,
        log_dir: Path,
        environment: Mapping[str, str],
        limits: Limits,
        labels: Mapping[str, str],
    ) -> Outcome:
        """Run the method once; see ``Runner.run``. ``prepare`` must have been called on this machine."""
        user = sandbox_user()
        _hand_over(output_dir, user)
        log_dir.mkdir(parents=True, exist_ok=True)
        with platform_errors():
            image = self._client.images.get(method.image or method.tag)
            config = image.attrs["Config"] or {}
            refuse_root(method, config.get("User") or "")
            declared = config.get("WorkingDir") or ""
            options = container_options(
                limits,
                command=method.command,
                environment=environment,
                user=user,
                input_dir=input_dir.resolve(),
                output_dir=output_dir.resolve(),
                working_dir=declared if declared not in ("", "/") else METHOD_DIR,
                volumes=config.get("Volumes") or {},
                labels={**labels, SANDBOX_LABEL: "1"},
            )
            if self._runtime:
                options["runtime"] = self._runtime
            if self._is_podman:
                self._refuse_what_podman_ignores(limits)
                nproc = {"Name": "nproc", "Soft": PODMAN_PROCESSES, "Hard": PODMAN_PROCESSES}
                options["ulimits"] = [*options["ulimits"], nproc]
            name = f"lanner-{method.name}-{uuid.uuid4().hex[:12]}"
            container = None
            try:
                container = self._client.containers.create(image, name=name, **options)
                run = _Supervised(container, output_dir, limits)
                ending = run.to_the_end()
                if ending.started:
                    _save_logs(container, log_dir)
            except APIError as error:
                ending, run = Ending(exit_code=None, started=False, engine_error=explain(error)), None
            finally:
                self._remove(container, name)
        for stream in ("stdout.log", "stderr.log"):
            (log_dir / stream).touch()
        return self._outcome(ending, run, log_dir, output_dir, self._provenance(method, image))

    def _outcome(
        self,
        ending: Ending,
        run: _Supervised | None,
        log_dir: Path,
        output_dir: Path,
        provenance: Mapping[str, Any],
    ) -> Outcome:
        ending = replace(
            ending, stderr_line=last_line(log_dir / "stderr.log"), disk_full=is_disk_full(output_dir)
        )
        error_class, message = classify(ending)
        meter = run.meter if run else None
        return Outcome(
            error_class=error_class,
            exit_code=ending.exit_code,
            message=message,
            usage={
                "wall_seconds": run.wall_seconds if run else 0.0,
                "cpu_seconds": meter.cpu_seconds if meter else None,
                "peak_memory_mb": _mb(meter.peak_bytes if meter else None),
                "peak_gpu_memory_mb": _mb(run.gpu_bytes if run else None),
                "output_mb": usage(output_dir)[0] / (1 << 20),
            },
            provenance=provenance,
        )

    def _refuse_what_podman_ignores(self, limits: Limits) -> None:
        """What podman's API (4.3) takes without a word and does not do must not be believed in."""
        if self._runtime:
            raise InfrastructureError(f"podman takes its runtime from its own settings: {PODMAN_RUNTIME}")
        if limits.gpus:
            raise InfrastructureError("podman's API grants no GPUs; use Docker for methods that need one")

    def _provenance(self, method: Method, image: Image) -> Mapping[str, Any]:
        if method.identity not in self._prepared:
            self._prepared[method.identity] = {
                "runner": self.kind,
                "image_id": image.id,
                "digests": list(image.attrs.get("RepoDigests") or []),
                "tag": None if method.image else method.tag,
                "engine": self._client.version().get("Version"),
                "engine_name": "podman" if self._is_podman else "docker",
                "runtime": self._runtime,
            }
        return self._prepared[method.identity]

    def _remove(self, container: Container | None, name: str) -> None:
        """Remove the container, also one whose creation was interrupted; never hides the first error."""
        try:
            (container or self._client.containers.get(name)).remove(force=True, v=True)
        except NotFound:
            pass
        except (DockerException, RequestException):
            if container is not None:
                time.sleep(1)  # the daemon may be busy with the kill
                with platform_errors():
                    container.remove(force=True, v=True)


class _Supervised:
    """One started container, watched until it ends or must."""

    def __init__(self, container: Container, output_dir: Path, limits: Limits) -> None:
        self._container, self._output_dir, self._limits = container, output_dir, limits
        self.meter: CgroupMeter | None = None
        self.gpu_bytes: int | None = None
        self.wall_seconds = 0.0

    def to_the_end(self) -> Ending:
        if not self._limits.gpus:
            return self._watch()
        with GpuMeter(lambda: self.meter.pids() if self.meter else ()) as gpu:
            ending = self._watch()
        self.gpu_bytes = gpu.peak_bytes
        return ending

    def _watch(self) -> Ending:
        self._container.start()  # an APIError here means: never started
        began = time.monotonic()
        # Polling, not wait(timeout=), whose errors are not those documented; the watcher needs a beat anyway.
        killed_for, pause = None, SHORTEST_POLL_S
        while self._alive():
            if self.meter:
                self.meter.sample()
            killed_for = self._reason_to_kill(time.monotonic() - began)
            if killed_for:
                self._kill()
                break
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_POLL_S)
        self.wall_seconds = time.monotonic() - began
        state = self._container.attrs["State"]
        return Ending(
            exit_code=state["ExitCode"],
            killed_for=killed_for,
            oom_flag=bool(state.get("OOMKilled")) or bool(self.meter and self.meter.oom_kills),
            output_too_large=is_too_large(self._output_dir, self._limits),
            engine_error=state.get("Error") or "",
        )

    def _alive(self) -> bool:
        self._container.reload()
        state = self._container.attrs["State"]
        if self.meter is None and state.get("Pid"):
            self.meter = CgroupMeter(int(state["Pid"]))
        return self._container.status in NOT_ENDED

    def _reason_to_kill(self, elapsed: float) -> ErrorClass | None:
        if elapsed > self._limits.timeout_s:
            return ErrorClass.TIMEOUT
        if is_too_large(self._output_dir, self._limits):
            return ErrorClass.OUTPUT_TOO_LARGE
        return None

    def _kill(self) -> None:
        with suppress(APIError):  # it may have ended by itself a moment ago
            self._container.kill()
        deadline = time.monotonic() + 30
        while self._alive() and time.monotonic() < deadline:
            time.sleep(SHORTEST_POLL_S)


def _mb(count: int | None) -> float | None:
    return None if count is None else count / (1 << 20)


def _hand_over(output_dir: Path, user: tuple[int, int]) -> None:
    """Make the output folder the container's own and nobody else's; its parent can be crossed, not listed."""
    output_dir.mkdir(parents=True, exist_ok=True)
    output_dir.chmod(0o700)
    if os.geteuid() == 0:
        os.chown(output_dir, *user)
        output_dir.parent.chmod(0o711)


def _save_logs(container: Container, log_dir: Path) -> None:
    for stream in ("stdout", "stderr"):
        wanted = {"stdout": stream == "stdout", "stderr": stream == "stderr"}
        with (log_dir / f"{stream}.log").open("wb") as log, suppress(APIError):
            for piece in container.logs(stream=True, **wanted):  # the engine keeps at most LOG_BYTES
                log.write(piece)


RUNNERS.add("docker", DockerRunner)
