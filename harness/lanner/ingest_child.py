"""The child process of ``lanner.ingest``: read one untrusted h5ad with no rights but its own open files.

Started as ``python -I -m lanner.ingest_child SOURCE FOLDER SECONDS [unconfined]``. FOLDER holds
``expectation.json``; the child adds ``values.npy``, ``indices.npy``, ``indptr.npy`` and ``answered.npy`` and
prints one line of JSON. All imports and all openings for writing happen before the door closes: afterwards
only SOURCE can be opened. The door is Landlock, or where there is none a root folder of the child's own;
where there is neither it reads nothing, unless it was told ``unconfined``.
"""

from __future__ import annotations

import ctypes
import encodings.ascii
import encodings.unicode_escape  # noqa: F401  codecs are imported on first use, which would be too late
import json
import os
import resource
import shutil
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lanner.errors import PredictionError
from lanner.h5ad.checked import BLOCK_BYTES, CheckedPrediction, CsrBlock
from lanner.h5ad.expectation import Expectation

MEMORY_BYTES = (1 << 30) + 8 * BLOCK_BYTES
"""Address space of the child: 1 GiB plus a few blocks, whatever the size of the prediction."""

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # Landlock, the same on every architecture
READ_FILE = 1 << 2
READ_ANY_FILE = 1 << 2  # CAP_DAC_READ_SEARCH: harmless where Landlock leaves one file to be read
SET_PDEATHSIG, SET_NO_NEW_PRIVS, SIGKILL = 1, 38, 9
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
UNCONFINED = "unconfined"
"""Code of the answer of a child that nothing would hold, and that therefore read nothing."""
READER = 10002
"""Who the child is in its own root when the harness is root; no method's container is that user."""
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


def jail(source: str, folder: Path) -> str | None:
    """Where there is no Landlock: a root folder that holds nothing but a copy of ``source``, and no network.

    Returns its path in there; None where this user may make none. The process that goes on is a new one, the
    only one it can see or signal; the old one waits for it and ends as it does. As root it also becomes
    somebody with no right to anything, else whoever started it, who owns nothing in there but the copy.
    """
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    place = folder / "jail"
    place.mkdir(mode=0o755)
    shutil.copyfile(source, place / "prediction.h5ad")
    (place / "prediction.h5ad").chmod(0o444)
    is_root = os.geteuid() == 0
    if libc.unshare(CLONE_NEWPID | CLONE_NEWNET | (0 if is_root else CLONE_NEWUSER)) != 0:
        return None
    libc.prctl(SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code < 0:
            os.kill(os.getpid(), -code)
        os._exit(code)
    os.chroot(place)
    os.chdir("/")
    if is_root:
        os.setgroups([])
        os.setgid(READER)
        os.setuid(READER)
    libc.prctl(SET_PDEATHSIG, SIGKILL, 0, 0, 0)  # again: a change of user forgets it
    libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _set_capabilities(libc, 0)
    return "/prediction.h5ad"


def _drop_capabilities(libc: Any, keep: int) -> None:
    """As root, keep the uid and lose what makes it root, except ``keep``."""
    if os.geteuid() == 0:
        _set_capabilities(libc, keep)


def _set_capabilities(libc: Any, keep: int) -> None:
    number = CAPSET.get(os.uname().machine)
    if number is not None:
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
    held = "rlimits only"
    if landlock_abi() >= 1:
        limit(expectation, timeout_s)
        held = f"landlock {confine(source)}, rlimits"
    else:
        inside = jail(source, folder)
        if inside is not None:
            source, held = inside, "a root folder of its own, rlimits"
        elif sys.argv[4:] != ["unconfined"]:
            print(json.dumps({"ok": False, "code": UNCONFINED}), flush=True)
            return
        limit(expectation, timeout_s)
    answer = read(source, expectation, streams)
    print(json.dumps({**answer, "confinement": held}), flush=True)


if __name__ == "__main__":
    main()
