"""Image archives for machines without a registry: an OCI layout as ``docker load`` of any version takes it.

Engines before 25 load only archives with the ``manifest.json`` that ``docker save`` writes. An OCI archive
(OCI image specification 1.1, "image layout") holds the same blobs and lacks that file, so it is added; the
blobs are copied as they are, and the engine checks what it loads.
"""

from __future__ import annotations

import io
import json
import lzma
import platform
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from lanner.errors import ConfigurationError

DOCUMENT_BYTES = 4 << 20
MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def is_oci(archive: Path) -> bool:
    """Whether the file is a tar of an OCI layout that ``docker load`` of old engines would not take."""
    with opened(archive) as tar:
        try:
            names = {member.name.removeprefix("./") for member in tar}
        except (OSError, EOFError, tarfile.TarError, zlib.error, lzma.LZMAError) as error:
            raise ConfigurationError(f"{archive} is damaged ({error}); copy or write it again") from None
    return "oci-layout" in names and "manifest.json" not in names


def for_docker(archive: Path, stream: IO[bytes]) -> None:
    """Write the OCI archive's image to ``stream`` as an archive that every engine loads.

    Raises
    ------
    ConfigurationError
        The file is no OCI archive, or none of its images is for this machine.
    """
    with opened(archive) as tar:
        members = {member.name.removeprefix("./"): member for member in tar if member.isfile()}
        try:
            manifest = _manifest(tar, members, _document(tar, members, "index.json"))
            config = _blob(str(manifest["config"]["digest"]))
            layers = [_blob(str(layer["digest"])) for layer in manifest["layers"]]
            wanted = [members[name] for name in dict.fromkeys((config, *layers))]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigurationError(
                f"{archive} is not an OCI image archive ({type(error).__name__}: {error}); write it with "
                "`docker buildx build --output type=oci,dest=FILE` or `podman save --format oci-archive`"
            ) from None
        text = json.dumps([{"Config": config, "RepoTags": None, "Layers": layers}]).encode()
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as out:
            for member in wanted:
                copy = tarfile.TarInfo(member.name.removeprefix("./"))
                copy.size = member.size
                out.addfile(copy, tar.extractfile(member))
            info = tarfile.TarInfo("manifest.json")
            info.size = len(text)
            out.addfile(info, io.BytesIO(text))


def opened(archive: Path) -> tarfile.TarFile:
    """The archive, compressed or not; ConfigurationError where it is no tar."""
    try:
        return tarfile.open(archive)
    except OSError as error:
        raise ConfigurationError(f"{archive} cannot be read: {error.strerror}; check the path") from None
    except (tarfile.TarError, EOFError):  # whose texts list every compression that was tried
        raise ConfigurationError(
            f"{archive} is not a tar archive; write one with `docker save IMAGE -o {archive.stem}.tar`"
        ) from None


def _manifest(
    tar: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], index: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The manifest of the image for this machine; an index may hold another one, and attestations."""
    machine = MACHINES.get(platform.machine(), platform.machine())
    images = [item for item in index["manifests"] if _is_image(item)]
    fitting = [item for item in images if _architecture(item) in (None, machine)]
    if len(fitting) != 1:
        raise ValueError(f"it holds {len(images)} images, {len(fitting)} of them for {machine}")
    document = _document(tar, members, _blob(str(fitting[0]["digest"])))
    return _manifest(tar, members, document) if "manifests" in document else document


def _is_image(item: Mapping[str, Any]) -> bool:
    return "vnd.docker.reference.type" not in item.get("annotations", {})


def _architecture(item: Mapping[str, Any]) -> str | None:
    architecture: str | None = item.get("platform", {}).get("architecture")
    return architecture


def _blob(digest: str) -> str:
    algorithm, _, value = digest.partition(":")
    if not (algorithm.isalnum() and value.isalnum()):
        raise ValueError(f"the digest {digest[:80]!r} is malformed")
    return f"blobs/{algorithm}/{value}"


def _document(tar: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], name: str) -> Any:
    member = members[name]
    if member.size > DOCUMENT_BYTES:
        raise ValueError(f"{name} has {member.size:,} bytes")
    stream = tar.extractfile(member)
    assert stream is not None, "a regular file"
    return json.loads(stream.read())
