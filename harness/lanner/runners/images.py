"""The engine's images: a method's folder is built once, or what it names by digest pulled."""

from __future__ import annotations

import fcntl
import io
import os
import re
import stat
import tarfile
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import docker
from docker.errors import APIError, ImageNotFound
from docker.models.images import Image

from lanner.errors import (
    ConfigurationError,
    ErrorClass,
    ImageBuildError,
    ImageRefusedError,
    InfrastructureError,
)
from lanner.methods import Method, folder_files
from lanner.records import printable
from lanner.runners.engine import connect, explain, platform_errors

TAIL_LINES, LINE_LENGTH = 20, 1000
BUILD_TIMEOUT_S = 3600
STEP = re.compile(
    r"step \d+/\d+ ?: (.*)", re.IGNORECASE
)  # "Step 1/2 : FROM" of Docker, "STEP 1/2: " of podman
METHOD_LABEL = "lanner.method"


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """What an image says of itself. ``pin`` names these very bytes: a repository digest where the image was
    pulled, else its ID; ``user`` is its ``USER``, ``command`` its ENTRYPOINT and CMD."""

    pin: str
    id: str
    user: str
    command: tuple[str, ...]
    labels: Mapping[str, str]
    working_dir: str = ""
    volumes: tuple[str, ...] = ()


def known(reference: str) -> ImageFacts | None:
    """Of an image that an engine holds here; None where no engine answers, or it does not. Pulls nothing."""
    try:
        with platform_errors():
            return _facts(connect(10).images.get(reference), reference)
    except (ImageNotFound, InfrastructureError):
        return None


def facts(reference: str) -> ImageFacts:
    """Of the image ``reference``, pulled where it is not here; PULL_ERROR where it cannot be."""
    client = connect()
    with platform_errors():
        image = pinned(client, reference)
        return _facts(image, reference)


def loaded(archive: IO[bytes], source: str) -> ImageFacts:
    """Of the one image of an archive as ``docker save`` writes it, loaded into the engine."""
    client = connect(timeout_s=BUILD_TIMEOUT_S)
    try:
        with platform_errors():
            images = client.images.load(archive)
    except InfrastructureError as error:
        raise ConfigurationError(f"{source} cannot be loaded: {error}; write it with docker save") from None
    if len(images) != 1:
        raise ConfigurationError(f"{source} holds {len(images)} images; save the method's alone")
    return _facts(images[0], "")


def keep(image_id: str, tag: str) -> None:
    """Tag a local image, so that pruning what nobody names does not take it."""
    client = connect()
    with platform_errors():
        client.images.get(image_id).tag(tag)


def _facts(image: Image, reference: str) -> ImageFacts:
    config = image.attrs["Config"] or {}
    name = reference.partition("@")[0]
    repository = name.removesuffix(name.rpartition("/")[2]) + name.rpartition("/")[2].partition(":")[0]
    digests = sorted(image.attrs.get("RepoDigests") or []) if repository not in ("", "sha256") else []
    digests.sort(key=lambda digest: digest.partition("@")[0] != repository)
    return ImageFacts(
        pin=digests[0] if digests else str(image.id),
        id=str(image.id),
        user=config.get("User") or "",
        command=(*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())),
        labels=dict(config.get("Labels") or {}),
        working_dir=config.get("WorkingDir") or "",
        volumes=tuple(sorted(config.get("Volumes") or ())),
    )


def pinned(client: docker.DockerClient, reference: str) -> Image:
    """The image ``reference`` names, pulled where it is not here; PULL_ERROR where it cannot be."""
    try:
        return client.images.get(reference)
    except ImageNotFound:
        pass
    if reference.startswith("sha256:"):
        raise InfrastructureError(
            f"no local image has the ID {reference}; load it with docker load", ErrorClass.PULL_ERROR
        )
    with lock(reference.rpartition("/")[2]):
        with suppress(ImageNotFound):  # pulled by whoever held the lock before: once per node
            return client.images.get(reference)
        try:
            return client.images.pull(reference)
        except APIError as error:
            raise InfrastructureError(
                f"{reference} cannot be pulled: {explain(error)}; check the name and the network",
                ErrorClass.PULL_ERROR,
            ) from None


