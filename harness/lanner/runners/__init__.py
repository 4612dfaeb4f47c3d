"""Runners: what starts a method on a staged input and says how it ended.

One file of this package per runner, registered under the name that leaderboards and ``--runner`` use.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from lanner.methods import Method
from lanner.records import Limits, Outcome
from lanner.registry import Registry, import_all

__all__ = ["RUNNERS", "Runner"]


class Runner(Protocol):
    """Starts methods. ``kind`` is part of a run's key: what one kind ran is never reused as another's."""

    kind: str

    def prepare(self, method: Method) -> Mapping[str, Any]:
        """Make sure the method can start here, building or pulling its image; return provenance.

        Raises ImageBuildError when the Dockerfile fails, ImageRefusedError when its image runs as root,
        InfrastructureError when the platform fails.
        """
        ...

    def run(
        self,
        method: Method,
        *,
        input_dir: Path,
        output_dir: Path,
        log_dir: Path,
        environment: Mapping[str, str],
        limits: Limits,
        labels: Mapping[str, str],
    ) -> Outcome:
        """Run the method once, to its end or its limits, leaving nothing behind but files.

        ``environment`` holds the contract's LANNER_* variables; the runner sets paths, HOME, caches and
        threads. Writes ``log_dir/stdout.log`` and ``stderr.log``, bounded. A method's failure is an
        Outcome, never an exception; InfrastructureError when the platform itself fails.
        """
        ...


RUNNERS: Registry[Callable[..., Runner]] = Registry("runner")
"""Factories by name; each takes the keyword arguments its class documents."""

import_all(sys.modules[__name__])
