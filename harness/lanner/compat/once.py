"""Compute once what several metrics of a peer share: significance calls, rankings, references."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import wraps
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")

__all__ = ["once"]


def once(function: Callable[[K], V]) -> Callable[[K], V]:
    """Remember the answer of a function of one pair (or side) for as long as that object lives.

    Objects are told apart by identity: a pair of files need not be hashable. Nobody may write to the answer.
    """
    answers: dict[int, tuple[weakref.ref[K], V]] = {}

    @wraps(function)
    def answer(of: K) -> V:
        key = id(of)
        if key not in answers or answers[key][0]() is not of:
            answers[key] = weakref.ref(of, lambda _: answers.pop(key, None)), function(of)
        return answers[key][1]

    return answer
