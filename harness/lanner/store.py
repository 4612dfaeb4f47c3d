"""The runs folder: where records live, how they are written (whole or not at all), claimed and read back.

``runs/<dataset>/<split8>/<method>/<key8>/run.json`` is the terminal record of a run; ``attempt-<n>/`` holds
``spec.json, status.json, resources.json, stdout.log, stderr.log, prediction.h5ad`` of each try.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lanner.errors import ConfigurationError, ErrorClass, InfrastructureError
from lanner.owner import is_running, this_process, token
from lanner.records import State, indented_json

LEASE_SECONDS = 60.0
"""How long an attempt of another host, boot or pid namespace may go without a heartbeat before it counts as
lost."""

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)

RETRIED = frozenset(
    {
        ErrorClass.PULL_ERROR,
        ErrorClass.BUILD_ERROR,
        ErrorClass.PLATFORM_ERROR,
        ErrorClass.DISK_FULL,
        ErrorClass.LOST,
        ErrorClass.CANCELLED,
    }
)
"""Failures that say nothing lasting about the method: the next build tries again."""


def disk_error(what: str, error: OSError) -> InfrastructureError:
    """The error to raise where ``what`` ("X cannot be written") failed; a full disk is told apart."""
    # HDF5 and numpy raise bare OSErrors: what they say must do where the system gave no number.
    kind = ErrorClass.DISK_FULL if error.errno in DISK_FULL else ErrorClass.PLATFORM_ERROR
    reason = error.strerror or " ".join(str(error).split())
    return InfrastructureError(f"{what}: {reason}; free disk space or set LANNER_HOME elsewhere", kind)


def write_bytes(path: Path, data: bytes, mode: int = 0o644, *, durable: bool = True) -> None:
    """Write a file atomically: temporary name, fsync, rename. Raises InfrastructureError (disk full ...).

    With ``durable=False`` the disk is not waited for: for what can be made again from durable files, and is
    compared with what it should be before it is trusted.
    """
    partial = path.with_name(f".{path.name}.{token()}.{secrets.token_hex(4)}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("xb") as stream:
            stream.write(data)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        partial.chmod(mode)
        partial.replace(path)
    except OSError as error:
        raise disk_error(f"{path} cannot be written", error) from None
    finally:
        with contextlib.suppress(OSError):  # renamed, or never made
            partial.unlink()


def write_json(path: Path, document: Any) -> None:
    """Write a JSON document atomically: indented, keys in the order given, no NaN."""
    write_bytes(path, (indented_json(document) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read a JSON document this harness wrote; None where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InfrastructureError(f"{path} cannot be read ({error}); remove it and build again") from None


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """One run's folder; ``key`` is the full sha256, of which the folder's name holds eight characters."""

    path: Path
    key: str

    @classmethod
    def of(cls, home: Path, *, dataset: str, split_sha256: str, method: str, key: str) -> RunFolder:
        """The folder of a run, existing or not."""
        return cls(path=home / "runs" / dataset / split_sha256[:8] / method / key[:8], key=key)

    def record(self) -> dict[str, Any] | None:
        """run.json, or None; a folder whose eight characters belong to another key is an error."""
        record: dict[str, Any] | None = read_json(self.path / "run.json")
        if record is not None and record["key"] != self.key:
            raise InfrastructureError(
                f"{self.path} holds the run {record['key']}, not {self.key}; move that folder away"
            )
        return record

    def attempts(self) -> list[Path]:
        """Attempt folders in order."""
        found = [path for path in self.path.glob("attempt-*") if path.name[8:].isdigit()]
        return sorted(found, key=lambda path: int(path.name[8:]))

    def new_attempt(self, spec: Mapping[str, Any]) -> Path:
        """Make the next attempt's folder with its spec.json; safe against another harness doing the same."""
        while True:
            attempts = self.attempts()
            number = int(attempts[-1].name[8:]) + 1 if attempts else 1
            folder = self.path / f"attempt-{number}"
            try:
                folder.mkdir(parents=True, mode=0o711)
            except FileExistsError:
                continue
            except OSError as error:
                raise disk_error(f"{folder} cannot be made", error) from None
            folder.chmod(0o711)
            write_json(folder / "spec.json", {**spec, "attempt": number})
            return folder

    def reason_to_run(self) -> str | None:
        """Why the run is not cached, or None where its record stands."""
        record = self.record()
        if record is None:
            return "never run" if not self.attempts() else "interrupted before it ended"
        if record["error_class"] in RETRIED:
            return f"last attempt failed with {record['error_class']}"
        if record["state"] == State.SUCCEEDED and self.prediction() is None:
            return "its prediction.h5ad is gone"
        return None

    def forget(self) -> None:
        """Set the record aside, so that the run is done again; the attempt keeps it as its own."""
        record = self.record()
        if record is not None:
            (self.path / "run.json").rename(self.path / f"attempt-{record['attempt']}" / "run.json")

    def prediction(self) -> Path | None:
        """The prediction of the recorded attempt, if it is there."""
        record = self.record()
        if record is None:
            return None
        path = self.path / f"attempt-{record['attempt']}" / "prediction.h5ad"
        return path if path.is_file() else None


