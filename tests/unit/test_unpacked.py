"""Images of runners without a daemon: converted once per digest, whole or not at all."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from lanner.errors import ImageBuildError, InfrastructureError
from lanner.intake import remove_folder
from lanner.methods import Method, load
from lanner.runners.apptainer import ApptainerRunner
from lanner.runners.battery import PROBE
from lanner.runners.stripping import CAPABILITIES
from lanner.runners.unpacked import VARIABLE, converted, folder, name_of, tool


@pytest.fixture
def method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Method]:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "images"))
    yield load(PROBE)
    remove_folder(tmp_path / "images")  # pytest's own removal of a deep tree would recurse


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


def test_nothing_of_an_image_is_a_privilege_on_the_host(method: Method, tmp_path: Path) -> None:
    """Setuid and setgid bits, capabilities and devices go, at any depth, and no link is followed."""
    outside = tmp_path / "outside"
    outside.write_text("x")
    outside.chmod(0o4755)
    before: list[int] = []

    def convert(target: Path) -> tuple[str, str]:
        target.mkdir()
        before.append(target.parent.stat().st_mode & 0o777)
        (target / "link").symlink_to(outside)
        (target / "folder").symlink_to(tmp_path)
        if os.geteuid() == 0:
            os.mknod(target / "disk", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        deep = target
        for depth in range(1200):
            if depth % 400 == 0:
                for name, mode in (("su", 0o4755), ("sg", 0o2755), ("open", 0o6777)):
                    (deep / name).write_text("x")
                    (deep / name).chmod(mode)
            deep = deep / "d"
            deep.mkdir()
            deep.chmod(0o7777)
        if os.geteuid() == 0:
            capable = target / "capable"
            capable.write_text("x")
            with suppress(OSError):  # a file system or a sandbox without them
                os.setxattr(capable, CAPABILITIES, bytes.fromhex("01000002" + "00200000" + "00" * 12))
        return "sha256:1", ""

    image = converted(method, "kind", convert).path
    assert before == [0o700] and outside.stat().st_mode & 0o7777 == 0o4755
    modes = {}
    here, depth = image, 0
    while here.is_dir():
        modes |= {(depth, entry.name): entry.lstat() for entry in here.iterdir() if not entry.is_symlink()}
        here, depth = here / "d", depth + 1
    assert depth == 1201 and len(modes) >= 1209
    assert not [name for name, found in modes.items() if found.st_mode & (0o6000 | stat.S_IWOTH)]
    assert not [name for name, found in modes.items() if stat.S_ISCHR(found.st_mode)]
    if (image / "capable").exists():
        assert CAPABILITIES not in os.listxattr(image / "capable")
    assert image.parent.stat().st_mode & 0o777 == (0o711 if os.geteuid() == 0 else 0o700)


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
