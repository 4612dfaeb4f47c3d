"""Which device computes: ``auto``, ``cpu``, ``cuda`` or ``cuda:<n>``."""

from __future__ import annotations

import re

from lanner.errors import ConfigurationError

DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


def chosen_device(name: str) -> str:
    """A torch device for ``name``; ``auto`` is the first GPU where torch can use one, else the CPU.

    Raises
    ------
    ConfigurationError
        The name is none of these, or torch has no such GPU.
    """
    if not DEVICE.fullmatch(name):
        raise ConfigurationError(f"no device is called {name!r}; give auto, cpu, cuda or cuda:<number>")
    if name == "cpu":
        return name
    import torch

    n = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return "cuda" if n else "cpu"
    number = int(name.partition(":")[2] or 0)
    if number >= n:
        found = f"only {n}" if n else "no GPU"
        raise ConfigurationError(f"torch has no device {name}: it finds {found} here; use cpu or auto")
    return name
