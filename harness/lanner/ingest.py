"""Turn an untrusted prediction file into a checked canonical matrix, read by a confined child process.

The child (``lanner.ingest_child``) holds no right but to read that file. What it leaves is checked once
more here, block by block, because a file that takes the child over may make it write anything: nothing
downstream ever sees HDF5 that a method wrote, nor an index that points outside its matrix.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lanner.errors import InfrastructureError, PredictionError
from lanner.h5ad.expectation import Expectation
from lanner.h5ad.layout import Layout
from lanner.ingest_child import UNCONFINED
from lanner.matrix import Matrix
from lanner.owner import token
from lanner.records import printable

__all__ = ["Expectation", "IngestResult", "ingest"]

ANSWER_BYTES = 64 << 10
UNCONFINED_VARIABLE = "LANNER_UNCONFINED_READING"
"""Set to 1, predictions are read where nothing closes the file system to their reader."""
CHILD = ("-I", "-m", "lanner.ingest_child")


@dataclass(frozen=True, kw_only=True)
class IngestResult:
    """A checked prediction: ``folder`` holds its canonical matrix, shape (C * n_cells, G), rows as requested.

    ``kind`` is "profiles", "cells" or "network" (the matrix is then (G, G), regulators in rows, and there are
    no requests); ``n_cells`` is 1 but for cells. ``answered`` is bool (C,): a request is answered when all
    its rows are. ``file_sha256`` is of the bytes read, ``content_sha256`` of the canonical
    matrix and ``answered``, so it is equal for two files that say the same in different encodings.
    ``confinement`` says what held the child, such as "landlock 7, rlimits"; it is the child's own word.
    ``n_values`` counts the stored values, of a network its edges.
    """

    folder: Path
    kind: str
    n_cells: int
    answered: np.ndarray[Any, Any]
    file_sha256: str
    content_sha256: str
    confinement: str
    n_genes: int
    n_values: int

    @property
    def sizes(self) -> dict[str, int]:
        """What a run's record says of its size beside its kind: cells per request, or edges."""
        if self.kind == "network":
            return {"n_edges": self.n_values}
        return {"n_cells": self.n_cells}

    @property
    def matrix(self) -> Matrix:
        """The canonical matrix, opened for reading."""
        return Matrix(self.folder, self.n_genes)


def ingest(file: Path, *, rows: Layout, destination: Path, timeout_s: float = 120.0) -> IngestResult:
    """Check ``file`` against ``rows`` and write its canonical matrix to the new folder ``destination``.

    Raises PredictionError with the reader's code, or "unreadable" when the reader dies, hangs or answers
    nonsense; ``destination`` then does not exist. InfrastructureError where nothing would hold the reader.
    """
    if not file.is_file():
        raise PredictionError("missing", f"there is no file {printable(str(file))}; check the path")
    destination.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(
        tempfile.mkdtemp(prefix=f".{destination.name}.{token()}.", suffix=".partial", dir=destination.parent)
    )
    try:
        (partial / "expectation.json").write_text(json.dumps(rows.to_json()), encoding="utf-8")
        answer, file_sha256 = _run_child(file, partial, timeout_s)
        (partial / "expectation.json").unlink()
        flags = _adopt(partial, answer, rows)
        content = _check_again(partial, rows, flags)
        values = partial / ("data.npy" if answer.get("sparse") else "X.npy")
        n_values = int(np.load(values, mmap_mode="r", allow_pickle=False).size)
        partial.chmod(0o755)
        partial.rename(destination)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    described = rows.described(flags.size, flags)
    assert described is not None  # or the child's files would not have been adopted
    kind, n_cells, answered = described
    return IngestResult(
        folder=destination,
        kind=kind,
        n_cells=n_cells,
        answered=answered,
        file_sha256=file_sha256,
        content_sha256=content,
        confinement=printable(str(answer.get("confinement")))[:80],
        n_genes=len(rows.genes),
        n_values=n_values,
    )


def confinement() -> str:
    """What holds a reader on this machine, found by having one read nothing; raises as ``ingest`` does."""
    with tempfile.TemporaryDirectory(prefix="lanner-reader-") as folder:
        source = Path(folder) / "prediction.h5ad"
        source.write_bytes(b"")
        rows = Expectation.on_scale("log1p-cp10k", request_ids=("r",), n_cells=1, genes=("g",))
        (Path(folder) / "expectation.json").write_text(json.dumps(rows.to_json()), encoding="utf-8")
        answer, _ = _ask_child(source, Path(folder), 60.0)
    return printable(str(answer.get("confinement")))[:80]


def _run_child(file: Path, folder: Path, timeout_s: float) -> tuple[dict[str, Any], str]:
    """The child's answer that all is well, and the file's SHA-256."""
    answer, file_sha256 = _ask_child(file, folder, timeout_s)
    if not answer["ok"]:
        raise PredictionError(str(answer.get("code")), printable(str(answer.get("message")))[:1000])
    return answer, file_sha256


