"""Where a run without a daemon keeps what it writes beside its output."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lanner.errors import InfrastructureError
from lanner.intake import remove_folder
from lanner.owner import token


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder on disk for one run, removed after it however hostile what the method left there is.

    What cannot be removed stays: ``reaping`` tries again. ``TemporaryDirectory`` would recurse into a deep
    tree, and change modes through links.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"lanner-process.{token()}."))
    try:
        yield folder
    finally:
        with suppress(InfrastructureError):
            remove_folder(folder)
