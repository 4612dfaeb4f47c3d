from __future__ import annotations

import errno
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from dataset_entries import document, source_of, write_entry
from lanner import datasets
from lanner.config import Settings
from lanner.datasets import Entry, mirror
from lanner.datasets.fetch import disk_errors
from lanner.errors import ErrorClass, InfrastructureError


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A folder with one published file."""
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "data.h5ad").write_bytes(b"published bytes" * 1000)
    return folder


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder without logging to the terminal."""

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.fixture
def server(published: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A real web server of the published folder, on this machine only."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(published))) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


def entry_of(settings: Settings, published: Path, **changes: Any) -> Entry:
    return write_entry(settings, document("toy", [source_of(published / "data.h5ad", **changes)]))


def cached(settings: Settings) -> list[str]:
    folder = settings.home / "data" / "toy" / "sources"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


@pytest.fixture
def alone(tmp_path: Path) -> Settings:
    """Settings without mirrors."""
    return Settings(home=tmp_path / "home")


def test_a_file_address_is_copied_into_the_cache_and_verified(alone: Settings, published: Path) -> None:
    files = datasets.fetch(entry_of(alone, published), alone)
    assert files["data.h5ad"].read_bytes() == (published / "data.h5ad").read_bytes()
    assert cached(alone) == ["data.h5ad"]


def test_a_download_reports_its_progress_and_keeps_the_bytes(
    alone: Settings, published: Path, server: str
) -> None:
    seen: list[tuple[str, int, int]] = []
    entry = entry_of(alone, published, urls=[f"{server}/data.h5ad"])
    files = datasets.fetch(entry, alone, lambda *step: seen.append(step))
    assert files["data.h5ad"].stat().st_size == 15000
    assert seen[-1] == ("download data.h5ad", 15000, 15000)


def test_addresses_are_tried_in_turn(alone: Settings, published: Path, server: str) -> None:
    urls = ["http://127.0.0.1:9/gone", f"{server}/missing.h5ad", f"{server}/data.h5ad"]
    assert datasets.fetch(entry_of(alone, published, urls=urls), alone)
    assert cached(alone) == ["data.h5ad"]


def test_when_no_address_delivers_the_error_names_them_all(
    alone: Settings, published: Path, server: str
) -> None:
    urls = ["http://127.0.0.1:9/gone", f"{server}/missing.h5ad", (published / "none").as_uri()]
    with pytest.raises(InfrastructureError) as error:
        datasets.fetch(entry_of(alone, published, urls=urls), alone)
    assert all(url in str(error.value) for url in urls)
    assert "LANNER_MIRROR" in str(error.value) and "404" in str(error.value) and "\n" not in str(error.value)
    assert cached(alone) == []


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_other_bytes_from_an_address_are_an_error_and_leave_no_file(
    alone: Settings, published: Path, server: str, scheme: str
) -> None:
    url = f"{server}/data.h5ad" if scheme == "http" else (published / "data.h5ad").as_uri()
    entry = entry_of(alone, published, urls=[url], sha256="0" * 64)
    with pytest.raises(InfrastructureError, match="expected sha256 0000") as error:
        datasets.fetch(entry, alone)
    assert source_of(published / "data.h5ad")["sha256"] in str(error.value)
    assert cached(alone) == []


def test_a_cached_file_is_used_without_its_address(alone: Settings, published: Path) -> None:
    entry = entry_of(alone, published)
    datasets.fetch(entry, alone)
    (published / "data.h5ad").unlink()
    assert datasets.fetch(entry, alone)["data.h5ad"].is_file()


def test_a_damaged_cached_file_is_fetched_again(alone: Settings, published: Path) -> None:
    entry = entry_of(alone, published)
    datasets.fetch(entry, alone)["data.h5ad"].write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="damaged"):
        files = datasets.fetch(entry, alone)
    assert files["data.h5ad"].stat().st_size == 15000


def mirrored(alone: Settings, tmp_path: Path, *names: str) -> tuple[Settings, Path]:
    folder = tmp_path / "mirror"
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"published bytes" * 1000)
    return Settings(home=alone.home, mirrors=(folder,)), folder


