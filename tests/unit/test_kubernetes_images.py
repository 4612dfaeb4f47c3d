"""A method's image is started on a cluster where Docker would start it, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from lanner.errors import InfrastructureError
from lanner.execution import kubernetes_images
from lanner.execution.kubernetes_images import Declared, declared, working_dir_of
from lanner.methods import Method, load
from lanner.runners.battery import PROBE
from lanner.runners.images import ImageFacts


@pytest.fixture(autouse=True)
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ImageFacts]]:
    """Images that an engine holds here, by reference."""
    images: dict[str, ImageFacts] = {}
    monkeypatch.setattr("lanner.runners.images.known", images.get)
    kubernetes_images._held.cache_clear()
    yield images
    kubernetes_images._held.cache_clear()


def facts(**changes: Any) -> ImageFacts:
    return ImageFacts(pin="p", id="i", user="1", command=(), labels={}, **changes)


@pytest.fixture
def pinned() -> Method:
    method = load(PROBE)
    return replace(method, document={**method.document, "image": "r/probe@sha256:1"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM python:3.11\nWORKDIR /method\nCOPY . .\n", "/method"),
        ("from python:3.11 as x\nworkdir /a\nWORKDIR b/\n", "/a/b"),
        ("FROM debian AS build\nWORKDIR /source\nFROM build\n", "/source"),
        ("FROM debian AS build\nWORKDIR /source\nFROM debian\n", None),
        ("FROM python:3.11\nCOPY . /method\n", None),
        ("FROM scratch\n", ""),
        ("FROM scratch\nWORKDIR b\n", "/b"),
        ("FROM debian\nWORKDIR b\n", None),
        ("FROM debian\nWORKDIR /a\nWORKDIR $HERE\n", None),
        ("FROM debian\nWORKDIR /a\nWORKDIR ../b\n", None),
        ("FROM debian\nWORKDIR /a\nRUN echo \\\n# comment\nWORKDIR /b\n", "/a"),
        ("FROM debian\nWORKDIR /a\nRUN cat <<EOF\nWORKDIR /b\nEOF\n", None),
        ("# escape=`\nFROM debian\nWORKDIR /a\n", None),
    ],
)
def test_a_dockerfile_tells_its_workdir_or_that_it_does_not(text: str, expected: str | None) -> None:
    assert working_dir_of(text) == expected


def test_an_image_that_is_here_tells_where_docker_would_start_it(
    pinned: Method, held: dict[str, ImageFacts]
) -> None:
    held["r/probe@sha256:1"] = facts(working_dir="/opt/app", volumes=("/data",))
    assert declared(pinned, {}) == Declared(working_dir="/opt/app", volumes=("/data",))


@pytest.mark.parametrize("nothing", ["", "/"])
def test_an_image_without_a_workdir_starts_where_docker_s_policy_says(
    nothing: str, pinned: Method, held: dict[str, ImageFacts]
) -> None:
    held["r/probe@sha256:1"] = facts(working_dir=nothing)
    assert declared(pinned, {}).working_dir == declared(pinned, {"probe": "/"}).working_dir == "/method"


def test_an_image_of_which_nobody_knows_its_workdir_is_refused_until_it_is_stated(pinned: Method) -> None:
    with pytest.raises(InfrastructureError, match=r"working_dirs: \{.*: /PATH\} in --engine-config"):
        declared(pinned, {})
    assert declared(pinned, {pinned.name: "/opt/app"}).working_dir == "/opt/app"


def test_what_is_stated_may_not_differ_from_what_the_image_says(
    pinned: Method, held: dict[str, ImageFacts]
) -> None:
    held["r/probe@sha256:1"] = facts(working_dir="/opt/app")
    with pytest.raises(InfrastructureError, match=r"/opt/app.*, not /elsewhere"):
        declared(pinned, {pinned.name: "/elsewhere"})
