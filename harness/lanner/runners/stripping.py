"""Take from an unpacked image what would be a privilege on the host, outside any sandbox.

An image is hostile, and where the harness is root its files are unpacked as root's: a setuid program, a
file with capabilities or a device node would then serve whoever can reach it here.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

CAPABILITIES = "security.capability"
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
PRIVILEGES = stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH


def strip(folder: Path) -> None:
    """Below ``folder``: no setuid or setgid bit, no file capability, nothing others may write, no device.

    Nobody else may be at work there. Follows no link; one open folder at any depth, and no path of a deep
    tree, which could exceed PATH_MAX. Raises OSError where something would stay.
    """
    folder.chmod(stat.S_IMODE(folder.lstat().st_mode) & ~PRIVILEGES)
    here = os.open(folder, FOLDER)
    try:
        waiting = [_strip_files(here)]
        while True:
            deeper = bool(waiting[-1])
            if not deeper and len(waiting) == 1:
                return
            following = os.open(waiting[-1].pop() if deeper else "..", FOLDER, dir_fd=here)
            os.close(here)
            here = following
            if deeper:
                waiting.append(_strip_files(here))
            else:
                waiting.pop()
    finally:
        os.close(here)


def _strip_files(folder: int) -> list[str]:
    """Of one open folder; returns its subfolders, stripped themselves and open to their owner."""
    subfolders = []
    for name in os.listdir(folder):
        mode = os.lstat(name, dir_fd=folder).st_mode
        if stat.S_ISLNK(mode):
            continue
        if stat.S_ISBLK(mode) or stat.S_ISCHR(mode):
            os.unlink(name, dir_fd=folder)
            continue
        wanted = stat.S_IMODE(mode) & ~PRIVILEGES
        if stat.S_ISDIR(mode):
            subfolders.append(name)
            wanted |= stat.S_IRWXU
        if wanted != stat.S_IMODE(mode):
            os.chmod(name, wanted, dir_fd=folder)  # no link, just seen; nothing else runs here
        if stat.S_ISREG(mode):
            _take_capabilities(f"/proc/self/fd/{folder}/{name}")
    return subfolders


def _take_capabilities(path: str) -> None:
    try:
        if CAPABILITIES in os.listxattr(path, follow_symlinks=False):
            os.removexattr(path, CAPABILITIES, follow_symlinks=False)
    except OSError as error:
        if error.errno != errno.ENOTSUP:  # a file system that has none
            raise
