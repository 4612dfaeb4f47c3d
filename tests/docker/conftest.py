"""One image and one way to run a program in it, as a method."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from lanner.methods import Method
from lanner.records import Limits, Outcome
from lanner.runners.battery import PROBE, load
from lanner.runners.docker import DockerRunner
from running import Run


@pytest.fixture(scope="session")
def probe() -> Method:
    """The probe that `lanner doctor` runs, built once; its tag hashes its files."""
    method = load(PROBE)
    DockerRunner().prepare(method)
    return method


@pytest.fixture
def run(probe: Method, tmp_path: Path) -> Run:
    """Run ``command`` in the probe's container, by default with little of everything."""
    runner = DockerRunner()
    (tmp_path / "input").mkdir(mode=0o755)
    (tmp_path / "input" / "task.json").write_text("{}")

    def call(*command: str, **limits: float) -> Outcome:
        granted = replace(Limits(timeout_s=30, memory_mb=128, output_mb=16, tmp_mb=64), **limits)
        return runner.run(
            replace(probe, document={**probe.document, "command": list(command)}),
            input_dir=tmp_path / "input",
            output_dir=tmp_path / "attempt" / "output",
            log_dir=tmp_path / "attempt",
            environment={
                "LANNER_INPUT": "/input",
                "LANNER_OUTPUT": "/output",
                "LANNER_CPUS": f"{granted.cpus:g}",
            },
            limits=granted,
            labels={"lanner.run": f"test-{os.getpid()}"},
        )

    return call