def find_runs(home: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every recorded run below ``home``, as ``(folder, run.json)``, sorted by path."""
    for path in sorted((home / "runs").glob("*/*/*/*/run.json")):
        record = read_json(path)
        if record is not None:
            yield path.parent, record


def find_run(home: Path, name: str) -> tuple[Path, dict[str, Any]]:
    """The run whose key starts with ``name``, or whose folder it is; raises ConfigurationError."""
    folder = Path(name)
    if (folder / "run.json").is_file():
        return folder, read_json(folder / "run.json")
    matches = [(path, record) for path, record in find_runs(home) if record["key"].startswith(name)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        keys = ", ".join(record["key"][:12] for _, record in matches[:5])
        raise ConfigurationError(f"{len(matches)} runs start with {name!r} ({keys}); give more characters")
    raise ConfigurationError(f"no run starts with {name!r} in {home / 'runs'}; `lanner status` lists them")


def hide(home: Path, split_sha256: str) -> None:
    """Remember that a split's data are nobody's but the maintainer's; ``is_hidden`` tells."""
    path = home / "splits" / f"{split_sha256}.hidden"
    if not path.is_file():
        write_bytes(path, b"")


def is_hidden(home: Path, split_sha256: str) -> bool:
    """Whether a leaderboard of this LANNER_HOME calls the split hidden."""
    return (home / "splits" / f"{split_sha256}.hidden").is_file()


class Status:
    """An attempt's status.json: claimed once with O_EXCL, then rewritten atomically at each transition."""

    def __init__(self, attempt: Path) -> None:
        self.path = attempt / "status.json"

    def claim(self) -> bool:
        """Take the attempt; False where somebody else already has."""
        try:
            handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return False
        except OSError as error:
            raise disk_error(f"{self.path} cannot be made", error) from None
        os.close(handle)
        self.set(State.QUEUED)
        return True

    def set(self, state: State, **fields: Any) -> None:
        """Record a transition with its time and this process."""
        write_json(
            self.path,
            {"format": "lanner-status/1", "state": state, "since": time.time(), **this_process(), **fields},
        )

    def read(self) -> dict[str, Any] | None:
        """The status; None where nobody has claimed the attempt, or the claimer died in that instant."""
        if not self.path.is_file() or self.path.stat().st_size == 0:
            return None
        status: dict[str, Any] = read_json(self.path)
        return status

    def beat(self) -> None:
        """Refresh the lease: the file's modification time is the heartbeat."""
        os.utime(self.path)

    def request_cancel(self) -> None:
        """Ask whoever works on this attempt, on whatever host, to stop at its next heartbeat."""
        (self.path.parent / "cancel").touch()

    @property
    def is_cancel_requested(self) -> bool:
        """Whether somebody asked."""
        return (self.path.parent / "cancel").exists()

    @property
    def is_over(self) -> bool:
        """Whether the attempt has a terminal status, whoever wrote it."""
        status = self.read()
        return status is not None and State(status["state"]).is_terminal

    def is_alive(self) -> bool:
        """Whether some process is still working on this attempt.

        Of another host's or pid namespace's, the last heartbeat decides, by the clock of the disk it was
        written to; who is about to take the attempt over asks a ``Watch`` instead.
        """
        known = self._known()
        if known is not None:
            return known
        try:
            return abs(_disk_time(self.path.parent) - self.path.stat().st_mtime) < LEASE_SECONDS
        except OSError:
            return False

    def _known(self) -> bool | None:
        """True or False where the status and this machine tell; None where only heartbeats do."""
        status = self.read()
        if status is None:  # an empty one was claimed this instant: who by comes next
            return None if self.path.is_file() else False
        return False if State(status["state"]).is_terminal else is_running(status)


class Watch:
    """Waits for the end of an attempt that another process, maybe on another host, has claimed.

    A heartbeat counts by having changed while this process looked, for as long as this process's own
    monotonic ``clock`` says: no clock of the other host, of the disk, or set anew meanwhile, matters.
    """

    def __init__(self, status: Status, clock: Callable[[], float] = time.monotonic) -> None:
        self._status, self._clock = status, clock
        self._beat: int | None = None
        self._seen = clock()

    def is_alive(self) -> bool:
        """Whether somebody still works on it; of another host's or pid namespace's, False LEASE_SECONDS after
        the last beat."""
        known = self._status._known()
        if known is not None:
            return known
        try:
            beat = self._status.path.stat().st_mtime_ns
        except OSError:
            return False
        if beat != self._beat:
            self._beat, self._seen = beat, self._clock()
        return self._clock() - self._seen < LEASE_SECONDS


def is_held(run: Path) -> bool:
    """Whether a harness holds the run's lock: it is at it, or waits for an engine to begin."""
    try:
        handle = os.open(run / ".lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def look_afresh(folder: Path) -> None:
    """Have a network file system forget what it remembers of a folder: what was, or was not, in it.

    NFS clients keep for up to a minute that a file is missing; who makes a file there is told of all changes
    (nfs(5), "Directory entry caching").
    """
    _disk_time(folder)


def _disk_time(folder: Path) -> float:
    """What time it is for the disk ``folder`` is on: a file server has a clock of its own."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            return os.fstat(probe.fileno()).st_mtime
    except OSError:
        return time.time()
