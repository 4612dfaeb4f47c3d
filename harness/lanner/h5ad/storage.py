"""Check how an untrusted dataset is stored, where HDF5 itself does not, before it is read.

HDF5 2.0 reads past the end of a chunk that inflates to fewer bytes than it should, crashes on a
checksummed chunk of no bytes, and loops for ever over a global heap whose free space has no size. Fuzzing
found all three (tests/hostile/fuzz.py).
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import h5py
import numpy as np
from h5py import h5d, h5z

from lanner.errors import PredictionError

PIECE_BYTES = 1 << 20
COMPRESSORS = (h5z.FILTER_DEFLATE, h5z.FILTER_LZF)
CHECKSUM_BYTES = 4
HEAP = struct.Struct("<4sB3xQ")
HEAP_OBJECT = struct.Struct("<HH4xQ")
REFERENCE = np.dtype([("length", "<u4"), ("address", "<u8"), ("index", "<u4")])


def check_storage(dataset: h5py.Dataset, path: os.PathLike[str] | str) -> None:
    """PredictionError unless every chunk is as long as it should be, and every string's heap is sound.

    ``path`` is of the file, whose structure has been checked. A compressed chunk is inflated once, a piece
    at a time; nothing is kept.
    """
    where = str(dataset.name)
    text = h5py.check_string_dtype(dataset.dtype)
    variable = text is not None and text.length is None
    if dataset.chunks is not None:
        _check_chunks(dataset.id, REFERENCE.itemsize if variable else dataset.dtype.itemsize, where)
    if variable:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123  Path.open has no unbuffered form in 3.11
            _check_heaps(dataset.id, file, where)


def _check_chunks(dataset: h5d.DatasetID, itemsize: int, where: str) -> None:
    """PredictionError unless each chunk of ``dataset`` unpacks to exactly a chunk's bytes."""
    chunk = math.prod(dataset.get_create_plist().get_chunk()) * itemsize
    filters = _filters(dataset)
    if sum(code in COMPRESSORS for code, _ in filters) > 1 or any(
        code == h5z.FILTER_LZF and values[2:3] != (chunk,) for code, values in filters
    ):
        raise PredictionError("filter", f"{where} is compressed as no library does it; use gzip or nothing")
    for info in _chunks(dataset):
        if not _unpacks_to(chunk, dataset, info, filters):
            raise PredictionError(
                "incomplete", f"{where} has a damaged chunk at {info.chunk_offset}; write the file anew"
            )


def _filters(dataset: h5d.DatasetID) -> list[tuple[int, tuple[int, ...]]]:
    """Code and parameters of each filter, in the order of writing."""
    plist = dataset.get_create_plist()
    return [(one[0], one[2]) for one in (plist.get_filter(i) for i in range(plist.get_nfilters()))]


def _chunks(dataset: h5d.DatasetID) -> list[Any]:
    found: list[Any] = []
    dataset.chunk_iter(found.append)
    return found


def _unpacks_to(
    chunk: int, dataset: h5d.DatasetID, info: Any, filters: list[tuple[int, tuple[int, ...]]]
) -> bool:
    """Whether one stored chunk becomes ``chunk`` bytes; a set bit of its mask means a filter not applied."""
    applied = [code for i, (code, _) in enumerate(filters) if not info.filter_mask >> i & 1]
    packer = next((i for i, code in enumerate(applied) if code in COMPRESSORS), None)
    if packer is None:
        return bool(info.size == chunk + CHECKSUM_BYTES * applied.count(h5z.FILTER_FLETCHER32))
    stored = info.size - CHECKSUM_BYTES * applied[packer:].count(h5z.FILTER_FLETCHER32)
    unpacked = chunk + CHECKSUM_BYTES * applied[:packer].count(h5z.FILTER_FLETCHER32)
    if not 0 < stored <= unpacked + unpacked // 100 + PIECE_BYTES:
        return False
    if applied[packer] == h5z.FILTER_LZF:
        return True  # its filter's buffer is a chunk long, whatever it holds
    return _inflates_to(unpacked, dataset.read_direct_chunk(info.chunk_offset)[1][:stored])


def _inflates_to(length: int, packed: bytes) -> bool:
    inflater, total = zlib.decompressobj(), 0
    try:
        while not inflater.eof and total <= length:
            piece = inflater.decompress(packed, PIECE_BYTES)
            packed, total = inflater.unconsumed_tail, total + len(piece)
            if not piece and not packed:
                break  # cut off
    except zlib.error:
        return False
    return inflater.eof and total == length


def _check_heaps(dataset: h5d.DatasetID, file: BinaryIO, where: str) -> None:
    """PredictionError unless each heap that holds strings of ``dataset`` can be walked from end to end."""
    for stored in _stored_references(dataset, file):
        references = np.frombuffer(
            stored[: len(stored) // REFERENCE.itemsize * REFERENCE.itemsize], REFERENCE
        )
        # A set, as np.unique imports modules on first use, which the confined child may not.
        for address in sorted(set(references["address"][references["length"] > 0].tolist())):
            if not _is_sound(file, address):
                raise PredictionError(
                    "incomplete", f"{where} refers to a damaged heap of strings; write the file anew"
                )


def _stored_references(dataset: h5d.DatasetID, file: BinaryIO) -> Iterator[bytes]:
    """The references of a dataset of strings as they lie in the file, unpacked; LZF is left to the clock."""
    if dataset.get_create_plist().get_layout() == h5d.CONTIGUOUS:
        offset = dataset.get_offset()
        if offset is not None:
            yield _at(file, offset, dataset.get_storage_size())
        return
    filters = _filters(dataset)
    for info in _chunks(dataset) if dataset.get_create_plist().get_layout() == h5d.CHUNKED else ():
        mask, stored = dataset.read_direct_chunk(info.chunk_offset)
        for i, (code, values) in reversed(list(enumerate(filters))):
            if mask >> i & 1:
                continue
            if code == h5z.FILTER_DEFLATE:
                stored = zlib.decompress(stored)  # its length has been checked
            elif code == h5z.FILTER_SHUFFLE and values and len(stored) % values[0] == 0:
                stored = np.frombuffer(stored, np.uint8).reshape(values[0], -1).T.tobytes()
            elif code == h5z.FILTER_FLETCHER32:
                stored = stored[:-CHECKSUM_BYTES]
            else:
                return
        yield stored


def _is_sound(file: BinaryIO, address: int) -> bool:
    """Whether a global heap starts at ``address`` whose objects, end to end, fill it exactly."""
    head = _at(file, address, HEAP.size)
    if len(head) < HEAP.size:
        return False
    signature, version, size = HEAP.unpack(head)
    if signature != b"GCOL" or version != 1 or size > os.fstat(file.fileno()).st_size - address:
        return False
    heap, at = _at(file, address, size), HEAP.size
    while at + HEAP_OBJECT.size <= size:
        index, _, length = HEAP_OBJECT.unpack_from(heap, at)
        # Free space, index 0, counts its own header and ends the heap; other objects are padded to 8 bytes.
        step = HEAP_OBJECT.size + -(-length // 8) * 8 if index else length
        if step < HEAP_OBJECT.size or at + step > size:
            return False
        at += step
    return True


def _at(file: BinaryIO, offset: int, length: int) -> bytes:
    try:
        return os.pread(file.fileno(), length, offset)
    except (OSError, OverflowError):  # an offset or a length that no file has
        return b""
