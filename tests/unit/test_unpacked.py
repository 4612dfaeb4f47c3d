"""Images of runners without a daemon: converted once per digest, whole or not at all."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from lanner.errors import ImageBuildError, InfrastructureError
from lanner.methods import Method, load
from lanner.runners.apptainer import ApptainerRunner
from lanner.runners.battery import PROBE
from lanner.runners.unpacked import VARIABLE, converted, folder, name_of, tool


@pytest.fixture
def method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Method:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "images"))
    return load(PROBE)


def test_an_image_is_converted_once_however_many_ask_at_a_time(method: Method) -> None:
    calls: list[Path] = []

    def convert(target: Path) -> tuple[str, str]:
        calls.append(target)
        target.mkdir()
        time.sleep(0.05)
        (target / "file").write_text("x")
        return "sha256:1", "/work"

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: converted(method, "kind", convert), range(4)))
    assert len(calls) == 1 and len({item.path for item in found}) == 1
    assert (found[0].path / "file").read_text() == "x"
    assert (found[0].image_id, found[0].working_dir) == ("sha256:1", "/work")


def test_another_identity_or_kind_is_another_image(method: Method) -> None:
    other = replace(method, identity="folder:" + "0" * 64)
    assert len({name_of(method, "kind"), name_of(method, "else"), name_of(other, "kind")}) == 3


def test_a_conversion_that_fails_or_was_killed_leaves_nothing_that_is_used(method: Method) -> None:
    (folder() / name_of(method, "kind")).mkdir(parents=True)  # of a harness killed in the middle

    def fail(target: Path) -> tuple[str, str]:
        target.mkdir()
        raise InfrastructureError("no")

    with pytest.raises(InfrastructureError):
        converted(method, "kind", fail)
    assert [path.name for path in folder().iterdir()] == [name_of(method, "kind")]

    def succeed(target: Path) -> tuple[str, str]:
        target.mkdir()
        return "sha256:2", ""

    assert converted(method, "kind", succeed).working_dir == "/method"


def test_a_converter_s_failure_is_charged_to_who_wrote_the_dockerfile_or_to_the_platform(
    method: Method,
) -> None:
    command = ["sh", "-c", "echo step; echo reason >&2; exit 3"]
    with pytest.raises(ImageBuildError, match="reason"):
        tool(method, command, builds=True)
    with pytest.raises(InfrastructureError, match=r"cannot convert .*: reason"):
        tool(method, command)
    with pytest.raises(InfrastructureError, match="no-such-tool is not installed"):
        tool(method, ["no-such-tool"])


APPTAINER = """#!/bin/sh
case "$1" in
build) printf '%s\\n' "$@" > "$2" ;;
exec) printf '%s\\n' "$@" > {said}; env >> {said}; exit 7 ;;
esac
"""


def test_apptainer_is_called_as_its_manual_says(
    method: Method, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program in its place notes what it is told: no Apptainer can be had here."""
    said = tmp_path / "said"
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "apptainer"
    program.write_text(APPTAINER.format(said=said))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr("lanner.runners.apptainer.docker_available", lambda: "none answers")
    runner = ApptainerRunner()
    with pytest.raises(InfrastructureError, match="Apptainer builds no Dockerfile"):
        runner.prepare(method)
    pinned = replace(
        method, identity="image:r/probe@sha256:1", document={**method.document, "image": "r/probe@sha256:1"}
    )
    runner.prepare(pinned)
    image = folder() / name_of(pinned, "apptainer")
    assert (image / "image").read_text().splitlines()[2:] == ["docker://r/probe@sha256:1"]
    assert json.loads((image / "facts.json").read_text())["image_id"] == "image:r/probe@sha256:1"
