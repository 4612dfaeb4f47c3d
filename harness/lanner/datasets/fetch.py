"""Bring an entry's published files into the cache, verified: from the cache, a mirror, or their URLs."""

from __future__ import annotations

import errno
import fcntl
import importlib
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pooch

from lanner.config import Settings
from lanner.datasets import mirror
from lanner.datasets.entry import Entry, Source
from lanner.errors import ErrorClass, InfrastructureError
from lanner.owner import token

Progress = Callable[[str, int, int], None]
"""Called as ``progress(what, done, total)``: bytes of a download, rows of a normalisation."""

TIMEOUT_SECONDS = 60
CHUNK_BYTES = 1 << 20
WEB = frozenset({"http", "https", "ftp"})
"""Protocols that pooch speaks, and goes on where it was interrupted; the others are fsspec's."""


def fetch(entry: Entry, settings: Settings, progress: Progress | None = None) -> dict[str, Path]:
    """Verified source files of an entry in ``$LANNER_HOME/data/<id>/sources/``, by name.

    Every file is hashed before it is handed out. A file appears under its name only whole and verified.

    Raises
    ------
    InfrastructureError
        No address delivers the file, one delivers other bytes, or the disk is full.
    """
    folder = settings.home / "data" / entry.id / "sources"
    return fetch_sources(entry.id, entry.sources, folder, settings, progress)


def fetch_sources(
    label: str,
    sources: Iterable[Source],
    folder: Path,
    settings: Settings,
    progress: Progress | None = None,
) -> dict[str, Path]:
    """Verified files of whatever names its sources, in ``folder``, by name; ``label`` says whose they are.

    A source that has a converted form is answered by that form, under its name, where only that is at hand.
    Raises as ``fetch`` does.
    """
    paths = [_fetch_one(label, source, folder, settings, progress) for source in sources]
    return {path.name: path for path in paths}


