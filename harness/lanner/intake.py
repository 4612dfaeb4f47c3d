"""Take one file out of a folder an untrusted container wrote to, and remove the rest."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import BinaryIO

from lanner.errors import ErrorClass, InfrastructureError, PredictionError

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def take_file(directory: Path, name: str, destination: Path, *, max_bytes: int) -> str:
    """Copy ``directory/name`` to ``destination`` (mode 0444, on disk) and return its SHA-256.

    Call it only after the container has exited. Links are never followed, special files never opened for
    data, and the copy stops at ``max_bytes`` whatever the file's size claims. Raises PredictionError
    ``missing``, ``not-a-file``, ``too-large`` or ``not-hdf5``; InfrastructureError when this side's disk is
    full.
    """
    with _open_nothing_followed(directory, name) as stream:
        status = os.fstat(stream.fileno())
        if status.st_nlink != 1:
            raise PredictionError(
                "not-a-file", f"{name} has {status.st_nlink} hard links; write a file of its own"
            )
        if status.st_size > max_bytes:
            raise PredictionError(
                "too-large", f"{name} has {status.st_size:,} bytes; the limit is {max_bytes:,}"
            )
        if stream.read(8) != HDF5_SIGNATURE:
            raise PredictionError(
                "not-hdf5", f"{name} is not an HDF5 file; write it with anndata or an HDF5 library"
            )
        stream.seek(0)
        try:
            return _copy(stream, destination, name, max_bytes)
        except OSError as error:
            destination.unlink(missing_ok=True)
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise InfrastructureError(
                f"{name} cannot be copied to {destination}: {error.strerror}; free some space",
                ErrorClass.DISK_FULL if full else ErrorClass.PLATFORM_ERROR,
            ) from None
        except PredictionError:
            destination.unlink(missing_ok=True)
            raise


def collect(directory: Path, name: str, destination: Path, *, max_bytes: int) -> str:
    """``take_file``, then remove ``directory`` with everything else in it, whatever the file was."""
    try:
        return take_file(directory, name, destination, max_bytes=max_bytes)
    finally:
        remove_folder(directory)


def remove_folder(folder: Path) -> None:
    """Remove ``folder`` and all it holds, following no link, with a handful of open files at any depth.

    ``shutil.rmtree`` recurses and a path of a deep tree exceeds PATH_MAX, so subfolders are first moved up
    into ``folder`` itself: the tree gets flat before it gets empty. Raises InfrastructureError when
    something stays.
    """
    try:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            folder.unlink()
            return
        folder.chmod(0o700)
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _flatten(root)
        finally:
            os.close(root)
        folder.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        raise InfrastructureError(
            f"{folder} cannot be removed: {error.strerror}; remove it by hand, as root if need be"
        ) from None


def _flatten(root: int) -> None:
    counter = 0
    while names := os.listdir(root):
        for name in names:
            if not stat.S_ISDIR(os.lstat(name, dir_fd=root).st_mode):
                os.unlink(name, dir_fd=root)
                continue
            os.chmod(name, 0o700, dir_fd=root)  # a directory, just seen; nothing else runs here any more
            folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=root)
            try:
                for child in os.listdir(folder):  # noqa: PTH208  a descriptor, not a path
                    if not stat.S_ISDIR(os.lstat(child, dir_fd=folder).st_mode):
                        os.unlink(child, dir_fd=folder)
                        continue
                    os.chmod(child, 0o700, dir_fd=folder)  # moving a folder rewrites its ".."
                    while _exists(f"up-{counter}", root):
                        counter += 1
                    os.rename(child, f"up-{counter}", src_dir_fd=folder, dst_dir_fd=root)
            finally:
                os.close(folder)
            os.rmdir(name, dir_fd=root)


def _exists(name: str, folder: int) -> bool:
    try:
        os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True


def _open_nothing_followed(directory: Path, name: str) -> BinaryIO:
    try:
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            # O_NONBLOCK: opening a FIFO returns at once. O_NOFOLLOW: a symlink is ELOOP.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            source = os.open(name, flags, dir_fd=folder)
        finally:
            os.close(folder)
    except FileNotFoundError:
        raise PredictionError("missing", f"the method wrote no {name}; write it to LANNER_OUTPUT") from None
    except OSError as error:
        raise PredictionError(
            "not-a-file", f"{name} cannot be opened ({error.strerror}); write a regular file"
        ) from None
    mode = os.fstat(source).st_mode
    if not stat.S_ISREG(mode):
        os.close(source)
        raise PredictionError("not-a-file", f"{name} is {_kind(mode)}; write a regular file")
    return os.fdopen(source, "rb")


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a FIFO"), (stat.S_ISSOCK, "a socket"))
    return next((text for test, text in kinds if test(mode)), f"a special file ({stat.filemode(mode)})")


def _copy(stream: BinaryIO, destination: Path, name: str, max_bytes: int) -> str:
    digest, copied = hashlib.sha256(), 0
    descriptor = os.open(destination, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as copy:
        while block := stream.read(1 << 20):
            copied += len(block)
            if copied > max_bytes:
                raise PredictionError(
                    "too-large", f"{name} grew beyond {max_bytes:,} bytes while it was read"
                )
            digest.update(block)
            copy.write(block)
        copy.flush()
        os.fchmod(copy.fileno(), 0o444)
        os.fsync(copy.fileno())
    return digest.hexdigest()
