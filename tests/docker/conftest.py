"""One image and one way to run a program in it, as a method."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from lanner.methods import Method, load
from lanner.records import Limits, Outcome
from lanner.runners.docker import DockerRunner
from running import Run

MANIFEST = """
name: probe
version: "1"
label: Probe
summary: Tries what it may not.
licence: MIT
command: ["true"]
tasks: [unseen-perturbation]
"""

# What an image may ship to get around the sandbox: a writable volume, GPUs, an entry point, root, a check.
DOCKERFILE = """
FROM python:3.11-slim-bookworm
RUN mkdir -p /data && chmod 777 /data
VOLUME /data
ENV NVIDIA_VISIBLE_DEVICES=all
USER root
HEALTHCHECK CMD ["false"]
WORKDIR /method
COPY . /method
ENTRYPOINT ["false"]
CMD ["false"]
"""


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Method:
    """The probe, built once; its tag hashes its files, so later sessions find it built."""
    folder = tmp_path_factory.mktemp("methods") / "probe"
    folder.mkdir()
    (folder / "method.yaml").write_text(MANIFEST)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "probe.py").write_text((Path(__file__).parent / "probe.py").read_text())
    method = load(folder)
    DockerRunner().prepare(method)
    return method


@pytest.fixture
def run(probe: Method, tmp_path: Path) -> Run:
    """Run ``command`` in the probe's container, by default with little of everything."""
    runner = DockerRunner()
    (tmp_path / "input").mkdir(mode=0o755)
    (tmp_path / "input" / "task.json").write_text("{}")

    def call(*command: str, **limits: float) -> Outcome:
        method = replace(probe, document={**probe.document, "command": list(command)})
        return runner.run(
            method,
            input_dir=tmp_path / "input",
            output_dir=tmp_path / "attempt" / "output",
            log_dir=tmp_path / "attempt",
            environment={"LANNER_INPUT": "/input", "LANNER_OUTPUT": "/output"},
            limits=replace(Limits(timeout_s=30, memory_mb=128, output_mb=16, tmp_mb=64), **limits),
            labels={"lanner.run": f"test-{os.getpid()}"},
        )

    return call
