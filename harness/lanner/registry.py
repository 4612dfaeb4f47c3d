"""Names for the things a benchmark is made of."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from types import ModuleType
from typing import Generic, TypeVar

from lanner.errors import ConfigurationError

T = TypeVar("T")
NAME = re.compile(r"[a-z][a-z0-9]*([-_./@][a-z0-9]+)*")


def unknown_name(kind: str, name: str, known: Iterable[str]) -> ConfigurationError:
    """The error for a name nobody registered: it suggests the nearest one, or lists what there is."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names) or 'none'}"
    return ConfigurationError(f"no {kind} named {name!r}; {hint}")


class Registry(Generic[T]):
    """Map names to objects of one kind. A name is taken once and never changes hands."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._items: dict[str, T] = {}

    def add(self, name: str, item: T) -> T:
        """Register ``item``; raises ConfigurationError for a malformed name or one already taken."""
        if not NAME.fullmatch(name):
            raise ConfigurationError(f"{self.kind} name {name!r} must match {NAME.pattern}")
        if name in self._items:
            raise ConfigurationError(f"{self.kind} {name!r} is registered twice")
        self._items[name] = item
        return item

    def __getitem__(self, name: str) -> T:
        try:
            return self._items[name]
        except KeyError:
            raise unknown_name(self.kind, name, self._items) from None

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._items))

    def __len__(self) -> int:
        return len(self._items)


def import_all(package: ModuleType) -> None:
    """Import every module of a package, so that each can register what it defines."""
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
