"""Open a method's sandbox for a person, or for one command of theirs: the same image and the same policy.

Only the command differs from a run, and that nobody stops it at a time limit.
"""

from __future__ import annotations

import shutil
import subprocess
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lanner.errors import ConfigurationError, InfrastructureError
from lanner.methods import Method
from lanner.owner import written
from lanner.records import Limits
from lanner.runners import gpus
from lanner.runners.docker import DockerRunner, hand_over
from lanner.runners.engine import OWNER_LABEL, platform_errors, remove_container
from lanner.runners.images import refuse_root
from lanner.runners.policy import sandbox_user

INTERACTIVE = ("/bin/sh", "-c", "command -v bash > /dev/null && exec bash; exec sh")
"""The image's bash, where it has one."""

Write = Callable[[bytes | None, bytes | None], object]
"""Is given what the command wrote to stdout and to stderr, as it comes."""


class DockerShell(DockerRunner):
    """A runner whose containers are for people. ``prepare`` must have been called."""

    def attach(
        self,
        method: Method,
        *,
        input_dir: Path,
        output_dir: Path,
        environment: Mapping[str, str],
        limits: Limits,
        command: str | None,
        write: Write,
    ) -> int:
        """Run ``command`` by the image's ``sh``, or a shell on this terminal where it is None; its exit code.

        The container is gone when this returns, however it ended; one whose process was killed is found by
        its label (``reaping``).

        Raises
        ------
        ConfigurationError
            The image has no /bin/sh.
        InfrastructureError
            No engine answers, or a shell on the terminal is wanted and no ``docker`` program is there.
        """
        user = sandbox_user()
        hand_over(output_dir, user)
        argv = INTERACTIVE if command is None else ("/bin/sh", "-c", command)
        client = _command_line() if command is None else ""
        name = f"lanner-shell-{method.name}-{uuid.uuid4().hex[:12]}"
        with platform_errors(), gpus.lease(limits.gpus, name, reap=remove_container) as devices:
            image = self._client.images.get(method.image or method.tag)
            config = image.attrs["Config"] or {}
            refuse_root(method, config.get("User") or "")
            options = self._sandbox(
                config,
                limits,
                command=argv,
                environment=environment,
                user=user,
                input_dir=input_dir.resolve(),
                output_dir=output_dir.resolve(),
                labels={"lanner.shell": method.name, OWNER_LABEL: written()},
                devices=devices,
            )
            try:
                if command is None:
                    options |= {"tty": True, "stdin_open": True}
                container = self._client.containers.create(image, name=name, **options)
                if command is None:
                    code = subprocess.run([client, "start", "--attach", "--interactive", name], check=False)
                    return _exit_code(code.returncode, container)
                stream = container.attach(stream=True, demux=True, logs=True)
                container.start()
                for out, err in stream:
                    write(out, err)
                return _exit_code(int(container.wait()["StatusCode"]), container)
            finally:
                remove_container(name)


def _exit_code(code: int, container: Any) -> int:
    container.reload()
    error = container.attrs["State"].get("Error") or ""
    if code in (126, 127) and "/bin/sh" in error:
        raise ConfigurationError(
            "the image has no /bin/sh to open; add a shell to it, or debug it on its base"
        )
    return code


def _command_line() -> str:
    """The program that attaches a terminal: it knows raw mode, resizing and signals."""
    names: Sequence[str] = ("docker", "podman")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        raise InfrastructureError(
            "a shell on the terminal needs the `docker` program on PATH; install it, or give --command"
        )
    return found
