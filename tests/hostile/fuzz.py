"""Blind mutations of good predictions, each read by a fork of one warmed, confined process under a clock.

    python -m tests.hostile.fuzz --mutations 50000 --seed 1

Mutation ``i`` of seed ``s`` is the same bytes everywhere; ``--write I PATH`` leaves it for a closer look.
Each ends as accepted, refused or out of time; a crash, a hang or a wrong acceptance makes the exit code 1.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import mmap
import os
import select
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from lanner.ingest_child import confine, landlock_abi, limit, read

from tests.hostile.files import EXPECTED, FINE, SHAPE

CLOCK_S = 5.0
NAMES = ("values", "indices", "indptr", "answered")
EXTREMES = (b"\xff" * 8, b"\x00" * 8, b"\x7f" + b"\xff" * 7, (1 << 40).to_bytes(8, "little"))
LARGEST_ORIGINAL = 100_000


def originals() -> list[bytes]:
    """The accepted files of tests/hostile/files.py, but for those so large that most bytes say nothing."""
    contents = []
    with tempfile.TemporaryDirectory() as folder:
        for build in FINE:
            path = Path(folder) / f"{build.__name__}.h5ad"
            build(path, Path(folder) / "absent")
            contents.append(path.read_bytes())
    return [content for content in contents if len(content) < LARGEST_ORIGINAL]


def mutation(seeds: list[bytes], seed: int, index: int) -> bytes:
    """Mutation ``index``: a few bytes changed, doubled or cut off; the signature stays."""
    draw = np.random.default_rng([seed, index])
    data = bytearray(seeds[int(draw.integers(0, len(seeds)))])
    for _ in range(int(draw.integers(1, 6))):
        at = int(draw.integers(8, len(data)))
        match int(draw.integers(0, 6)):
            case 0 | 1 | 2:
                data[at] = int(draw.integers(0, 256))
            case 3:
                data[at : at + 8] = EXTREMES[int(draw.integers(0, len(EXTREMES)))]
            case 4:
                length, other = int(draw.integers(1, 64)), int(draw.integers(8, len(data)))
                data[at : at + length] = data[other : other + length]
            case _:
                if draw.random() < 0.1:
                    del data[at:]
    return bytes(data)


class Reader:
    """The warmed parent: everything imported and opened, the door closed; each file is read by a fork of it.

    It imports nothing that ``lanner.ingest_child`` does not: what the real child lacks would fail here too.
    Create one per process: it gives up the right to open files, for good.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "prediction.h5ad"
        self._source, self._reply = self._path.open("w+b"), (folder / "reply").open("w+b")
        self._streams = {name: (folder / f"{name}.npy").open("w+b") for name in NAMES}
        self.landlock = confine(str(self._path))

    def outcome_of(self, content: bytes) -> str:
        """``accepted``, ``refused: <code>`` or ``timed out``; never should be ``crash: ...`` or ``hang``."""
        _replace(self._source, content)
        for stream in (self._reply, *self._streams.values()):
            _replace(stream, b"")
        child = os.fork()
        if child == 0:
            self._read_and_exit()
        if not _wait(child, CLOCK_S):
            os.kill(child, signal.SIGKILL)
            if not _wait(child, CLOCK_S):
                return "hang"
            os.waitpid(child, 0)
            return "timed out"
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code < 0:
            return f"crash: {signal.Signals(-code).name}"
        self._reply.seek(0)
        try:
            answer = json.loads(self._reply.read())
        except ValueError:
            return f"crash: exit code {code} and no answer"
        if not answer["ok"]:
            return f"refused: {answer['code']}"
        wrong = self._what_is_wrong(answer)
        return f"crash: accepted, but {wrong}" if wrong else "accepted"

    def _read_and_exit(self) -> None:
        """What ``lanner.ingest_child.main`` does once its door is closed."""
        code = 1
        try:
            limit(EXPECTED, int(CLOCK_S))
            streams: dict[str, BinaryIO] = {
                name: os.fdopen(os.dup(stream.fileno()), "wb") for name, stream in self._streams.items()
            }
            os.write(self._reply.fileno(), json.dumps(read(str(self._path), EXPECTED, streams)).encode())
            code = 0
        finally:
            os._exit(code)

    def _what_is_wrong(self, answer: dict[str, Any]) -> str:
        """Why what was emitted is no matrix of the requested shape; empty when it is one."""
        arrays = {}
        for name, stream in self._streams.items():
            if answer["sparse"] or name in ("values", "answered"):
                stream.seek(0)
                arrays[name] = np.load(stream, allow_pickle=False)
        n_rows = answer["n_rows"]
        if n_rows not in (SHAPE[0], len(EXPECTED.request_ids)):
            return f"{n_rows} rows"
        if not np.isfinite(arrays["values"]).all() or np.abs(arrays["values"]).max(initial=0) > 20:
            return "values are out of range"
        if arrays["answered"].shape != (n_rows,):
            return "flags do not fit"
        if not answer["sparse"]:
            return "" if arrays["values"].shape == (n_rows, SHAPE[1]) else "values do not fit"
        columns, starts = arrays["indices"], arrays["indptr"]
        if (
            starts.shape != (n_rows + 1,)
            or starts[0] != 0
            or starts[-1] != columns.size
            or (np.diff(starts) < 0).any()
        ):
            return "row starts do not fit"
        if arrays["values"].shape != columns.shape or not ((columns >= 0) & (columns < SHAPE[1])).all():
            return "indices are out of range"
        falls = np.flatnonzero(np.diff(columns) <= 0) + 1
        return "" if set(falls.tolist()) <= set(starts.tolist()) else "indices are not canonical"


