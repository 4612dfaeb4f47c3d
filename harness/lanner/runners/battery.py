"""The battery any container engine must pass: what is denied, what is allowed, who owns what is written.

`lanner doctor` runs it on a person's machine, tests/docker in the test suite; the program is
``probe/probe.py``, in an image that ships all it can to get around the sandbox.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lanner.errors import ErrorClass, InfrastructureError
from lanner.methods import Method, load
from lanner.records import Limits, Outcome
from lanner.runners import Runner
from lanner.runners.policy import sandbox_user

PROBE = Path(__file__).parent / "probe"
BASE_IMAGE = "python:3.11-slim-bookworm"
"""What the probe's Dockerfile builds on."""

OWN = "import os; os.umask(0o077); open('/output/mine', 'w').write('x'); print(os.getuid(), os.getgid())"
EAT = "x = bytearray(400 << 20)"


@dataclass(frozen=True, kw_only=True)
class Report:
    """What came of each attempt, "ok" or the reason why not."""

    denied: Mapping[str, str]
    allowed: Mapping[str, str]

    @property
    def breaches(self) -> list[str]:
        """Attempts that should have failed."""
        return [what for what, result in self.denied.items() if result == "ok"]

    @property
    def missing(self) -> list[str]:
        """Attempts that should have succeeded."""
        return [what for what, result in self.allowed.items() if result != "ok"]


@dataclass(frozen=True, kw_only=True)
class Ownership:
    """Who a container is, inside, and whose its files are, outside; ``readable`` for the harness."""

    inside: str
    outside: str
    readable: bool


class Battery:
    """Runs the probe through ``runner``, in fresh folders below ``folder``."""

    def __init__(self, runner: Runner, folder: Path) -> None:
        self._runner, self._folder = runner, folder
        self._probe = load(PROBE)

    @property
    def method(self) -> Method:
        """The probe as a method."""
        return self._probe

    def prepare(self) -> None:
        """Build the probe's image; raises what ``Runner.prepare`` raises."""
        self._runner.prepare(self._probe)

    def run(self, *command: str, **limits: Any) -> tuple[Outcome, Path]:
        """Run ``command`` in the probe's image with little of everything; returns its attempt folder too."""
        here = Path(tempfile.mkdtemp(dir=self._folder))
        here.chmod(0o711)
        (here / "input").mkdir(mode=0o755)
        (here / "input" / "task.json").write_text("{}")
        outcome = self._runner.run(
            replace(self._probe, document={**self._probe.document, "command": list(command)}),
            input_dir=here / "input",
            output_dir=here / "attempt" / "output",
            log_dir=here / "attempt",
            environment={"LANNER_INPUT": "/input", "LANNER_OUTPUT": "/output", "LANNER_CPUS": "1"},
            limits=replace(Limits(timeout_s=30, memory_mb=128, output_mb=16, tmp_mb=64), **limits),
            labels={"lanner.run": f"battery-{os.getpid()}"},
        )
        return outcome, here / "attempt"

    def attempts(self) -> Report:
        """Try both lists; InfrastructureError when the probe itself does not end well."""
        outcome, attempt = self.run("python", "probe.py", memory_mb=512, output_mb=128)
        if outcome.error_class is not None:
            raise InfrastructureError(f"the probe did not finish: {outcome.message}")
        report = json.loads((attempt / "stdout.log").read_text())
        return Report(denied=report["denied"], allowed=report["allowed"])

    def ownership(self) -> Ownership:
        """Write a file only its owner may read, and look at it from outside."""
        outcome, attempt = self.run("python", "-c", OWN)
        if outcome.error_class is not None:
            raise InfrastructureError(f"the output folder cannot be written: {outcome.message}")
        status = (attempt / "output" / "mine").lstat()
        return Ownership(
            inside=(attempt / "stdout.log").read_text().strip().replace(" ", ":"),
            outside=f"{status.st_uid}:{status.st_gid}",
            readable=os.access(attempt / "output" / "mine", os.R_OK) and status.st_uid != 0,
        )

    def reports_memory(self) -> bool:
        """Whether a container that allocates past its limit is known to have run out of memory."""
        return self.run("python", "-c", EAT)[0].error_class is ErrorClass.OOM


def expected_user() -> str:
    """Who containers should be, inside and outside."""
    return ":".join(map(str, sandbox_user()))