def test_a_mirror_is_found_by_size_and_hash_whatever_the_name(
    alone: Settings, published: Path, tmp_path: Path
) -> None:
    settings, folder = mirrored(alone, tmp_path, "deep/other-name.bin")
    entry = entry_of(settings, published, urls=["http://127.0.0.1:9/gone"])
    files = datasets.fetch(entry, settings)
    assert files["data.h5ad"].is_relative_to(settings.home)
    assert (folder / "deep" / "other-name.bin").is_file()


def test_wrong_bytes_in_a_mirror_are_passed_over_with_a_warning(
    alone: Settings, published: Path, tmp_path: Path
) -> None:
    settings, folder = mirrored(alone, tmp_path, "data.h5ad")
    (folder / "data.h5ad").write_bytes(b"x" * 15000)
    with pytest.warns(UserWarning, match="another sha256; passed over"):
        files = datasets.fetch(entry_of(settings, published), settings)
    assert files["data.h5ad"].read_bytes().startswith(b"published")


def test_a_mirror_file_is_hashed_again_only_when_it_changed(
    alone: Settings, published: Path, tmp_path: Path
) -> None:
    settings, folder = mirrored(alone, tmp_path, "data.h5ad")
    source = entry_of(settings, published).sources[0]
    assert mirror.find(source, settings) == folder / "data.h5ad"
    memory = settings.home / "data" / mirror.MEMORY
    memory.write_text(memory.read_text().replace(source.sha256, "f" * 64), encoding="utf-8")
    with pytest.warns(UserWarning, match="passed over"):
        assert mirror.find(source, settings) is None  # the remembered hash was believed
    (folder / "data.h5ad").touch()
    assert mirror.find(source, settings) == folder / "data.h5ad"


def test_a_torn_memory_of_hashes_is_ignored(alone: Settings, published: Path, tmp_path: Path) -> None:
    settings, folder = mirrored(alone, tmp_path, "data.h5ad")
    (settings.home / "data").mkdir(parents=True)
    (settings.home / "data" / mirror.MEMORY).write_text('{"half', encoding="utf-8")
    assert mirror.find(entry_of(settings, published).sources[0], settings) == folder / "data.h5ad"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_named_and_blamed_on_nobody() -> None:
    with (
        pytest.raises(InfrastructureError, match="free some space") as error,
        disk_errors("toy: storing data.h5ad"),
        open("/dev/full", "wb", buffering=0) as stream,  # noqa: PTH123
    ):
        stream.write(b"x")
    assert error.value.error_class is ErrorClass.DISK_FULL


def test_a_refused_write_asks_for_permissions() -> None:
    with pytest.raises(InfrastructureError, match="permissions"), disk_errors("toy: storing"):
        raise PermissionError(errno.EACCES, "Permission denied")


class Breaking(Quiet):
    """Sends half of the file and hangs up, once; serves ranges afterwards, if ``ranges``."""

    ranges = True
    asked: list[str | None] = []  # noqa: RUF012  one server a test, cleared by it

    def do_GET(self) -> None:
        body = Path(self.translate_path(self.path)).read_bytes()
        wanted = self.headers.get("Range")
        self.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start : len(body) // 2] if len(self.asked) == 1 else body[start:])


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_download_goes_on_where_it_stopped(
    alone: Settings, published: Path, server: str, monkeypatch: pytest.MonkeyPatch, ranges: bool
) -> None:
    Breaking.asked.clear()
    monkeypatch.setattr(
        sys.modules[disk_errors.__module__], "CHUNK_BYTES", 500
    )  # only whole pieces of a broken answer are kept
    for name in ("do_GET", "asked", "ranges"):
        monkeypatch.setattr(Quiet, name, getattr(Breaking, name), raising=False)
    monkeypatch.setattr(Quiet, "ranges", ranges)
    entry = entry_of(alone, published, urls=[f"{server}/data.h5ad"])
    with pytest.raises(InfrastructureError, match="could not be downloaded"):
        datasets.fetch(entry, alone)
    paths = datasets.fetch(entry, alone)
    assert paths["data.h5ad"].read_bytes() == (published / "data.h5ad").read_bytes()
    half = (published / "data.h5ad").stat().st_size // 2
    assert Breaking.asked == [None, f"bytes={half}-"] + ([] if ranges else [None])
    assert cached(alone) == ["data.h5ad"]
