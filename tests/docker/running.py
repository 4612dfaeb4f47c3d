"""The type of the ``run`` fixture."""

from __future__ import annotations

from collections.abc import Callable

from lanner.records import Outcome

Run = Callable[..., Outcome]
