"""Finished runs, to and from any store that fsspec speaks to: s3, gs, abfs, sftp, ftp, a folder.

A run is a bundle: ``runs/<dataset>/<split8>/<method>/<key8>/<digest>/``, named by the hash of what its files
hold, its ``bundle.json`` written last. So nothing is ever overwritten: two who push the same key at once
leave two bundles, each whole, and everybody who pulls takes the one whose digest is smallest. A bundle
without its bundle.json is not there. Object stores have no locks: what keeps two harnesses from running one
key twice is the lock of a shared LANNER_HOME, not this.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from lanner import schemas, store
from lanner.errors import ConfigurationError, InfrastructureError
from lanner.owner import token
from lanner.records import Split, sha256_json

FORMAT = "lanner-bundle/1"
BUNDLE = "bundle.json"
ATTEMPT_FILES = (
    *("spec.json", "status.json", "resources.json", "stdout.log", "stderr.log"),
    "prediction.h5ad",
)
FILE = re.compile(
    rf"run\.json|attempt-\d+/({'|'.join(map(re.escape, ATTEMPT_FILES))})"
    r"|scores/[0-9a-f]{16}(\.[a-z-]+)?\.(parquet|details\.json)"
)
PLACE = re.compile(r"([A-Za-z0-9][\w.-]*)/([0-9a-f]{8})/([A-Za-z0-9][\w.-]*)/([0-9a-f]{8})/([0-9a-f]{16})")
CHUNK_BYTES = 1 << 20


class InvalidBundleError(InfrastructureError):
    """What lies in a store under the name of a run is no run; others may be."""


@dataclass(kw_only=True)
class Report:
    """What a push or pull did, in runs; ``requests`` counts what was asked of the remote store, at least."""

    moved: int = 0
    there: int = 0
    unfinished: int = 0
    hidden: int = 0
    busy: int = 0
    bytes: int = 0
    requests: int = 0

    def to_json(self) -> dict[str, int]:
        """All counts by name."""
        return asdict(self)


class Remote:
    """A store somewhere, by its URL."""

    def __init__(self, url: str) -> None:
        fsspec: Any = importlib.import_module("fsspec")
        self.url, self.requests = url.rstrip("/"), 0
        try:
            self._fs, root = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise ConfigurationError(
                f"{url} cannot be reached ({error}); install what speaks its protocol, such as "
                "pip install 'lanner[remote]' for s3 and gs, or correct the address"
            ) from None
        self._root = str(root).rstrip("/")

    def names(self, folder: str) -> list[str]:
        """Paths of all files below a folder, from the root; none where there is no such folder."""
        with self._failing(f"{folder} cannot be listed"):
            self._fs.invalidate_cache()
            try:
                found = self._fs.find(f"{self._root}/{folder}")
            except FileNotFoundError:
                found = []
        prefix = f"{self._root.lstrip('/')}/"
        return sorted(str(name).lstrip("/").removeprefix(prefix) for name in found)

    def read(self, name: str) -> bytes:
        """The bytes of a small file."""
        with self._failing(f"{name} cannot be read"):
            data: bytes = self._fs.cat_file(f"{self._root}/{name}")
        return data

    def write(self, name: str, data: bytes) -> None:
        """Write a small file."""
        with self._failing(f"{name} cannot be written"):
            self._fs.makedirs(str(PurePosixPath(self._root, name).parent), exist_ok=True)
            self._fs.pipe_file(f"{self._root}/{name}", data)

    def put(self, path: Path, name: str) -> None:
        """Copy a file there."""
        with self._failing(f"{name} cannot be written"):
            self._fs.makedirs(str(PurePosixPath(self._root, name).parent), exist_ok=True)
            self._fs.put_file(str(path), f"{self._root}/{name}")

    def get(self, name: str, path: Path, most: int) -> None:
        """Copy a file here, and no more of it than one byte over ``most``."""
        path.parent.mkdir(parents=True, exist_ok=True)
        left = most + 1
        with (
            self._failing(f"{name} cannot be read"),
            self._fs.open(f"{self._root}/{name}", "rb") as source,
            path.open("wb") as target,
        ):
            while left and (chunk := source.read(min(CHUNK_BYTES, left))):
                target.write(chunk)
                left -= len(chunk)

    @contextlib.contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        self.requests += 1
        try:
            yield
        except Exception as error:  # every protocol has errors of its own
            said = " ".join(str(error).split())[:200] or type(error).__name__
            raise InfrastructureError(
                f"{self.url}: {what} ({said}); check address, rights and network"
            ) from None


def push(home: Path, url: str) -> Report:
    """Copy every finished run that is not there yet, and its split; runs of hidden splits never leave.

    Failures that the next build would try again are not finished.
    """
    remote, report = Remote(url), Report()
    present = {str(PurePosixPath(name).parents[1]) for name in remote.names("runs") if name.endswith(BUNDLE)}
    splits = {PurePosixPath(name).stem for name in remote.names("splits")}
    for folder, record in store.find_runs(home):
        place = folder.relative_to(home).as_posix()
        split = record["keyed"]["split"]
        if store.is_hidden(home, split):
            report.hidden += 1
        elif store.RunFolder(path=folder, key=record["key"]).reason_to_run() is not None:
            report.unfinished += 1
        elif place in present:
            report.there += 1
        else:
            if split not in splits:
                saved = home / "splits" / f"{split}.json"
                if not saved.is_file():
                    report.unfinished += 1
                    continue
                remote.put(saved, f"splits/{split}.json")
                splits.add(split)
            with _lock(folder) as mine:  # or what is hashed might be replaced before it is sent
                if not mine:
                    report.busy += 1
                    continue
                report.bytes += _push_run(remote, folder, record, place)
            report.moved += 1
    report.requests = remote.requests
    return report


def _push_run(remote: Remote, folder: Path, record: dict[str, Any], place: str) -> int:
    attempt = f"attempt-{record['attempt']}"
    names = ["run.json", *(f"{attempt}/{name}" for name in ATTEMPT_FILES)]
    names += sorted(f"scores/{path.name}" for path in (folder / "scores").glob("*"))
    files: dict[str, dict[str, Any]] = {
        name: {"sha256": _sha256(folder / name), "bytes": (folder / name).stat().st_size}
        for name in names
        if FILE.fullmatch(name) and (folder / name).is_file()
    }
    bundle = f"{place}/{sha256_json(files)[:16]}"
    for name in files:
        remote.put(folder / name, f"{bundle}/{name}")
    document = {"format": FORMAT, "key": record["key"], "split": record["keyed"]["split"], "files": files}
    remote.write(f"{bundle}/{BUNDLE}", (json.dumps(document, indent=1) + "\n").encode())
    return sum(int(file["bytes"]) for file in files.values())


def pull(home: Path, url: str) -> Report:
    """Copy every run from there that this LANNER_HOME has not finished, each file checked against its hash.

    A run that somebody works on here is left to them. Predictions are checked anew by whatever reads them;
    scores and records are taken as they are: pull from who you would take a leaderboard from. Raises
    InvalidBundleError for a bundle that does not hold what it says, after all others have been pulled.
    """
    remote, report = Remote(url), Report()
    names = [name for name in remote.names("runs") if name.endswith(f"/{BUNDLE}")]
    bundles: dict[str, str] = {}
    for name in names:  # sorted: of two bundles of one key, the smaller digest is first
        place, _, digest = name.removesuffix(f"/{BUNDLE}").rpartition("/")
        if PLACE.fullmatch(f"{place.removeprefix('runs/')}/{digest}"):
            bundles.setdefault(place, digest)
    invalid: list[InvalidBundleError] = []
    for place, digest in bundles.items():
        record = store.read_json(home / place / "run.json")
        if record is not None:
            folder = store.RunFolder(path=home / place, key=record["key"])
            if folder.reason_to_run() is None:
                report.there += 1
                continue
        with _lock(home / place) as mine:
            if not mine or any(store.Status(a).is_alive() for a in (home / place).glob("attempt-*")):
                report.busy += 1
                continue
            try:
                report.bytes += _pull_run(remote, home, place, digest)
            except InvalidBundleError as error:
                invalid.append(error)
                continue
            report.moved += 1
    report.requests = remote.requests
    if invalid:
        others = f" (and {len(invalid) - 1} more such bundles)" if len(invalid) > 1 else ""
        raise InvalidBundleError(f"{invalid[0]}{others}; {report.moved} runs were pulled")
    return report


def _pull_run(remote: Remote, home: Path, place: str, digest: str) -> int:
    bundle = f"{place}/{digest}"
    files, split = _bundle(remote, bundle, digest)
    partial = home / "runs" / f".pull.{token()}.partial"
    try:
        for name, known in files.items():
            remote.get(f"{bundle}/{name}", partial / name, known["bytes"])
            if (partial / name).stat().st_size != known["bytes"] or _sha256(partial / name) != known[
                "sha256"
            ]:
                raise InvalidBundleError(
                    f"{remote.url}: {bundle}/{name} is not what its {BUNDLE} says; have it pushed again"
                )
        record = store.read_json(partial / "run.json") or {}
        _check_record(remote, bundle, record, split)
        _pull_split(remote, home, split)
        _install(partial, home / place, record)
    except OSError as error:
        raise store.disk_error(f"{home / place} cannot be written", error) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return sum(int(known["bytes"]) for known in files.values())


def _bundle(remote: Remote, bundle: str, digest: str) -> tuple[dict[str, Any], str]:
    """The files of a bundle and the hash of its split."""
    try:
        document = json.loads(remote.read(f"{bundle}/{BUNDLE}"))
        files, split = document["files"], document["split"]
        if document["format"] != FORMAT or sha256_json(files)[:16] != digest:
            raise ValueError("another format or digest")
        for known in files.values():
            n_bytes = known["bytes"]
            if not re.fullmatch(r"[0-9a-f]{64}", known["sha256"]) or type(n_bytes) is not int or n_bytes < 0:
                raise ValueError("a file without hash or size")
        wrong = [name for name in files if not FILE.fullmatch(name)]
        if wrong or "run.json" not in files or not re.fullmatch(r"[0-9a-f]{64}", split):
            raise ValueError(f"no file of a run: {wrong or 'run.json is missing'}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidBundleError(f"{remote.url}: {bundle}/{BUNDLE} is not one of ours ({error})") from None
    return files, split


def _check_record(remote: Remote, bundle: str, record: dict[str, Any], split: str) -> None:
    """The record's key is the hash of what it names, and the folder is the one of that key."""
    try:
        schemas.check(record, "run", f"{remote.url}/{bundle}/run.json")
    except ConfigurationError as error:
        raise InvalidBundleError(str(error)) from None
    folder = store.RunFolder.of(
        Path(), dataset=record["dataset"], split_sha256=split, method=record["method"], key=record["key"]
    )
    named = folder.path.as_posix() == bundle.rpartition("/")[0]
    if not named or sha256_json(record["keyed"]) != record["key"] or record["keyed"]["split"] != split:
        raise InvalidBundleError(f"{remote.url}: {bundle}/run.json is of another run than its place says")


