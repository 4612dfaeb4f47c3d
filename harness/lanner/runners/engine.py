"""The container engine: Docker, or podman through the same SDK, as DOCKER_HOST says.

How to reach it, what it says of itself, what of ours it holds, and one sentence for each way it fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from requests.exceptions import RequestException

from lanner.errors import ErrorClass, InfrastructureError
from lanner.records import printable

SANDBOX_LABEL = "lanner.sandbox"
ATTEMPT_LABEL = "lanner.folder"
OWNER_LABEL = "lanner.owner"
"""Label of a run's container: the absolute path of the attempt it belongs to. Nothing inside can read it."""

START_DOCKER = (
    "start it (`sudo systemctl start docker`, Docker Desktop, or `podman system service --time=0` with "
    "DOCKER_HOST set), or use `--runner process` for the bundled methods"
)


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


def connect(timeout_s: int = 60) -> docker.DockerClient:
    """A client of the engine that answers; InfrastructureError when none does."""
    with platform_errors():
        client = docker.from_env(timeout=timeout_s)
        client.ping()
        return client


@contextmanager
def platform_errors() -> Iterator[None]:
    """Turn what the SDK raises when the engine is at fault into one sentence."""
    try:
        yield
    except ImageNotFound as error:
        raise InfrastructureError(
            f"an image is not on this machine: {explain(error)}; build it with `lanner method build`",
            ErrorClass.PULL_ERROR,
        ) from None
    except APIError as error:
        full = "no space left" in str(error)
        raise InfrastructureError(
            f"the container engine refused: {explain(error)}",
            ErrorClass.DISK_FULL if full else ErrorClass.PLATFORM_ERROR,
        ) from None
    except (DockerException, RequestException) as error:
        raise InfrastructureError(
            f"no Docker Engine answers ({printable(str(error))[:160]}); {START_DOCKER}"
        ) from None


def explain(error: APIError) -> str:
    """The engine's own words, printable and short."""
    return printable(str(error.explanation or error))[:300]


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
        info, podman = client.info(), is_podman(client)
        client.close()
    security = " ".join(info.get("SecurityOptions") or [])
    return Engine(
        name="Podman" if podman else "Docker Engine",
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


def is_podman(client: docker.DockerClient) -> bool:
    """Whether it is podman that answers."""
    components = client.version().get("Components") or []
    return any("podman" in str(component.get("Name", "")).lower() for component in components)


def containers_below(folder: Path) -> dict[str, Path]:
    """Containers of attempts below ``folder``, running or not: id -> the attempt's folder."""
    below = folder.resolve()
    with platform_errors():
        # ignore_removed: of another harness's containers, one may go between the listing and the look.
        found = docker.from_env().containers.list(
            all=True, filters={"label": ATTEMPT_LABEL}, ignore_removed=True
        )
        attempts = {str(container.id): Path(container.labels[ATTEMPT_LABEL]) for container in found}
    return {name: attempt for name, attempt in attempts.items() if attempt.is_relative_to(below)}


def owned_containers() -> dict[str, str]:
    """Containers that stand for no attempt, running or not: id -> who made them (``owner.written``)."""
    with platform_errors():
        found = docker.from_env().containers.list(
            all=True, filters={"label": OWNER_LABEL}, ignore_removed=True
        )
        return {str(container.id): str(container.labels[OWNER_LABEL]) for container in found}


def remove_container(name: str) -> bool:
    """Remove a container by its id or name, running or not; False where there is none."""
    with platform_errors():
        try:
            docker.from_env().containers.get(name).remove(force=True, v=True)
        except NotFound:
            return False
        except APIError as error:
            if error.status_code != 409:  # somebody else is removing it
                raise
    return True


def remove_containers(label: str = SANDBOX_LABEL) -> int:
    """Remove every container with ``label`` (``name`` or ``name=value``), running or not; return how many."""
    with platform_errors():
        found = docker.from_env().containers.list(all=True, filters={"label": label}, ignore_removed=True)
        for container in found:
            with suppress(NotFound):
                container.remove(force=True, v=True)
    return len(found)
