"""Look at an untrusted HDF5 file's structure before a byte of its data is read.

HDF5 follows external links, external raw storage and virtual datasets silently, expands a 28 KB file to 4
GB and has no option that turns either off (HDFGroup/hdf5#6618). So the file is walked once, through the
low-level API that reports a link without following it, and refused unless every object is plain, whole and
of a plausible size.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from h5py import h5d, h5f, h5g, h5l, h5o, h5s, h5t, h5z

from lanner.errors import PredictionError
from lanner.records import printable

FILTERS = frozenset({h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32, h5z.FILTER_LZF})
TYPES = frozenset({h5t.INTEGER, h5t.FLOAT, h5t.STRING, h5t.ENUM})
ONLY_THESE = "write X, obs names, var names and optionally obs/answered, and nothing else"


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a well-behaved prediction never exceeds, in bytes and counts."""

    dataset_bytes: int
    only: str = ONLY_THESE
    size_advice: str = "write one row per requested profile or cell and one column per gene"
    chunk_bytes: int = 64 << 20
    objects: int = 2_000
    depth: int = 6
    name_bytes: int = 256


def shown(name: str | bytes, length: int = 60) -> str:
    """``name`` from an untrusted file, quoted, printable and short enough for one line of a message."""
    text = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else name
    safe = printable(text)
    return repr(safe if len(safe) <= length else f"{safe[: length - 1]}…")


def open_checked(path: os.PathLike[str] | str, bounds: Bounds) -> h5f.FileID:
    """Open the file and walk it once, reading no data; PredictionError before anything is followed."""
    file = h5f.open(os.fsencode(path), h5f.ACC_RDONLY)
    root = h5g.open(file, b"/")
    home = h5o.get_info(root)
    seen, stack, count = {home.addr}, [(root, "", 0)], 0
    while stack:
        group, parent, depth = stack.pop()
        count += group.get_num_objs()  # read from the header, before any name is listed
        if count > bounds.objects:
            raise PredictionError(
                "structure", f"the file has more than {bounds.objects} objects; {bounds.only}"
            )
        names: list[bytes] = []
        group.links.iterate(names.append)
        for name in names:
            here = f"{parent}/{shown(name)[1:-1]}"
            if len(name) > bounds.name_bytes:
                raise PredictionError("structure", f"{here} has a name of {len(name)} bytes; {bounds.only}")
            if group.links.get_info(name).type != h5l.TYPE_HARD:  # like lstat: does not follow
                raise PredictionError("link", f"{here} is a soft or external link; write the data itself")
            info = h5o.get_info(group, name)
            if info.fileno != home.fileno or info.rc != 1 or info.addr in seen:
                raise PredictionError("link", f"{here} is reachable by more than one path; write it once")
            seen.add(info.addr)
            if info.type == h5o.TYPE_GROUP:
                if depth == bounds.depth:
                    raise PredictionError("structure", f"{here} is nested too deeply; {bounds.only}")
                stack.append((h5g.open(group, name), here, depth + 1))
            elif info.type == h5o.TYPE_DATASET:
                _check_dataset(h5d.open(group, name), here, bounds)
            else:
                raise PredictionError("structure", f"{here} is neither group nor dataset; {bounds.only}")
    return file


def _check_dataset(dataset: h5d.DatasetID, here: str, bounds: Bounds) -> None:
    plist = dataset.get_create_plist()
    if plist.get_layout() == h5d.VIRTUAL or plist.get_external_count():
        raise PredictionError("link", f"{here} keeps its data in another file; write the data itself")
    filters = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
    if not FILTERS.issuperset(filters) or len(set(filters)) != len(filters):  # gzip thrice: 142,000-fold
        raise PredictionError("filter", f"{here} uses HDF5 filters {filters}; use none, gzip or lzf, once")
    dtype, space = dataset.get_type(), dataset.get_space()
    kind = dtype.get_class()
    if kind not in TYPES or space.get_simple_extent_type() == h5s.NULL:
        raise PredictionError("dtype", f"{here} is of a type a prediction never holds; {bounds.only}")
    variable = kind == h5t.STRING and dtype.is_variable_str()
    itemsize = 16 if variable else dtype.get_size()  # a variable-length string is a 16-byte reference
    if itemsize > 8 and kind != h5t.STRING:
        raise PredictionError("dtype", f"{here} has {itemsize}-byte numbers; use float32")
    _check_size(dataset, plist, here, itemsize, bounds)


def _check_size(
    dataset: h5d.DatasetID, plist: h5d.PropDCID, here: str, itemsize: int, bounds: Bounds
) -> None:
    shape = dataset.get_space().get_simple_extent_dims()
    declared = math.prod(shape) * itemsize
    if len(shape) > 2:
        raise PredictionError("shape", f"{here} has {len(shape)} dimensions; a matrix has two")
    if declared > bounds.dataset_bytes:
        raise PredictionError(
            "too-large",
            f"{here} declares {shape}, {declared:,} bytes; more than {bounds.dataset_bytes:,} make no sense; "
            f"{bounds.size_advice}",
        )
    if plist.get_layout() == h5d.CHUNKED:
        chunk = plist.get_chunk()
        if math.prod(chunk) * itemsize > bounds.chunk_bytes:
            raise PredictionError(
                "filter",
                f"{here} has chunks of shape {chunk}; keep chunks below {bounds.chunk_bytes >> 20} MiB",
            )
        expected = math.prod(-(-length // size) for length, size in zip(shape, chunk, strict=True))
        complete = dataset.get_num_chunks() == expected
    else:
        complete = dataset.get_storage_size() >= declared
    if not complete:
        raise PredictionError("incomplete", f"{here} was never fully written; close the file before exiting")