def _ask_child(file: Path, folder: Path, timeout_s: float) -> tuple[dict[str, Any], str]:
    """The child's answer and the file's SHA-256, taken while the child reads."""
    command = [sys.executable, *CHILD, str(file.resolve()), str(folder), str(max(1, int(timeout_s)))]
    if os.environ.get(UNCONFINED_VARIABLE) == "1":
        command.append("unconfined")
    with tempfile.TemporaryFile() as reply:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=reply,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=_environment(),
        )
        try:
            with file.open("rb") as stream:
                file_sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            code = child.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise PredictionError(
                "unreadable", f"the file could not be read within {timeout_s:g} s; write plain arrays"
            ) from None
        finally:
            child.kill()
            child.wait()
            shutil.rmtree(folder / "jail", ignore_errors=True)
        reply.seek(0)
        answer = _parse(reply.read(ANSWER_BYTES + 1))
    if answer is None:
        ended = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise PredictionError(
            "unreadable",
            f"the reader of the file died ({ended}); the file is damaged or hostile, write it anew",
        )
    if answer.get("code") == UNCONFINED:
        raise InfrastructureError(
            "nothing on this machine would hold whoever reads a prediction, so none is read: use Linux 5.13 "
            "or newer with landlock in its `lsm=` list, or allow user namespaces, or, where you trust every "
            f"method, set {UNCONFINED_VARIABLE}=1"
        )
    return answer, file_sha256


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    # "::" turns HDF5's loading of filter plugins off; one BLAS thread keeps the address space small.
    return {**kept, "HDF5_PLUGIN_PRELOAD": "::", "OPENBLAS_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}


def _parse(reply: bytes) -> dict[str, Any] | None:
    if len(reply) > ANSWER_BYTES:
        return None
    try:
        answer = json.loads(reply)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) and isinstance(answer.get("ok"), bool) else None


def _adopt(folder: Path, answer: dict[str, Any], rows: Layout) -> np.ndarray[Any, Any]:
    """Give the child's files their canonical names; returns the answered flag per row."""
    n_rows = answer.get("n_rows")
    try:
        answered: np.ndarray[Any, Any] = np.load(folder / "answered.npy", allow_pickle=False)
    except (OSError, ValueError):
        raise _distrusted("no answered flags") from None
    if answered.dtype != bool or answered.shape != (n_rows,):
        raise _distrusted(f"answered flags of shape {answered.shape}, {n_rows!r} rows"[:100])
    if rows.described(answered.size, answered) is None:
        raise _distrusted(f"it has {answered.size} rows")
    keep = (
        {"values": "data", "indices": "indices", "indptr": "indptr"}
        if answer.get("sparse")
        else {"values": "X"}
    )
    for name in ("values", "indices", "indptr", "answered"):
        if name in keep:
            (folder / f"{name}.npy").rename(folder / f"{keep[name]}.npy")
        else:
            (folder / f"{name}.npy").unlink()
    return answered


def _check_again(folder: Path, rows: Layout, answered: np.ndarray[Any, Any]) -> str:
    """SHA-256 of the matrix and flags; PredictionError unless values are finite and indices inside."""
    try:
        _check_headers(folder, len(rows.genes), answered.size)
        matrix = Matrix(folder, len(rows.genes))
        rows.check(matrix)
        values, columns, counts = (hashlib.sha256() for _ in range(3))
        for _, _, block in matrix.blocks():
            if isinstance(block, np.ndarray):
                stored = block
            else:
                block.check_format(full_check=True)
                falls = np.flatnonzero(np.diff(block.indices) <= 0) + 1
                if not np.isin(falls, block.indptr).all():
                    raise ValueError("columns are out of order")
                stored = block.data
                columns.update(block.indices.tobytes())
                counts.update(np.diff(block.indptr).astype(np.int64).tobytes())
            if not np.isfinite(stored).all():
                raise ValueError("values are not finite")
            values.update(np.ascontiguousarray(stored).data)
    except (ValueError, OSError, InfrastructureError) as error:
        raise _distrusted(str(error)) from None
    head = json.dumps([matrix.is_sparse, *matrix.shape]).encode() + answered.tobytes()
    return hashlib.sha256(head + b"".join(part.digest() for part in (values, columns, counts))).hexdigest()


def _check_headers(folder: Path, n_genes: int, n_rows: int) -> None:
    """ValueError unless the arrays have the types, shapes and row starts of a canonical matrix."""
    loaded = {path.stem: np.load(path, mmap_mode="r", allow_pickle=False) for path in folder.glob("*.npy")}
    expected: dict[str, tuple[type, tuple[int, ...]]]
    if "X" in loaded:
        expected = {"X": (np.float32, (n_rows, n_genes))}
    else:
        n_values = loaded["data"].size
        expected = {
            "data": (np.float32, (n_values,)),
            "indices": (np.int32, (n_values,)),
            "indptr": (np.int64, (n_rows + 1,)),
        }
        starts = loaded["indptr"]
        if starts.ndim != 1 or starts[0] != 0 or starts[-1] != n_values or (np.diff(starts) < 0).any():
            raise ValueError("row starts do not rise to the number of values")
    if {name: (array.dtype, array.shape) for name, array in loaded.items()} != expected:
        raise ValueError("arrays of another shape or type")


def _distrusted(what: str) -> PredictionError:
    return PredictionError(
        "unreadable", f"what the reader of the file left is wrong: {what}; the file is damaged or hostile"
    )
