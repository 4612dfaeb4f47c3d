"""Run methods in Apptainer. Written by its manual (1.3): no Apptainer has run this yet.

What it does not promise is in docs/explanation/security.md. Limits are asked for only where
LANNER_APPTAINER_CGROUPS=1 says that cgroups are delegated; else a batch system must hold them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from lanner.errors import InfrastructureError
from lanner.methods import Method
from lanner.runners import RUNNERS
from lanner.runners.docker import DockerRunner, docker_available
from lanner.runners.images import facts
from lanner.runners.policy import apptainer_command
from lanner.runners.rootless import RootlessRunner
from lanner.runners.unpacked import VARIABLE, Unpacked, converted, name_of, tool

CGROUPS_VARIABLE = "LANNER_APPTAINER_CGROUPS"


class ApptainerRunner(RootlessRunner):
    """Runs each method by ``apptainer exec`` from a SIF file made once; see ``policy.apptainer_command``."""

    kind: str = "apptainer"
    programs: ClassVar[tuple[str, ...]] = ("apptainer",)

    def _image(self, method: Method) -> Unpacked:
        return converted(method, self.kind, lambda target: _build(method, target))

    def _command(
        self, options: Mapping[str, Any], image: Unpacked, scratch: Path
    ) -> tuple[list[str], dict[str, str]]:
        return apptainer_command(
            options,
            image=str(image.path),
            scratch=scratch / "tmp",
            cgroups=os.environ.get(CGROUPS_VARIABLE) == "1",
        )


def _build(method: Method, target: Path) -> tuple[str, str]:
    """Write a SIF file: from Docker's image where it answers, else what a registry has of a pinned one."""
    name = method.image or method.tag
    if docker_available() is None:
        DockerRunner().prepare(method)
        tool(method, ["apptainer", "build", str(target), f"docker-daemon:{name}"])
        found = facts(name)
        return found.id, found.working_dir
    if not method.image:
        raise InfrastructureError(
            f"Apptainer builds no Dockerfile: build {method.name} where Docker is and copy "
            f"{name_of(method, 'apptainer')} from its {VARIABLE} to the one here, or pin a pushed image"
        )
    tool(method, ["apptainer", "build", str(target), f"docker://{method.image}"])
    return method.identity, ""


RUNNERS.add(ApptainerRunner.kind, ApptainerRunner)
