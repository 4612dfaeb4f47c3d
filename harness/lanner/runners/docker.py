"""Run methods in Docker (or podman, through the same SDK): create, start, supervise, classify, remove."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container
from docker.models.images import Image
from requests.exceptions import RequestException

from lanner.methods import Method
from lanner.records import Limits, Outcome
from lanner.runners import RUNNERS, gpus
from lanner.runners.engine import (
    SANDBOX_LABEL,
    Engine,
    connect,
    containers_below,
    describe_engine,
    docker_available,
    engine_facts,
    explain,
    is_podman,
    owned_containers,
    platform_errors,
    remove_container,
    remove_containers,
)
from lanner.runners.images import built, built_images, has_image, pinned, refuse_root, remove_image
from lanner.runners.outcome import Ending, classify, last_line
from lanner.runners.policy import METHOD_DIR, RUNTIME_VARIABLE, container_options, for_podman, sandbox_user
from lanner.runners.supervision import Supervised
from lanner.runners.watch import is_disk_full, usage

__all__ = [
    "RUNTIME_VARIABLE",
    "SANDBOX_LABEL",
    "DockerRunner",
    "Engine",
    "built_images",
    "containers_below",
    "describe_engine",
    "docker_available",
    "engine_facts",
    "has_image",
    "owned_containers",
    "remove_container",
    "remove_containers",
    "remove_image",
]


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
        return is_podman(self._client)

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
        hand_over(output_dir, user)
        log_dir.mkdir(parents=True, exist_ok=True)
        with platform_errors():
            image = self._client.images.get(method.image or method.tag)
            config = image.attrs["Config"] or {}
            refuse_root(method, config.get("User") or "")
            name = f"lanner-{method.name}-{uuid.uuid4().hex[:12]}"
            with gpus.lease(limits.gpus, name, reap=remove_container) as devices:
                options = self._sandbox(
                    config,
                    limits,
                    command=method.command,
                    environment=environment,
                    user=user,
                    input_dir=input_dir.resolve(),
                    output_dir=output_dir.resolve(),
                    labels=labels,
                    devices=devices,
                )
                ending, run = self._contained(image, name, options, output_dir, log_dir, limits)
        for stream in ("stdout.log", "stderr.log"):
            (log_dir / stream).touch()
        provenance = self._provenance(method, image)
        return self._outcome(ending, run, log_dir, output_dir, {**provenance, "gpu_devices": list(devices)})

    def _sandbox(
        self, config: Mapping[str, Any], limits: Limits, *, labels: Mapping[str, str], **given: Any
    ) -> dict[str, Any]:
        """``policy.container_options`` for an image of this ``config``, as this engine needs them."""
        declared = config.get("WorkingDir") or ""
        options = container_options(
            limits,
            working_dir=declared if declared not in ("", "/") else METHOD_DIR,
            volumes=config.get("Volumes") or {},
            labels={**labels, SANDBOX_LABEL: "1"},
            runtime=self._runtime,
            **given,
        )
        return for_podman(options) if self._is_podman else options

    def _contained(
        self,
        image: Image,
        name: str,
        options: Mapping[str, Any],
        output_dir: Path,
        log_dir: Path,
        limits: Limits,
    ) -> tuple[Ending, Supervised | None]:
        """Create the container, see it to its end, keep its logs, and remove it whatever happens."""
        container = None
        try:
            container = self._client.containers.create(image, name=name, **options)
            run = Supervised(self._client, container, output_dir, limits)
            ending = run.to_the_end()
            _save_logs(container, log_dir)
            return ending, run
        except APIError as error:
            return Ending(exit_code=None, started=False, engine_error=explain(error)), None
        finally:
            self._remove(container, name)

    def _outcome(
        self,
        ending: Ending,
        run: Supervised | None,
        log_dir: Path,
        output_dir: Path,
        provenance: Mapping[str, Any],
    ) -> Outcome:
        ending = replace(
            ending, stderr_line=last_line(log_dir / "stderr.log"), disk_full=is_disk_full(output_dir)
        )
        error_class, message = classify(ending)
        meter, gpu = (run.meter, run.gpu) if run else (None, None)
        return Outcome(
            error_class=error_class,
            exit_code=ending.exit_code,
            message=message,
            usage={
                "wall_seconds": run.wall_seconds if run else 0.0,
                "cpu_seconds": meter.cpu_seconds if meter else None,
                "peak_memory_mb": _mb(meter.peak_bytes if meter else None),
                "peak_gpu_memory_mb": _mb(gpu.peak_bytes if gpu else None),
                "output_mb": usage(output_dir)[0] / (1 << 20),
            },
            provenance={
                **provenance,
                "peak_gpu_memory_unknown": gpu.why_unknown if gpu else "no GPU was granted",
            },
        )

    def _provenance(self, method: Method, image: Image) -> Mapping[str, Any]:
        if method.identity not in self._prepared:
            self._prepared[method.identity] = {
                "runner": self.kind,
                "image_id": image.id,
                "digests": list(image.attrs.get("RepoDigests") or []),
                "image_mb": round((image.attrs.get("Size") or 0) / 2**20, 1) or None,
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
                remove_container(name)


def _mb(count: int | None) -> float | None:
    return None if count is None else count / (1 << 20)


def hand_over(output_dir: Path, user: tuple[int, int]) -> None:
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
