"""Every error Lanner raises on purpose, and the exit code it ends with.

A message is one sentence: what, where, what was expected, what to do. A method's failure is never an
exception of the platform: runs record it as an ``ErrorClass`` and go on.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class ErrorClass(StrEnum):
    """Why a run did not succeed. Stable, machine-readable; ``runners.outcome`` has a sentence for each."""

    PULL_ERROR = "PULL_ERROR"
    BUILD_ERROR = "BUILD_ERROR"
    IMAGE_REFUSED = "IMAGE_REFUSED"
    PLATFORM_ERROR = "PLATFORM_ERROR"
    START_ERROR = "START_ERROR"
    OOM = "OOM"
    TIMEOUT = "TIMEOUT"
    CANCELLED = "CANCELLED"
    CRASH = "CRASH"
    METHOD_ERROR = "METHOD_ERROR"
    NOT_APPLICABLE = "NOT_APPLICABLE"
    NO_OUTPUT = "NO_OUTPUT"
    INVALID_OUTPUT = "INVALID_OUTPUT"
    PARTIAL_OUTPUT = "PARTIAL_OUTPUT"
    OUTPUT_TOO_LARGE = "OUTPUT_TOO_LARGE"
    DISK_FULL = "DISK_FULL"
    LOG_OVERFLOW = "LOG_OVERFLOW"
    METRIC_ERROR = "METRIC_ERROR"
    LOST = "LOST"

    @property
    def is_method_fault(self) -> bool:
        """Whether the method, and not the platform or the user, caused it."""
        return self not in PLATFORM_FAULTS and self is not ErrorClass.CANCELLED


PLATFORM_FAULTS = frozenset(
    {
        ErrorClass.PULL_ERROR,
        ErrorClass.PLATFORM_ERROR,
        ErrorClass.DISK_FULL,
        ErrorClass.METRIC_ERROR,
        ErrorClass.LOST,
    }
)


class LannerError(Exception):
    """Base of all errors shown to a person without a traceback."""

    exit_code: ClassVar[int] = 1


class ConfigurationError(LannerError):
    """A registry file, a name or an option is wrong. Nothing was run."""

    exit_code = 2


class ImageRefusedError(ConfigurationError):
    """A method's image asks for what no run is given; its author can correct it."""

    error_class: ClassVar[ErrorClass] = ErrorClass.IMAGE_REFUSED


class PredictionError(LannerError):
    """The method's output breaks the contract: the method's fault.

    ``code`` is stable and machine-readable (``names``, ``shape``, ``link`` ...); the message is for people.
    """

    exit_code = 3

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def error_class(self) -> ErrorClass:
        """The taxonomy's name for this breach."""
        return {
            "missing": ErrorClass.NO_OUTPUT,
            "too-large": ErrorClass.OUTPUT_TOO_LARGE,
            "incomplete": ErrorClass.PARTIAL_OUTPUT,
        }.get(self.code, ErrorClass.INVALID_OUTPUT)


class InfrastructureError(LannerError):
    """The daemon, the disk or the network failed: nobody's score."""

    exit_code = 4

    def __init__(self, message: str, error_class: ErrorClass = ErrorClass.PLATFORM_ERROR) -> None:
        super().__init__(message)
        self.error_class = error_class


class ImageBuildError(LannerError):
    """A method's image cannot be built; ``log_tail`` holds the last lines of the build."""

    exit_code = 1

    def __init__(self, message: str, log_tail: str = "") -> None:
        super().__init__(message)
        self.log_tail = log_tail
