"""Run methods in Docker (or podman, through the same SDK): create, start, supervise, classify, remove."""

from __future__ import annotations

import io
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.models.images import Image
from requests.exceptions import RequestException

from lanner.errors import ErrorClass, InfrastructureError
from lanner.methods import Method
from lanner.records import Limits, Outcome, printable
from lanner.runners import RUNNERS
from lanner.runners.images import BUILD_TIMEOUT_S, build_context, build_events, lock
from lanner.runners.outcome import Ending, classify, last_line
from lanner.runners.policy import METHOD_DIR, container_options, sandbox_user
from lanner.runners.watch import CgroupMeter, is_disk_full, is_too_large, usage

SHORTEST_POLL_S, LONGEST_POLL_S = 0.02, 0.2
NOT_ENDED = frozenset({"created", "configured", "initialized", "running", "restarting", "paused", "removing"})
SANDBOX_LABEL = "lanner.sandbox"

START_DOCKER = (
    "start it (`sudo systemctl start docker`, Docker Desktop, or `podman system service --time=0` with "
    "DOCKER_HOST set), or use `--runner process` for the bundled methods"
)


def docker_available() -> str | None:
    """None when a Docker Engine answers, else the reason why not, in one sentence."""
    try:
        client = docker.from_env(timeout=10)
        client.ping()
        client.close()
    except (DockerException, RequestException) as error:
        return _absent(error)
    return None


def describe_engine() -> str:
    """Version, storage driver and cgroup version of the Docker Engine that answers."""
    with _platform_errors():
        client = docker.from_env(timeout=10)
        info = client.info()
        client.close()
    cgroup = info.get("CgroupVersion", "1")
    return f"Docker Engine {info['ServerVersion']}, {info['Driver']}, cgroup v{cgroup}"


def _absent(error: Exception) -> str:
    return f"no Docker Engine answers ({printable(str(error))[:160]}); {START_DOCKER}"


def remove_containers(label: str = SANDBOX_LABEL) -> int:
    """Remove every container with ``label`` (``name`` or ``name=value``), running or not; return how many."""
    with _platform_errors():
        found = docker.from_env().containers.list(all=True, filters={"label": label})
        for container in found:
            container.remove(force=True, v=True)
    return len(found)


class DockerRunner:
    """Runs each method in a container of its own, under ``policy.container_options``."""

    kind = "docker"

    def __init__(self) -> None:
        self._prepared: dict[str, Mapping[str, Any]] = {}

    @cached_property
    def _client(self) -> docker.DockerClient:
        with _platform_errors():
            client = docker.from_env()
            client.ping()
            return client

    def prepare(self, method: Method) -> Mapping[str, Any]:
        """Build ``method.tag`` unless it exists, or pull the pinned image; returns provenance.

        Raises ImageBuildError with the build's last 20 lines, InfrastructureError (PULL_ERROR) when an
        image cannot be had, InfrastructureError when no Engine answers.
        """
        with _platform_errors():
            image = self._pinned(method.image) if method.image else self._built(method)
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
        with _platform_errors():
            image = self._client.images.get(method.image or method.tag)
            config = image.attrs["Config"] or {}
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
            name = f"lanner-{method.name}-{uuid.uuid4().hex[:12]}"
            container = None
            try:
                container = self._client.containers.create(image, name=name, **options)
                run = _Supervised(container, output_dir, limits)
                ending = run.to_the_end()
                if ending.started:
                    _save_logs(container, log_dir)
            except APIError as error:
                ending, run = Ending(exit_code=None, started=False, engine_error=_explain(error)), None
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
                "peak_memory_mb": meter.peak_bytes / (1 << 20) if meter and meter.peak_bytes else None,
                "output_mb": usage(output_dir)[0] / (1 << 20),
            },
            provenance=provenance,
        )

    def _pinned(self, reference: str) -> Image:
        try:
            return self._client.images.get(reference)
        except ImageNotFound:
            pass
        if reference.startswith("sha256:"):
            raise InfrastructureError(
                f"no local image has the ID {reference}; load it with docker load", ErrorClass.PULL_ERROR
            )
        with lock(reference.rpartition("/")[2]):
            try:
                return self._client.images.pull(reference)
            except APIError as error:
                raise InfrastructureError(
                    f"{reference} cannot be pulled: {_explain(error)}; check the name and the network",
                    ErrorClass.PULL_ERROR,
                ) from None

    def _built(self, method: Method) -> Image:
        with lock(method.tag):
            try:
                return self._client.images.get(method.tag)
            except ImageNotFound:
                pass
            assert method.folder is not None, "a method without an image has a folder"
            events = self._client.api.build(
                fileobj=io.BytesIO(build_context(method.folder)),
                custom_context=True,
                tag=method.tag,
                buildargs=method.build_args,
                labels={"lanner.method": method.name, "lanner.identity": method.identity},
                rm=True,
                forcerm=True,
                decode=True,
                timeout=BUILD_TIMEOUT_S,
            )
            build_events(method, events)
            return self._client.images.get(method.tag)

    def _provenance(self, method: Method, image: Image) -> Mapping[str, Any]:
        if method.identity not in self._prepared:
            self._prepared[method.identity] = {
                "runner": self.kind,
                "image_id": image.id,
                "digests": list(image.attrs.get("RepoDigests") or []),
                "tag": None if method.image else method.tag,
                "engine": self._client.version().get("Version"),
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
                with _platform_errors():
                    container.remove(force=True, v=True)


class _Supervised:
    """One started container, watched until it ends or must."""

    def __init__(self, container: Container, output_dir: Path, limits: Limits) -> None:
        self._container, self._output_dir, self._limits = container, output_dir, limits
        self.meter: CgroupMeter | None = None
        self.wall_seconds = 0.0

    def to_the_end(self) -> Ending:
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


def _explain(error: APIError) -> str:
    return printable(str(error.explanation or error))[:300]


@contextmanager
def _platform_errors() -> Iterator[None]:
    """Turn what the SDK raises when the Engine is at fault into one sentence."""
    try:
        yield
    except ImageNotFound as error:
        raise InfrastructureError(
            f"an image is not on this machine: {_explain(error)}; build it with `lanner method build`",
            ErrorClass.PULL_ERROR,
        ) from None
    except APIError as error:
        full = "no space left" in str(error)
        raise InfrastructureError(
            f"the Docker Engine refused: {_explain(error)}",
            ErrorClass.DISK_FULL if full else ErrorClass.PLATFORM_ERROR,
        ) from None
    except (DockerException, RequestException) as error:
        raise InfrastructureError(
            f"no Docker Engine answers ({printable(str(error))[:160]}); {START_DOCKER}"
        ) from None


RUNNERS.add("docker", DockerRunner)
