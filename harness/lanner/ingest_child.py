"""The child process of ``lanner.ingest``: read one untrusted h5ad with no rights but its own open files.

Started as ``python -I -m lanner.ingest_child SOURCE FOLDER``. FOLDER holds ``expectation.json``; the child
adds ``values.npy``, ``indices.npy``, ``indptr.npy`` and ``answered.npy`` and prints one line of JSON. All
imports and all openings for writing happen before the door closes: afterwards only SOURCE can be opened.
"""

from __future__ import annotations

import ctypes
import encodings.ascii
import encodings.unicode_escape  # noqa: F401  codecs are imported on first use, which would be too late
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lanner.errors import PredictionError
from lanner.h5ad.checked import BLOCK_BYTES, CheckedPrediction, CsrBlock, Expectation

MEMORY_BYTES = (1 << 30) + 8 * BLOCK_BYTES
"""Address space of the child: 1 GiB plus a few blocks, whatever the size of the prediction."""

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # Landlock, the same on every architecture
READ_FILE = 1 << 2
READ_ANY_FILE = 1 << 2  # CAP_DAC_READ_SEARCH: harmless where Landlock leaves one file to be read
SET_PDEATHSIG, SET_NO_NEW_PRIVS, SIGKILL = 1, 38, 9
CAPSET = {"x86_64": 126, "aarch64": 91, "ppc64le": 184, "s390x": 185, "riscv64": 91}


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("access", ctypes.c_uint64), ("fd", ctypes.c_int32))


def landlock_abi() -> int:
    """Version of Landlock this kernel offers, 0 where there is none."""
    if not sys.platform.startswith("linux"):
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    return max(int(libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), 1)), 0)


def confine(readable: str) -> int:
    """Deny every file but ``readable``, all TCP and all privileges. Returns the Landlock ABI, 0 for none."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not sys.platform.startswith("linux"):
        return 0
    libc.prctl(SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    abi = landlock_abi()
    if abi >= 1:
        rights = ((1 << 13) - 1) | (abi >= 2) << 13 | (abi >= 3) << 14 | (abi >= 5) << 15
        attributes = _Ruleset(rights, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
        size = ctypes.c_size_t(24 if abi >= 6 else 16 if abi >= 4 else 8)
        ruleset = libc.syscall(CREATE_RULESET, ctypes.byref(attributes), size, 0)
        rule = _PathRule(READ_FILE, os.open(readable, os.O_PATH | os.O_CLOEXEC))
        if (
            ruleset < 0
            or libc.syscall(ADD_RULE, ruleset, 1, ctypes.byref(rule), 0)
            or libc.syscall(RESTRICT_SELF, ruleset, 0)
        ):
            raise OSError(ctypes.get_errno(), "Landlock refused")
    _drop_capabilities(libc, keep=READ_ANY_FILE if abi >= 1 else 0)
    return abi


def _drop_capabilities(libc: Any, keep: int) -> None:
    """As root, keep the uid and lose what makes it root, except ``keep``."""
    number = CAPSET.get(os.uname().machine)
    if os.geteuid() == 0 and number is not None:
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
        libc.syscall(number, ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)(keep, keep)))


def limit(expectation: Expectation, timeout_s: int) -> None:
    """Bound memory, file size, processor time and processes of this process."""
    cells = len(expectation.request_ids) * expectation.n_cells * len(expectation.genes)
    for which, value in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, 4 * cells + (16 << 20)),  # names, flags and indptr have 8 bytes per row
        (resource.RLIMIT_CPU, timeout_s + 1),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(which, (value, value))


def emit(prediction: CheckedPrediction, streams: dict[str, BinaryIO]) -> None:
    """Write the canonical arrays of ``prediction`` block by block to the open ``streams``."""
    shape = (prediction.n_values,) if prediction.is_sparse else prediction.shape
    _header(streams["values"], shape, np.float32)
    if prediction.is_sparse:
        _header(streams["indices"], shape, np.int32)
        _header(streams["indptr"], (prediction.shape[0] + 1,), np.int64)
        np.zeros(1, np.int64).tofile(streams["indptr"])
    written = 0
    for block in prediction.blocks():
        if isinstance(block, CsrBlock):
            block.data.tofile(streams["values"])
            block.indices.tofile(streams["indices"])
            (written + np.cumsum(block.counts)).tofile(streams["indptr"])
            written += block.data.size
        else:
            block.tofile(streams["values"])
    np.save(streams["answered"], prediction.answered, allow_pickle=False)


def _header(stream: BinaryIO, shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    described = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, described)
    stream.flush()  # tofile writes to the descriptor, past this stream's buffer


def read(source: str, expectation: Expectation, streams: dict[str, BinaryIO]) -> dict[str, Any]:
    """The answer to the parent: what was emitted, or why nothing was."""
    try:
        prediction = CheckedPrediction(source, expectation)
        emit(prediction, streams)
        for stream in streams.values():
            stream.close()
    except PredictionError as error:
        return {"ok": False, "code": error.code, "message": str(error)}
    except MemoryError:
        return {"ok": False, "code": "unreadable", "message": "reading it takes more memory than it should"}
    except Exception as error:  # whatever h5py makes of a malformed file; the process ends here
        return {"ok": False, "code": "unreadable", "message": f"{type(error).__name__}: {error}"[:300]}
    return {"ok": True, "n_rows": prediction.shape[0], "sparse": prediction.is_sparse}


def main() -> None:
    """Read the arguments, close the door, answer."""
    source, folder, timeout_s = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    document = json.loads((folder / "expectation.json").read_bytes())
    expectation = Expectation.from_json(document)
    names = ("values", "indices", "indptr", "answered")
    streams: dict[str, BinaryIO] = {name: (folder / f"{name}.npy").open("xb") for name in names}
    limit(expectation, timeout_s)
    abi = confine(source)
    answer = read(source, expectation, streams)
    print(json.dumps({**answer, "landlock": abi}), flush=True)


if __name__ == "__main__":
    main()