def _pull_split(remote: Remote, home: Path, split: str) -> None:
    path = home / "splits" / f"{split}.json"
    if path.is_file():
        return
    try:
        document = json.loads(remote.read(f"splits/{split}.json"))
        if Split.from_json(document).sha256 != split:
            raise ValueError("another hash")
    except (ValueError, KeyError, TypeError) as error:
        raise InfrastructureError(f"{remote.url}: splits/{split}.json is not that split ({error})") from None
    store.write_json(path, document)


def _install(partial: Path, folder: Path, record: dict[str, Any]) -> None:
    """Move the files in as the run's next attempt, its record last."""
    taken = [int(path.name[8:]) for path in folder.glob("attempt-*") if path.name[8:].isdigit()]
    number = max(taken, default=0) + 1
    for path in sorted(partial.glob("scores/*")):  # details come before the scores they go with
        (folder / "scores").mkdir(exist_ok=True)
        path.replace(folder / "scores" / path.name)
    attempt = partial / f"attempt-{record['attempt']}"
    attempt.mkdir(exist_ok=True)
    attempt.chmod(0o711)
    attempt.rename(folder / f"attempt-{number}")
    store.write_json(folder / "run.json", {**record, "attempt": number})


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[bool]:
    """Try to take a run's lock, the one under which harnesses run it; False where another has it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("ab") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True
    except OSError as error:
        raise store.disk_error(f"{folder} cannot be written", error) from None


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