def _replace(stream: BinaryIO, content: bytes) -> None:
    os.ftruncate(stream.fileno(), 0)
    os.lseek(stream.fileno(), 0, os.SEEK_SET)
    os.write(stream.fileno(), content)


def _wait(child: int, seconds: float) -> bool:
    """Whether the child ends within ``seconds``; it stays to be reaped."""
    descriptor = os.pidfd_open(child)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    finally:
        os.close(descriptor)


def bombard(count: int, seed: int, jobs: int = 1) -> dict[str, Any]:
    """Read ``count`` mutations in ``jobs`` confined processes; returns counts, and indices of failures."""
    began = time.monotonic()
    done = mmap.mmap(-1, 8 * jobs)  # shared with the readers: how far each is
    # A reader can remove nothing once its door is closed, so folders and reports are made and kept out here.
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        reports = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(jobs)]
        readers = []
        for job, report in enumerate(reports):
            here = Path(folder) / str(job)
            here.mkdir()
            readers.append(_fork(lambda: _bombard(here, seed, range(job, count, jobs), report, done, job)))  # noqa: B023
        while any(os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None for pid in readers):
            time.sleep(0.2)
            total = sum(np.frombuffer(done, np.int64))
            print(f"{total:,} of {count:,}, {time.monotonic() - began:.0f} s ", end="\r", file=sys.stderr)
        print(file=sys.stderr)
        if any(os.waitpid(pid, 0)[1] for pid in readers):
            raise SystemExit("a reader itself ended; the reason is above")
        outcomes: Counter[str] = Counter()
        failures: dict[str, str] = {}
        for report in reports:
            report.seek(0)
            part = json.loads(report.read())
            outcomes.update(part["outcomes"])
            failures.update(part["failures"])
    return {
        "mutations": count,
        "seed": seed,
        "seconds": round(time.monotonic() - began, 1),
        "landlock": landlock_abi(),
        "accepted": outcomes["accepted"],
        "refused": {name[9:]: outcomes[name] for name in sorted(outcomes) if name.startswith("refused: ")},
        "timed_out": outcomes["timed out"],
        "crashes": sum(outcomes[name] for name in outcomes if name.startswith("crash")),
        "hangs": outcomes["hang"],
        "failures": failures,
    }


def _bombard(
    folder: Path, seed: int, indices: Sequence[int], report: BinaryIO, done: mmap.mmap, job: int
) -> None:
    """One confined process's share of the mutations, its originals first: they must be accepted."""
    seeds = originals()
    reader = Reader(folder)
    for number, content in enumerate(seeds):
        if (result := reader.outcome_of(content)) != "accepted":
            raise SystemExit(f"original {number} should be accepted, but: {result}")
    outcomes: Counter[str] = Counter()
    failures: dict[int, str] = {}
    for finished, index in enumerate(indices, start=1):
        result = reader.outcome_of(mutation(seeds, seed, index))
        outcomes[result] += 1
        if result.startswith("crash") or result == "hang":
            failures[index] = result
        done[8 * job : 8 * job + 8] = finished.to_bytes(8, sys.byteorder)
    report.write(json.dumps({"outcomes": outcomes, "failures": failures}).encode())
    report.flush()


def _fork(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return pid


def main() -> int:
    """Read the arguments, bombard, print a table or JSON; 1 when anything crashed or hung."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.fuzz", description=__doc__)
    parser.add_argument("--mutations", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="confined processes side by side")
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead of a table")
    parser.add_argument("--write", nargs=2, metavar=("I", "PATH"), help="only write mutation I to PATH")
    arguments = parser.parse_args()
    if arguments.write:
        index, path = arguments.write
        Path(path).write_bytes(mutation(originals(), arguments.seed, int(index)))
        return 0
    report = bombard(arguments.mutations, arguments.seed, arguments.jobs)
    if arguments.json:
        print(json.dumps(report))
    else:
        rows = [("accepted", report["accepted"])]
        rows += [(f"refused: {code}", number) for code, number in report["refused"].items()]
        rows += [(name, report[name.replace(" ", "_")]) for name in ("timed out", "crashes", "hangs")]
        for name, number in [*rows, ("mutations", report["mutations"])]:
            print(f"{name:24}{number:>9,}")
        for index, what in report["failures"].items():
            print(f"mutation {index}: {what}; look at it with --seed {arguments.seed} --write {index} PATH")
    return 1 if report["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
