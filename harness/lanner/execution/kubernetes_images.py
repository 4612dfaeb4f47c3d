"""What a cluster pulls for a method, and what its image declares: it must start as Docker would start it.

A run's key does not name the engine, so a method may not see another folder on a cluster than here.
Kubernetes itself tells nobody an image's WORKDIR: what it is, is found here, or the run is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import Any

from lanner.errors import ErrorClass, InfrastructureError
from lanner.methods import Method
from lanner.runners.policy import METHOD_DIR

FROM = re.compile(r"FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?\s*$", re.IGNORECASE)
WORKDIR = re.compile(r"WORKDIR\s+(.+?)\s*$", re.IGNORECASE)
UNREAD = re.compile(r"<<|^\s*#\s*escape\s*=", re.IGNORECASE | re.MULTILINE)
"""Here-documents may hold lines that look like instructions; another escape moves where lines end."""


@dataclass(frozen=True, kw_only=True)
class Declared:
    """``working_dir`` is where the method starts and its LANNER_METHOD_DIR, as Docker has it; ``volumes`` are
    the image's own VOLUME paths, as far as they are known."""

    working_dir: str = METHOD_DIR
    volumes: tuple[str, ...] = ()


def image_of(method: Method, registry: str | None) -> str:
    """What the cluster pulls: a pinned image as it is, one that Lanner built from ``registry``."""
    if method.image and not method.image.startswith("sha256:"):
        return method.image
    if method.image or registry is None:
        where = "registry in --engine-config" if registry is None else "its digest there in method.yaml"
        raise InfrastructureError(
            f"no cluster can pull {method.image or method.tag} of {method.name}; push it to a registry and "
            f"state {where}",
            ErrorClass.PULL_ERROR,
        )
    return f"{registry.rstrip('/')}/{method.tag}"


def declared(method: Method, stated: Mapping[str, str]) -> Declared:
    """Of a method's image: what an engine here says, else its Dockerfile, else ``stated``, by method's name.

    Raises InfrastructureError where nobody says what its WORKDIR is, or where two say different things.
    """
    found, volumes = _held(method.image or method.tag)
    if found is None and not method.image and method.folder is not None:
        dockerfile = method.folder / "Dockerfile"
        found = working_dir_of(dockerfile.read_text(encoding="utf-8", errors="replace"))
    said = stated.get(method.name)
    if found is None and said is None:
        raise InfrastructureError(
            f"nobody here knows the WORKDIR of {method.name}'s image; state it as working_dirs: "
            f"{{{method.name}: /PATH}} in --engine-config (docker image inspect shows it), or pull it here"
        )
    if found is not None and said is not None and _in_effect(found) != _in_effect(said):
        raise InfrastructureError(
            f"the WORKDIR of {method.name}'s image is {json.dumps(found)}, not {said}; correct working_dirs "
            "in --engine-config"
        )
    return Declared(working_dir=_in_effect(said if found is None else found), volumes=volumes)


def working_dir_of(dockerfile: str) -> str | None:
    """The WORKDIR of the image a Dockerfile makes, "" for none; None where the text alone does not tell."""
    if UNREAD.search(dockerfile):
        return None
    stages: dict[str, str | None] = {"scratch": ""}
    here, name = None, ""
    lines = [line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\[ \t]*\n", " ", "\n".join(lines)).splitlines():
        if stage := FROM.match(line.strip()):
            here, name = stages.get(stage[1].lower()), (stage[2] or "").lower()
        elif path := WORKDIR.match(line.strip()):
            here = _moved(here, path[1])
        if name:
            stages[name] = here
    return here


def _moved(here: str | None, path: str) -> str | None:
    if re.search(r"[$\"'\\]", path) or ".." in PurePosixPath(path).parts:
        return None
    if not path.startswith("/") and here is None:
        return None
    return str(PurePosixPath("/", here or "", path))


@cache
def _held(reference: str) -> tuple[str | None, tuple[str, ...]]:
    """Asked once: what it names by digest, or by the hash of its folder, does not change."""
    from lanner.runners.images import known  # Docker's SDK, which not every command needs

    facts = known(reference)
    return (None, ()) if facts is None else (facts.working_dir, facts.volumes)


def _in_effect(working_dir: Any) -> str:
    return METHOD_DIR if working_dir in ("", "/") else str(working_dir)
