"""Run methods in Charliecloud: no daemon, no root, the same policy as far as namespaces alone can keep it.

What it does not promise is in docs/explanation/security.md: no kernel limit of memory or processes, no
seccomp filter, the host's /dev and /sys. For clusters without Docker.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from lanner.methods import Method
from lanner.runners import RUNNERS
from lanner.runners.docker import DockerRunner, docker_available
from lanner.runners.images import facts
from lanner.runners.policy import charliecloud_command
from lanner.runners.rootless import RootlessRunner
from lanner.runners.unpacked import Unpacked, converted, tool


class CharliecloudRunner(RootlessRunner):
    """Runs each method by ``ch-run`` in an image unpacked once; see ``policy.charliecloud_command``."""

    kind: str = "charliecloud"
    programs: ClassVar[tuple[str, ...]] = ("ch-run", "ch-convert", "unshare", "setpriv")

    def _image(self, method: Method) -> Unpacked:
        return converted(method, self.kind, lambda target: _unpack(method, target))

    def _command(
        self, options: Mapping[str, Any], image: Unpacked, scratch: Path
    ) -> tuple[list[str], dict[str, str]]:
        return charliecloud_command(options, image=image.path, scratch=scratch)


def _unpack(method: Method, target: Path) -> tuple[str, str]:
    """Write a folder that ch-run starts: Docker's image where it answers, else ch-image's own."""
    name = method.image or method.tag
    if docker_available() is None:
        DockerRunner().prepare(method)
        found = facts(name)
        tool(method, ["ch-convert", "-i", "docker", "-o", "dir", name, str(target)])
        image_id, working_dir = found.id, found.working_dir
    else:
        if method.image:
            tool(method, ["ch-image", "pull", name])
        else:
            pairs = [f"{key}={value}" for key, value in method.build_args.items()]
            given = [part for pair in pairs for part in ("--build-arg", pair)]
            built = ["ch-image", "build", "--force", "-t", name, *given, str(method.folder)]
            tool(method, built, builds=True)
        tool(method, ["ch-convert", "-i", "ch-image", "-o", "dir", name, str(target)])
        image_id, working_dir = f"ch-image {method.identity}", _working_dir(target)
    for mount in ("input", "output"):  # ch-run makes no folders in an image that is read-only
        (target / mount).mkdir(exist_ok=True, mode=0o755)
    return image_id, working_dir


def _working_dir(image: Path) -> str:
    path = image / "ch" / "metadata.json"
    return str(json.loads(path.read_text()).get("cwd") or "") if path.is_file() else ""


RUNNERS.add(CharliecloudRunner.kind, CharliecloudRunner)
