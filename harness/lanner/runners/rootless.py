"""What runners without a daemon share: a command that a pure policy states, supervised as a process.

Nothing here limits memory or the number of processes by the kernel: memory is watched, and a batch system's
own limits hold the rest, as such a command is a child of its job.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import psutil

from lanner.methods import Method
from lanner.records import Limits, Outcome
from lanner.runners import gpus
from lanner.runners.docker import hand_over
from lanner.runners.outcome import classify, last_line
from lanner.runners.policy import container_options, sandbox_user
from lanner.runners.process import SupervisedProcess
from lanner.runners.scratch import scratch_folder
from lanner.runners.unpacked import Unpacked
from lanner.runners.watch import is_disk_full, usage

HOLDER = "LANNER_HOLDER"


class RootlessRunner:
    """A runner whose ``_image`` converts a method's image and whose ``_command`` starts it."""

    kind: str
    programs: ClassVar[tuple[str, ...]]

    def _image(self, method: Method) -> Unpacked:
        raise NotImplementedError

    def _command(
        self, options: Mapping[str, Any], image: Unpacked, scratch: Path
    ) -> tuple[list[str], dict[str, str]]:
        raise NotImplementedError

    @classmethod
    def is_installed(cls) -> bool:
        """Whether this machine has what a run takes."""
        return all(shutil.which(program) for program in cls.programs)

    def prepare(self, method: Method) -> Mapping[str, Any]:
        """Convert the method's image unless it is; where Docker answers, from Docker's.

        Raises ImageBuildError, ImageRefusedError and InfrastructureError as the Docker runner does.
        """
        return self._provenance(self._image(method))

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
        """Run the method once; see ``Runner.run``. Memory is watched, not limited."""
        image, user = self._image(method), sandbox_user()
        hand_over(output_dir, user)
        log_dir.mkdir(parents=True, exist_ok=True)
        name = f"lanner-{method.name}-{uuid.uuid4().hex[:12]}"
        with gpus.lease(limits.gpus, name, reap=_end) as devices, scratch_folder() as scratch:
            scratch.chmod(0o711)
            for part in ("tmp", "shm"):
                hand_over(scratch / part, user)
            options = container_options(
                limits,
                command=method.command,
                environment=environment,
                user=user,
                input_dir=input_dir.resolve(),
                output_dir=output_dir.resolve(),
                working_dir=image.working_dir,
                devices=devices,
            )
            argv, variables = self._command(options, image, scratch)
            process = SupervisedProcess(
                [*_become(user), *argv], scratch, {**variables, HOLDER: name}, log_dir, output_dir, limits
            )
            ending = process.to_the_end()
        ending = replace(
            ending, stderr_line=last_line(log_dir / "stderr.log"), disk_full=is_disk_full(output_dir)
        )
        error_class, message = classify(ending)
        measured = {
            **process.usage,
            "peak_gpu_memory_mb": None,
            "output_mb": usage(output_dir)[0] / (1 << 20),
        }
        return Outcome(
            error_class=error_class,
            exit_code=ending.exit_code,
            message=message,
            usage=measured,
            provenance={**self._provenance(image), "gpu_devices": list(devices)},
        )

    def _provenance(self, image: Unpacked) -> Mapping[str, Any]:
        return {"runner": self.kind, "engine_name": self.kind, "image_id": image.image_id}


def _become(user: tuple[int, int]) -> Sequence[str]:
    """Where the harness is root, these tools would be as well: become the sandbox's user first."""
    if os.geteuid() != 0:
        return ()
    return (
        *("setpriv", f"--reuid={user[0]}", f"--regid={user[1]}", "--clear-groups"),
        *("--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"),
    )


def _end(name: str) -> None:
    """End what a holder of a GPU left who died."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(HOLDER) == name:
                process.kill()
