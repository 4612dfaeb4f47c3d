"""Blind mutations of good files: each ends as read, refused or out of time, and the harness goes on."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path

import files
import numpy as np
import pytest
from files import EXPECTED, FINE
from lanner.ingest_child import limit, read

CLOCK_S = 2
EXTREMES = (b"\xff" * 8, b"\x00" * 8, b"\x7f" + b"\xff" * 7, (1 << 40).to_bytes(8, "little"))


def mutate(content: bytes, draw: np.random.Generator) -> bytes:
    """``content`` with a few bytes changed, cut out, doubled or cut off; the signature stays."""
    data = bytearray(content)
    for _ in range(int(draw.integers(1, 6))):
        at = int(draw.integers(8, len(data)))
        match int(draw.integers(0, 6)):
            case 0 | 1 | 2:
                data[at] = int(draw.integers(0, 256))
            case 3:
                extreme = EXTREMES[int(draw.integers(0, len(EXTREMES)))]
                data[at : at + 8] = extreme
            case 4:
                length = int(draw.integers(1, 64))
                other = int(draw.integers(8, len(data)))
                data[at : at + length] = data[other : other + length]
            case _:
                if draw.random() < 0.1:
                    del data[at:]
    return bytes(data)


def outcome_of(path: Path, folder: Path) -> str:
    """Read ``path`` in a forked child that has everything imported, under the real limits and a clock."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)  # pytest-timeout has its own
            signal.alarm(CLOCK_S)
            limit(EXPECTED, CLOCK_S)
            names = ("values", "indices", "indptr", "answered")
            streams = {name: (folder / f"{name}.npy").open("wb") for name in names}
            answer = read(str(path), EXPECTED, streams)
            code = 0 if answer["ok"] else 1 if answer["code"] == "unreadable" else 2
        finally:
            os._exit(code)
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return "out of time" if name in ("SIGALRM", "SIGXCPU") else name
    return {0: "read", 1: "unreadable", 2: "refused"}.get(os.WEXITSTATUS(status), "broken")


def bombard(tmp_path: Path, count: int, seed: int) -> Counter[str]:
    draw = np.random.default_rng(seed)
    originals = []
    for build in FINE:
        build(tmp_path / "original.h5ad", tmp_path / "absent")
        content = (tmp_path / "original.h5ad").read_bytes()
        if len(content) < 100_000:
            originals.append(content)
        (tmp_path / "original.h5ad").unlink()
    outcomes: Counter[str] = Counter()
    path = tmp_path / "mutant.h5ad"
    for _ in range(count):
        path.write_bytes(mutate(originals[int(draw.integers(0, len(originals)))], draw))
        outcomes[outcome_of(path, tmp_path)] += 1
    return outcomes


def check(outcomes: Counter[str], count: int) -> None:
    assert set(outcomes) <= {"read", "unreadable", "refused", "out of time"}, outcomes
    assert outcomes["out of time"] <= count / 20
    assert min(outcomes["read"], outcomes["unreadable"], outcomes["refused"]) > count / 50, outcomes


def test_five_hundred_mutations_crash_nothing(tmp_path: Path) -> None:
    check(bombard(tmp_path, 500, seed=20), 500)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ten_thousand_mutations_crash_nothing(tmp_path: Path) -> None:
    began = time.monotonic()
    outcomes = bombard(tmp_path, 10_000, seed=21)
    print(f"{time.monotonic() - began:.0f} s: {dict(outcomes)}")
    check(outcomes, 10_000)


def test_the_files_that_are_mutated_are_good_ones(tmp_path: Path) -> None:
    files.write_good(tmp_path / "good.h5ad")
    assert outcome_of(tmp_path / "good.h5ad", tmp_path) == "read"
