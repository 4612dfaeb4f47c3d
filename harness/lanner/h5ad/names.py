"""Read the names of an untrusted file a few at a time, and say how they differ from the requested ones."""

from __future__ import annotations

from collections.abc import Sequence

import h5py

from lanner.errors import PredictionError
from lanner.h5ad.structure import Bounds, shown

WHAT = {
    "obs": (
        "row",
        "the request_id column of requests.csv (profiles) or request_id/0, request_id/1 … (cells)",
    ),
    "var": ("gene", "the var names of train.h5ad"),
}


def check_names(dataset: h5py.Dataset, expected: Sequence[str], axis: str, bounds: Bounds) -> None:
    """Raise PredictionError unless the index ``dataset`` of ``axis`` holds exactly ``expected``, in order."""
    what, source = WHAT[axis]
    path = f"/{axis}/_index"
    if h5py.check_string_dtype(dataset.dtype) is None or len(dataset.shape) != 1:
        raise PredictionError(
            "names",
            f"{path} is {shown(str(dataset.dtype))} of shape {dataset.shape}; write a vector of strings",
        )
    length: int = dataset.shape[0]
    if length > 2 * len(expected) + 1000:  # too many to read for a hint
        raise PredictionError("shape", f"{path} has {length:,} names; expected {len(expected):,}, {source}")
    found = _read(dataset, path, bounds)
    if found == list(expected):
        return
    hint = _hint(found, expected, what)
    if length != len(expected):
        raise PredictionError("shape", f"{path} has {length:,} names; expected {len(expected):,}: {hint}")
    position = next(i for i, pair in enumerate(zip(found, expected, strict=True)) if pair[0] != pair[1])
    raise PredictionError(
        "names",
        f"{path}[{position}] is {shown(found[position])}; expected {shown(expected[position])}: {hint}; "
        f"use {source}, in that order",
    )


def _read(dataset: h5py.Dataset, path: str, bounds: Bounds) -> list[str]:
    # Variable-length strings may all refer to one large object: few at a time bounds what one read allocates.
    step = 64 if h5py.check_string_dtype(dataset.dtype).length is None else 4096
    names: list[str] = []
    for start in range(0, dataset.shape[0], step):
        for value in dataset[start : start + step]:
            if len(value) > bounds.name_bytes:
                raise PredictionError("names", f"{path} has a name of {len(value):,} bytes; names are short")
            try:
                names.append(value.decode("utf-8"))
            except UnicodeDecodeError:
                raise PredictionError("names", f"{path}[{len(names)}] is not UTF-8: {shown(value)}") from None
    return names


def _hint(found: Sequence[str], expected: Sequence[str], what: str) -> str:
    """The most common cause of the difference, in words."""
    have, want = set(found), set(expected)
    if have == want and len(found) == len(expected):
        return f"the same {what} names in another order"
    missing = [name for name in expected if name not in have]
    unknown = [name for name in found if name not in want]
    parts = []
    if missing:
        parts.append(f"{len(missing):,} {what} name(s) missing, such as {shown(missing[0])}")
    if unknown:
        parts.append(f"{len(unknown):,} that nobody asked for, such as {shown(unknown[0])}")
    if len(have) < len(found):
        parts.append(f"{len(found) - len(have):,} given more than once")
    return ", ".join(parts) or f"the {what} names differ"
