"""Take a method in: any image, a folder, an archive of an image, or the predictions of a closed model.

What is added is a folder of ``$LANNER_HOME/methods`` like any other method's: a manifest, which pins the
image by digest, and for a folder its files.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast

from lanner import schemas
from lanner.config import Settings
from lanner.errors import ConfigurationError
from lanner.method_add.labels import UNKNOWN_LICENCE, name_of, proposed, put, stated
from lanner.method_add.registering import check_free, register
from lanner.methods import MANIFEST, Method
from lanner.runners.archives import for_docker, is_oci
from lanner.runners.images import ImageFacts, facts, keep, loaded, refuse_root

__all__ = [
    "UNKNOWN_LICENCE",
    "add_folder",
    "add_image",
    "check_free",
    "image_of_archive",
    "image_of_reference",
    "name_of",
    "proposed",
    "proposed_of_folder",
    "put",
    "stated",
]

DEFAULT_TASK = "perturbation-response"


def image_of_reference(reference: str) -> ImageFacts:
    """The image a name, digest or ID stands for, pulled where it is not on this machine."""
    return facts(reference)


def image_of_archive(archive: Path) -> ImageFacts:
    """The image of a ``docker save`` or OCI archive, loaded into the engine: needs no registry."""
    if not is_oci(archive):
        with archive.open("rb") as stream:
            return loaded(stream, str(archive))
    with tempfile.TemporaryFile(prefix="lanner-archive-") as stream:
        for_docker(archive, cast("IO[bytes]", stream))
        stream.seek(0)
        return loaded(cast("IO[bytes]", stream), str(archive))


def add_image(
    settings: Settings, image: ImageFacts, document: Mapping[str, Any], said: str, *, replace: bool = False
) -> Method:
    """Register an image under a manifest that pins it; ImageRefusedError where it runs as root.

    ``said`` is what people call the image.
    """
    whole = {**document, "image": image.pin}
    schemas.check(whole, "method", "the manifest")

    def ready(method: Method) -> None:
        named = dataclasses.replace(method, document={**method.document, "image": said})
        refuse_root(named, image.user)

    method = register(settings, whole, replace=replace, ready=ready)
    if image.pin == image.id:
        keep(image.id, f"lanner/{method.name}:{image.id.rpartition(':')[2][:12]}")
    return method


def proposed_of_folder(folder: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The manifest of a folder, and its fields that the folder does not state: all where it has none yet.

    Raises
    ------
    ConfigurationError
        The folder has no Dockerfile.
    """
    if not (folder / "Dockerfile").is_file():
        raise ConfigurationError(
            f"{folder} has no Dockerfile; write one, or begin with `lanner method new` to have one"
        )
    if (folder / MANIFEST).is_file():
        return schemas.load_yaml(folder / MANIFEST, "method"), ()
    return proposed({}, (), folder.resolve().name, DEFAULT_TASK)


def add_folder(
    settings: Settings,
    folder: Path,
    document: Mapping[str, Any],
    *,
    replace: bool = False,
    build: bool = True,
) -> Method:
    """Copy a folder to LANNER_HOME under its manifest, once its image is built and does not run as root."""

    def ready(method: Method) -> object:
        from lanner.runners import RUNNERS

        return RUNNERS["docker"]().prepare(method) if build else None

    return register(settings, document, folder=folder, replace=replace, ready=ready)
