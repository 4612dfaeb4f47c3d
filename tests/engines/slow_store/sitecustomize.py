"""On PYTHONPATH, makes LANNER_HOME answer as a busy file server does: each change of a file takes a while."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

SECONDS = 0.1
CHANGES = ("open", "mkdir", "replace", "rename", "unlink", "rmdir", "utime", "chmod")

_home = os.environ.get("LANNER_HOME", "/nowhere")


def _slow(name: str, change: Callable[..., Any]) -> Callable[..., Any]:
    def changed(path: Any, *arguments: Any, **options: Any) -> Any:
        if isinstance(path, str | os.PathLike) and os.fspath(path).startswith(_home):
            time.sleep(SECONDS)
        return change(path, *arguments, **options)

    changed.__name__ = name
    return changed


for _name in CHANGES:
    setattr(os, _name, _slow(_name, getattr(os, _name)))
_fsync = os.fsync


def _slow_fsync(descriptor: int) -> None:
    time.sleep(SECONDS)
    _fsync(descriptor)


os.fsync = _slow_fsync
