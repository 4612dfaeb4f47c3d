"""One regular file is taken out of a folder a container wrote to; nothing else is followed or left."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
from pathlib import Path

import pytest
from files import write_good
from lanner.errors import PredictionError
from lanner.intake import collect, remove_folder, take_file

NAME = "prediction.h5ad"
LIMIT = 1 << 20


@pytest.fixture
def output(tmp_path: Path) -> Path:
    folder = tmp_path / "attempt" / "output"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "truth.h5ad"
    write_good(path)
    return path


def refused(output: Path, tmp_path: Path) -> str:
    destination = tmp_path / "taken"
    with pytest.raises(PredictionError) as caught:
        take_file(output, NAME, destination, max_bytes=LIMIT)
    assert not destination.exists()
    return caught.value.code


def test_a_good_file_arrives_read_only_with_its_hash(output: Path, tmp_path: Path) -> None:
    write_good(output / NAME)
    content = (output / NAME).read_bytes()
    digest = take_file(output, NAME, tmp_path / "taken", max_bytes=LIMIT)
    assert digest == hashlib.sha256(content).hexdigest()
    assert (tmp_path / "taken").read_bytes() == content
    assert stat.S_IMODE((tmp_path / "taken").stat().st_mode) == 0o444


def test_an_earlier_file_is_never_overwritten(output: Path, tmp_path: Path) -> None:
    write_good(output / NAME)
    earlier = tmp_path / "taken"
    earlier.write_text("earlier")
    with pytest.raises(Exception, match="cannot be copied"):
        take_file(output, NAME, earlier, max_bytes=LIMIT)


@pytest.mark.parametrize("relative", [False, True])
def test_a_symbolic_link_to_the_truth_is_not_followed(
    output: Path, secret: Path, tmp_path: Path, relative: bool
) -> None:
    target = os.path.relpath(secret, output) if relative else secret
    (output / NAME).symlink_to(target)
    assert refused(output, tmp_path) == "not-a-file"


def test_a_folder_replaced_by_a_link_is_not_followed(output: Path, secret: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    secret.rename(elsewhere / NAME)
    output.rmdir()
    output.symlink_to(elsewhere)
    assert refused(output, tmp_path) == "not-a-file"


@pytest.mark.timeout(10)
def test_a_fifo_does_not_make_the_harness_wait(output: Path, tmp_path: Path) -> None:
    os.mkfifo(output / NAME)
    assert refused(output, tmp_path) == "not-a-file"


def test_a_socket_is_refused(output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(output)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(NAME)
        assert refused(output, tmp_path) == "not-a-file"


def test_a_hard_link_is_refused(output: Path, secret: Path, tmp_path: Path) -> None:
    os.link(secret, output / NAME)
    assert refused(output, tmp_path) == "not-a-file"


def test_a_folder_by_that_name_is_refused(output: Path, tmp_path: Path) -> None:
    (output / NAME).mkdir()
    assert refused(output, tmp_path) == "not-a-file"


def test_no_file_at_all_is_missing(output: Path, tmp_path: Path) -> None:
    assert refused(output, tmp_path) == "missing"
    output.rmdir()
    assert refused(output, tmp_path) == "missing"


def test_a_sparse_terabyte_is_too_large(output: Path, tmp_path: Path) -> None:
    write_good(output / NAME)
    os.truncate(output / NAME, 1 << 40)
    assert refused(output, tmp_path) == "too-large"


@pytest.mark.parametrize(
    "content", [b"", b"gene,value\n", b"#!/bin/sh\n" + bytes(502) + b"\x89HDF\r\n\x1a\n"]
)
def test_what_does_not_begin_as_hdf5_is_refused(output: Path, tmp_path: Path, content: bytes) -> None:
    (output / NAME).write_bytes(content)
    assert refused(output, tmp_path) == "not-hdf5"


def test_collecting_removes_everything_else_even_when_the_file_is_bad(output: Path, tmp_path: Path) -> None:
    (output / NAME).write_text("not HDF5")
    (output / "more").mkdir()
    with pytest.raises(PredictionError):
        collect(output, NAME, tmp_path / "taken", max_bytes=LIMIT)
    assert not output.exists()


def test_a_tree_deeper_than_any_path_is_removed(output: Path) -> None:
    """3,000 levels of 200-byte names: no path reaches the bottom, and recursion would not either."""
    name = "d" * 200
    here = os.open(output, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("at the bottom", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    remove_folder(output)
    assert not output.exists()


def test_odd_names_and_closed_folders_are_removed_and_links_are_not_followed(
    output: Path, secret: Path, tmp_path: Path
) -> None:
    for name in ("-rf", "line\nbreak", "\x1b[31m", "\u202e", "up-0", "x" * 255):
        (output / name).mkdir()
        (output / name / "up-1").mkdir()
    (Path(os.fsdecode(os.fsencode(output) + b"/\xff\xfe"))).write_text("")
    closed = output / "closed"
    (closed / "inner").mkdir(parents=True)
    closed.chmod(0)
    (output / "link").symlink_to(tmp_path)
    remove_folder(output)
    assert not output.exists()
    assert secret.exists()


def test_removing_a_link_or_nothing_removes_only_that(output: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(output)
    remove_folder(link)
    remove_folder(tmp_path / "absent")
    assert output.is_dir()
    assert not link.exists()