def _fetch_one(
    label: str, source: Source, folder: Path, settings: Settings, progress: Progress | None
) -> Path:
    forms = (source,) if source.converted is None else (source, source.converted)
    with disk_errors(f"{label}: storing {source.name} in {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        cached = next((form for form in forms if _is_cached(form, folder)), None)
        if cached is not None:
            return folder / cached.name
        for form in forms:
            if _from_mirror(form, folder, settings):
                return folder / form.name
        _download(label, source, folder / source.name, progress)
    return folder / source.name


def _is_cached(source: Source, folder: Path) -> bool:
    target = folder / source.name
    if not target.is_file():
        return False
    if _sha256(target) == source.sha256:
        return True
    warnings.warn(f"cached file {target} is damaged; it is fetched again", stacklevel=5)
    target.unlink()
    return False


def _from_mirror(source: Source, folder: Path, settings: Settings) -> bool:
    found = mirror.find(source, settings)
    return found is not None and _take(source, folder / source.name, lambda path: _copy(found, path))


def _take(source: Source, target: Path, deliver: Callable[[Path], None]) -> bool:
    """Have ``deliver`` write a temporary file; keep it under its name if its bytes are the source's."""
    descriptor, name = tempfile.mkstemp(
        prefix=f".{target.name}.{token()}.", suffix=".partial", dir=target.parent
    )
    os.close(descriptor)
    partial = Path(name)
    try:
        deliver(partial)
        if _sha256(partial) != source.sha256:
            return False
        sync(partial)
        partial.chmod(0o644)
        partial.replace(target)
        sync(target.parent)
        return True
    finally:
        partial.unlink(missing_ok=True)


def _download(label: str, source: Source, target: Path, progress: Progress | None) -> None:
    failures = []
    for url in source.urls:
        got: list[str] = []

        def deliver(path: Path, url: str = url, got: list[str] = got) -> None:
            _deliver(url, path, source, progress)
            got.append(f"{_sha256(path)} ({path.stat().st_size} bytes)")

        try:
            if _take(source, target, deliver):
                return
        except OSError as error:
            if error.errno in DISK_FULL:
                raise
            failures.append(f"{url}: {_reason(error)}")
            continue
        raise InfrastructureError(
            f"{label}: {url} delivered other bytes than the entry names: expected sha256 {source.sha256} "
            f"({source.bytes} bytes), got {got[0]}; check the address in a browser, or put the file into a "
            "folder of LANNER_MIRROR"
        )
    raise InfrastructureError(
        f"{label}: {source.name} could not be downloaded ({'; '.join(failures)}); check the network, or "
        "put the file into a folder of LANNER_MIRROR"
    )


def _deliver(url: str, path: Path, source: Source, progress: Progress | None) -> None:
    parts = urlsplit(url)
    if parts.scheme == "file":
        _copy(Path(url2pathname(parts.path)), path)
        return
    if parts.scheme not in WEB:
        _open_elsewhere(url, path, source, progress)
        return
    begun = path.parent / f".{source.name}.{source.sha256[:12]}.partial"
    with begun.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # another process is at it: each then downloads for itself
            _request(url, path, source, progress, 0)
            return
        try:
            _resume(url, begun, source, progress)
            begun.replace(path)
        finally:
            if begun.is_file() and begun.stat().st_size == 0:
                begun.unlink()


def _open_elsewhere(url: str, path: Path, source: Source, progress: Progress | None) -> None:
    """Write the whole file of a protocol that fsspec speaks; any failure is an OSError with a sentence."""
    fsspec: Any = importlib.import_module("fsspec")
    done = 0
    try:
        with fsspec.open(url, "rb") as origin, path.open("wb") as stream:
            while chunk := origin.read(CHUNK_BYTES):
                stream.write(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(f"download {source.name}", min(done, source.bytes), source.bytes)
    except OSError:
        raise
    except (ImportError, ValueError) as error:
        raise OSError(f"{error}; pip install 'lanner[remote]' adds s3 and gs") from None
    except Exception as error:  # every protocol has errors of its own
        raise OSError(str(error) or type(error).__name__) from None


def _resume(url: str, begun: Path, source: Source, progress: Progress | None) -> None:
    """End a file that an earlier download may have begun; after a failure it stays for the next one."""
    have = begun.stat().st_size
    if 0 < have < source.bytes:
        _request(url, begun, source, progress, have)
        if _sha256(begun) == source.sha256:
            return
    # Nothing to go on with, or a server that knows no ranges and sent the whole file once more.
    _request(url, begun, source, progress, 0)


def _request(url: str, path: Path, source: Source, progress: Progress | None, start: int) -> None:
    """Write the bytes from ``start`` on to the end of ``path``; what came before a failure stays there."""
    bar = _Bar(f"download {source.name}", progress, source.bytes) if progress is not None else False
    headers = {"Range": f"bytes={start}-"} if start else {}
    download = pooch.HTTPDownloader(
        progressbar=bar, chunk_size=CHUNK_BYTES, timeout=TIMEOUT_SECONDS, headers=headers
    )
    with path.open("ab" if start else "wb") as stream:
        download(url, stream, None)


class _Bar:
    """What pooch wants of a progress bar, passed on to ``Progress``."""

    def __init__(self, what: str, progress: Progress, total: int) -> None:
        self.total = total
        self._what, self._progress, self._done = what, progress, 0

    def update(self, step: int) -> None:
        self._done += step
        self._progress(self._what, min(self._done, self.total), self.total)

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        pass


DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

REFUSED = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG}
)
"""What else a disk can answer; any other OSError is a bug and keeps its traceback."""


@contextmanager
def disk_errors(where: str) -> Iterator[None]:
    """Turn a full disk or a refused write within the block into one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL | REFUSED:
            raise
        full = error.errno in DISK_FULL
        advice = "free some space or set LANNER_HOME elsewhere" if full else "check the folder's permissions"
        raise InfrastructureError(
            f"{where} failed: {_reason(error)}; {advice}",
            ErrorClass.DISK_FULL if full else ErrorClass.PLATFORM_ERROR,
        ) from None


def sync(path: Path) -> None:
    """Flush a file or a folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy(origin: Path, path: Path) -> None:
    shutil.copyfile(origin, path)


def _reason(error: OSError) -> str:
    text: Any = error.strerror or error
    return " ".join(str(text).split())[:200]


def _sha256(path: Path) -> str:
    return str(pooch.file_hash(str(path), alg="sha256"))
