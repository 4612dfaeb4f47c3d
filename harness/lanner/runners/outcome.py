"""Tell from the way a run ended whose fault it was: a pure function, the same for every runner.

One exit code never decides: 137 is a kill by the harness, by the kernel for memory, or by the program
itself; a killed child sets Docker's OOM flag although its parent went on and succeeded; a container that
never started has exit code 0.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from lanner.errors import ErrorClass
from lanner.records import printable

NOT_APPLICABLE_CODE = 99
LINE_LENGTH = 300
INIT_COULD_NOT_START = re.compile(r"ERROR \(catatonit:\d+\): failed to exec")
"""podman's init ends with code 1 where Docker's ends with 126 or 127."""


class Retry(StrEnum):
    """When a failed run is tried again."""

    NEXT_BUILD = "next build"  # of itself: the failure says nothing lasting about the method
    SCORING = "scoring"  # the prediction stands; only its scores are computed again
    ON_REQUEST = "on request"  # by `lanner retry`, or when the method, its limits or its input change


@dataclass(frozen=True)
class Policy:
    """What is said of a class of failures, always in the same words, and when such a run is tried again."""

    sentence: str
    retry: Retry


POLICIES: Mapping[ErrorClass, Policy] = {
    ErrorClass.PULL_ERROR: Policy("the image could not be pulled", Retry.NEXT_BUILD),
    ErrorClass.BUILD_ERROR: Policy("the image could not be built", Retry.NEXT_BUILD),
    ErrorClass.IMAGE_REFUSED: Policy("the image runs as root; let its USER be another", Retry.ON_REQUEST),
    ErrorClass.PLATFORM_ERROR: Policy(
        "the container platform failed; the method is not at fault", Retry.NEXT_BUILD
    ),
    ErrorClass.START_ERROR: Policy(
        "the method's command could not be started; check command in method.yaml", Retry.ON_REQUEST
    ),
    ErrorClass.OOM: Policy(
        "the method ran out of memory; give it more memory_mb or let it use less", Retry.ON_REQUEST
    ),
    ErrorClass.TIMEOUT: Policy("the method was stopped at its time limit", Retry.ON_REQUEST),
    ErrorClass.CANCELLED: Policy("the run was cancelled", Retry.NEXT_BUILD),
    ErrorClass.CRASH: Policy("the method crashed", Retry.ON_REQUEST),
    ErrorClass.METHOD_ERROR: Policy("the method failed", Retry.ON_REQUEST),
    ErrorClass.NOT_APPLICABLE: Policy("the method does not apply here", Retry.ON_REQUEST),
    ErrorClass.NO_OUTPUT: Policy("the method wrote no prediction.h5ad", Retry.ON_REQUEST),
    ErrorClass.INVALID_OUTPUT: Policy("the prediction breaks the contract", Retry.ON_REQUEST),
    ErrorClass.PARTIAL_OUTPUT: Policy("the prediction was not fully written", Retry.ON_REQUEST),
    ErrorClass.OUTPUT_TOO_LARGE: Policy(
        "the method wrote more than it may to its output folder", Retry.ON_REQUEST
    ),
    ErrorClass.DISK_FULL: Policy("the disk is full; the method is not at fault", Retry.NEXT_BUILD),
    ErrorClass.LOG_OVERFLOW: Policy("the method logged more than it may", Retry.ON_REQUEST),
    ErrorClass.METRIC_ERROR: Policy("scoring failed; the method is not at fault", Retry.SCORING),
    ErrorClass.LOST: Policy("the worker was lost; the method is not at fault", Retry.NEXT_BUILD),
}
"""One fixed sentence and one retry policy per class; ``store.RETRIED`` is its NEXT_BUILD part."""

SENTENCES: Mapping[ErrorClass, str] = {name: policy.sentence for name, policy in POLICIES.items()}


def published(record: Mapping[str, Any], *, hidden: bool) -> Mapping[str, Any]:
    """A run's record as others may see it.

    On a hidden split that is the class's fixed sentence: a method that prints its input, or names its
    failure after it, or ends with it as an exit code, would else publish it.
    """
    if not hidden or record.get("error_class") is None:
        return record
    return {**record, "message": SENTENCES[ErrorClass(record["error_class"])]}


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What a runner saw of a run's end. ``killed_for`` is the harness's own reason, set before it kills.

    ``killed_outside``: somebody else had the engine kill it. ``exit_code`` is 128 + n for signal n.
    ``engine_error`` is the engine's text when the start failed (``started`` is then False) or its complaint
    about a container that did. ``stderr_line`` is raw.
    """

    exit_code: int | None
    started: bool = True
    killed_for: ErrorClass | None = None
    killed_outside: bool = False
    oom_flag: bool = False
    output_too_large: bool = False
    disk_full: bool = False
    engine_error: str = ""
    stderr_line: str = ""


