"""Ctrl-C, remembered: a library may swallow it.

Some catch a KeyboardInterrupt that comes while they are imported, or in a callback from C, and go on. Whoever
starts long work asks here first whether somebody has meanwhile asked for an end.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

_asked = threading.Event()


def listen() -> None:
    """Remember interrupts from now on, and raise them as before. Where they are ignored, they stay so."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def check() -> None:
    """Raise KeyboardInterrupt where one was asked for, also when it has been raised before."""
    if _asked.is_set():
        raise KeyboardInterrupt


def _interrupt(number: int, frame: FrameType | None) -> None:
    _asked.set()
    raise KeyboardInterrupt