def built(client: docker.DockerClient, method: Method) -> Image:
    """The image tagged ``method.tag``, built where it is not here; ``build_events`` says what is raised."""
    with lock(method.tag):
        try:
            return client.images.get(method.tag)
        except ImageNotFound:
            pass
        assert method.folder is not None, "a method without an image has a folder"
        events = client.api.build(
            fileobj=io.BytesIO(build_context(method.folder)),
            custom_context=True,
            tag=method.tag,
            buildargs=method.build_args,
            labels={METHOD_LABEL: method.name, "lanner.identity": method.identity},
            rm=True,
            forcerm=True,
            decode=True,
            timeout=BUILD_TIMEOUT_S,
        )
        build_events(method, events)
        return client.images.get(method.tag)


def refuse_root(method: Method, user: str) -> None:
    """ImageRefusedError where an image's own USER (``Config.User``) is root, so that its author learns of it.

    A run is never uid 0 whatever the image says. But a program written to run as root fails under another
    user, often far from the reason; this says the reason first. A name is believed: images have no root
    by another name but on purpose, and it would gain nothing.
    """
    name = user.strip().partition(":")[0]
    if name not in ("", "root") and name.strip("0+-"):
        return
    stated = f"its USER is {printable(user.strip())[:40]}" if name else "it states no USER"
    fix = (
        f"build one with `FROM {printable(method.image)}` and `USER 10001`, and name that instead"
        if method.image
        else "add `USER 10001` to the end of its Dockerfile"
    )
    raise ImageRefusedError(
        f"the image {method.image or method.tag} of {method.name} runs as root ({stated}), which no method "
        f"may: {fix}"
    )


def has_image(reference: str) -> bool:
    """Whether the engine holds the image, so that nothing would be pulled."""
    with platform_errors():
        try:
            docker.from_env().images.get(reference)
        except ImageNotFound:
            return False
    return True


def built_images() -> dict[str, int]:
    """Tags of the images Lanner built, with their sizes in bytes; layers they share count in each."""
    with platform_errors():
        images = docker.from_env().images.list(filters={"label": METHOD_LABEL})
    return {tag: int(image.attrs.get("Size") or 0) for image in images for tag in image.tags}


def remove_image(tag: str) -> bool:
    """Remove an image by its tag; False where a container still uses it."""
    with platform_errors():
        try:
            docker.from_env().images.remove(tag)
        except ImageNotFound:
            return True
        except APIError as error:
            if error.status_code != 409:  # conflict
                raise
            return False
    return True


def build_context(folder: Path) -> bytes:
    """A tar archive of the files that make the method, equal for equal bytes wherever it is made.

    Files are readable by everyone: the container's user is not the one who owns the checkout.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in folder_files(folder):
            content = path.read_bytes()
            member = tarfile.TarInfo(path.relative_to(folder).as_posix())
            member.size, member.mode = len(content), 0o755 if os.access(path, os.X_OK) else 0o644
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold the machine-wide lock ``name``: two workers never build the same tag at once."""
    folder = Path(tempfile.gettempdir()) / f"lanner-locks-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise InfrastructureError(f"{folder} is not yours; remove it or set TMPDIR to your own")
    path = folder / f"{name.replace('/', '_').replace(':', '_')}.lock"
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def build_events(method: Method, events: Iterator[Mapping[str, Any]]) -> None:
    """Follow a build's JSON events to their end; raise for the party at fault.

    A failure while the step is ``FROM`` is a base image that cannot be pulled, the platform's fault; a
    later one is the Dockerfile's.
    """
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    step = ""
    for event in events:
        for line in str(event.get("stream") or event.get("error") or "").splitlines():
            if line.strip():
                tail.append(printable(line.rstrip()[:LINE_LENGTH], keep="\t"))
            if found := STEP.match(line):
                step = found[1]
        if "error" in event:
            reason = printable(str(event["error"]))[:300]
            if not step or step.upper().startswith("FROM "):
                raise InfrastructureError(
                    f"the base image of {method.name} cannot be pulled ({step or 'no step'}): {reason}; "
                    "check its name and the network, or load it with docker load",
                    ErrorClass.PULL_ERROR,
                )
            raise ImageBuildError(
                f"the image of {method.name} cannot be built: step {step[:120]!r} failed: {reason}; "
                "correct its Dockerfile",
                "\n".join(tail),
            )