def classify(ending: Ending) -> tuple[ErrorClass | None, str]:
    """The error class, None for success, and one printable sentence."""
    error = _error_class(ending)
    line = printable(ending.stderr_line).strip()[:LINE_LENGTH]
    if error is None:
        note = "; a child process was killed for lack of memory on the way" if ending.oom_flag else ""
        return None, f"the method finished{note}"
    sentence = SENTENCES[error]
    if error is ErrorClass.NOT_APPLICABLE:
        return error, line or sentence
    if ending.killed_outside and error is ErrorClass.PLATFORM_ERROR:
        line = "the container was killed by somebody else"
    elif not ending.started or (error is ErrorClass.START_ERROR and ending.engine_error):
        line = printable(ending.engine_error).strip()[:LINE_LENGTH]
    elif error is ErrorClass.CRASH:
        sentence = f"{sentence} ({_signal(ending.exit_code or 0)})"
    elif error is ErrorClass.METHOD_ERROR:
        sentence = f"{sentence} with exit code {ending.exit_code}"
    elif error not in (ErrorClass.START_ERROR, ErrorClass.OOM):
        line = ""
    return error, f"{sentence}: {line}" if line else sentence


def _error_class(ending: Ending) -> ErrorClass | None:
    if ending.killed_for is not None:
        return ending.killed_for
    if not ending.started:
        return start_failure(ending.engine_error)
    if ending.output_too_large:
        return ErrorClass.OUTPUT_TOO_LARGE
    code = ending.exit_code
    if code == 0:
        return None
    if ending.oom_flag:
        return ErrorClass.OOM
    if ending.killed_outside:
        return ErrorClass.PLATFORM_ERROR
    if code == NOT_APPLICABLE_CODE:
        return ErrorClass.NOT_APPLICABLE
    if ending.disk_full:
        return ErrorClass.DISK_FULL
    if code in (126, 127) or INIT_COULD_NOT_START.match(ending.stderr_line):
        return ErrorClass.START_ERROR
    if ending.engine_error:
        return start_failure(ending.engine_error)
    if code is None or code > 128:
        return ErrorClass.CRASH
    return ErrorClass.METHOD_ERROR


def start_failure(text: str) -> ErrorClass:
    """Whose fault it is that a container never started, from the engine's text."""
    if re.search(r"no space left|disk quota", text, re.IGNORECASE):
        return ErrorClass.DISK_FULL
    if re.search(r"grpc|ttrpc|transport is closing|connection refused", text, re.IGNORECASE):
        return ErrorClass.PLATFORM_ERROR  # the engine's own parts do not reach each other
    if re.search(r"device driver|nvidia|gpu", text, re.IGNORECASE):
        return ErrorClass.PLATFORM_ERROR
    if re.search(r"rlimit|container-init|cgroup|mount", text, re.IGNORECASE):
        return ErrorClass.PLATFORM_ERROR  # before "permission denied", which these may end in
    if re.search(r"executable file .*not found|exec format|exec:|permission denied", text, re.IGNORECASE):
        return ErrorClass.START_ERROR
    return ErrorClass.PLATFORM_ERROR


def _signal(code: int) -> str:
    try:
        name = signal.Signals(code - 128).name
    except ValueError:
        return f"exit code {code}"
    return f"{name}, possibly for lack of memory" if name == "SIGKILL" else name


def last_line(log: Path) -> str:
    """The last non-empty line of a log file, from its last 64 KiB; empty where there is none."""
    try:
        with log.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - (64 << 10)))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
