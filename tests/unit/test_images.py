"""What is decided about an image before anything of it runs."""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import boards
import pytest
from docker.errors import ImageNotFound
from lanner.errors import ConfigurationError, ErrorClass, ImageBuildError, ImageRefusedError
from lanner.methods import Method
from lanner.runners.images import LINE_LENGTH, TAIL_LINES, build_events, pinned, refuse_root


@pytest.fixture
def method(tmp_path: Path) -> Method:
    (tmp_path / "method_containers").mkdir()
    return boards.add_method(tmp_path, "own-method")


@pytest.mark.parametrize("user", ["", " ", "root", "0", "0:0", "root:root", "00", "0:10001", ":", "+0", "-0"])
def test_an_image_that_runs_as_root_is_refused_by_its_name_with_the_fix(user: str, method: Method) -> None:
    with pytest.raises(ImageRefusedError, match=f"{method.tag}.*add `USER 10001`") as caught:
        refuse_root(method, user)
    assert isinstance(caught.value, ConfigurationError)
    assert caught.value.error_class is ErrorClass.IMAGE_REFUSED
    assert caught.value.error_class.is_method_fault


@pytest.mark.parametrize("user", ["10001", "10001:0", "1000:1000", "nobody", "app:app", "100", "rooted"])
def test_an_image_with_a_user_of_its_own_is_taken(user: str, method: Method) -> None:
    refuse_root(method, user)


def test_of_an_image_lanner_does_not_build_the_fix_is_another_one(method: Method) -> None:
    other = replace(method, document={**method.document, "image": "example.org/own@sha256:00"})
    with pytest.raises(
        ImageRefusedError, match=r"build one with `FROM example\.org/own@sha256:00` and `USER"
    ):
        refuse_root(other, "root")


def test_what_a_build_printed_is_kept_in_few_and_short_lines(method: Method) -> None:
    flood = [{"stream": "Step 1/2 : RUN flood\n"}] + [{"stream": "x" * (1 << 16) + "\n"}] * 50
    with pytest.raises(ImageBuildError) as caught:
        build_events(method, iter([*flood, {"error": "failed"}]))
    assert len(caught.value.log_tail) <= TAIL_LINES * (LINE_LENGTH + 1)


class Registry:
    """Stands in for an engine whose pulls take a moment."""

    def __init__(self) -> None:
        self.images, self.pulled, self._here = self, 0, False

    def get(self, reference: str) -> str:
        if not self._here:
            raise ImageNotFound(reference)
        return reference

    def pull(self, reference: str) -> str:
        self.pulled += 1
        time.sleep(0.1)
        self._here = True
        return reference


def test_an_image_that_several_runs_of_a_node_want_is_pulled_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # its locks
    registry: Any = Registry()
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: pinned(registry, "r.test/method@sha256:00"), range(4)))
    assert found == {"r.test/method@sha256:00"} and registry.pulled == 1
