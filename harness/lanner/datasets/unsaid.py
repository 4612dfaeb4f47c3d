"""What a file does not say of itself, for whoever can ask a person."""

from __future__ import annotations

from collections.abc import Sequence

from lanner.errors import ConfigurationError


class UnsaidError(ConfigurationError):
    """A field of ``proposal.Known`` that has to be given; ``choices`` are its possible values, if known."""

    def __init__(self, field: str, question: str, message: str, choices: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.field = field
        self.question = question
        self.choices = tuple(choices)
