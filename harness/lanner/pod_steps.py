"""What the harness does inside a pod: stage the method's input before it, check its output after it.

The steps share nothing with the method but two folders, each of which only one of them can write. They write
facts (``outcome.json``), never the run's record: that is the engine's, which also knows how the method's
container ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lanner import pipeline
from lanner.config import Settings
from lanner.errors import ErrorClass, LannerError
from lanner.records import Limits, State
from lanner.runners.outcome import SENTENCES
from lanner.runners.watch import is_too_large
from lanner.store import Status, read_json, write_json

INPUT = "input"
"""The folder that ``stage`` makes below the one it is given."""
OUTCOME = "outcome.json"
CLAIMED_CODE = 75
"""Exit code of a ``stage`` that came second: a Job may start its pod twice."""


def stage(attempt: Path, spec: Mapping[str, Any], settings: Settings, folder: Path) -> int:
    """Claim the attempt, write its input to ``folder/input``; exit code 0 where the method may start."""
    status = Status(attempt)
    if not status.claim():
        return CLAIMED_CODE

    def work() -> dict[str, Any] | None:
        if status.is_cancel_requested:  # while its pod waited for a node
            return pipeline.cancelled()
        status.set(State.PREPARING)
        staged = pipeline.shared_input(spec, settings)
        pipeline.write_input(staged, spec, settings, folder / INPUT, link=False)
        status.set(State.RUNNING)
        return None

    return 1 if _outcome(attempt, work) else 0


def check(attempt: Path, spec: Mapping[str, Any], settings: Settings, output_dir: Path) -> int:
    """Take and check the prediction that the method left in ``output_dir``; exit code 0 whatever it is.

    Too many files are refused here, once the method has ended: no kubelet bounds their number before.
    """

    def work() -> dict[str, Any]:
        Status(attempt).set(State.VALIDATING)
        if is_too_large(output_dir, Limits(**spec["keyed"]["limits"])):
            kind = ErrorClass.OUTPUT_TOO_LARGE
            return pipeline.ended(State.FAILED, kind, SENTENCES[kind])
        return pipeline.validated(attempt, spec, output_dir, pipeline.shared_input(spec, settings))

    _outcome(attempt, work)
    return 0


def outcome(attempt: Path) -> dict[str, Any] | None:
    """What the steps said of an attempt; None where they came to no end."""
    found: dict[str, Any] | None = read_json(attempt / OUTCOME)
    return found


def _outcome(attempt: Path, work: Callable[[], dict[str, Any] | None]) -> bool:
    """Do it, and write what came of it, if anything did; a bug of ours must end the attempt as well."""
    try:
        record = work()
    except LannerError as error:
        kind = getattr(error, "error_class", ErrorClass.PLATFORM_ERROR)
        record = pipeline.ended(State.FAILED, kind, str(error))
    except Exception as error:
        record = pipeline.ended(State.FAILED, ErrorClass.PLATFORM_ERROR, f"{type(error).__name__}: {error}")
    if record is not None:
        write_json(attempt / OUTCOME, record)
    return record is not None
