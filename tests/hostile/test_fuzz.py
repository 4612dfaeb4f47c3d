"""Blind mutations of good files: each ends as accepted, refused or out of time, and the harness goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parent.parent.parent
EXPECTED_CODES = {
    "answered", "dtype", "filter", "incomplete", "link", "names", "non-finite", "scale", "shape", "sparse",
    "structure", "too-large", "unreadable",
}  # fmt: skip


def bombard(count: int, seed: int) -> dict[str, Any]:
    """A process of its own, as small as the real child: forking pytest is slow, and confining it for good."""
    command = [sys.executable, "-m", "tests.hostile.fuzz", f"--mutations={count}", f"--seed={seed}", "--json"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.stdout, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def check(report: dict[str, Any], count: int) -> None:
    assert (report["crashes"], report["hangs"]) == (0, 0), report["failures"]
    refused = sum(report["refused"].values())
    assert report["accepted"] + refused + report["timed_out"] == report["mutations"] == count
    assert set(report["refused"]) <= EXPECTED_CODES
    assert report["timed_out"] <= count / 100
    assert min(report["accepted"], refused) > count / 10, report  # neither too mild nor too wild


def test_five_hundred_mutations_crash_nothing() -> None:
    check(bombard(500, seed=20), 500)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ten_thousand_mutations_crash_nothing() -> None:
    check(bombard(10_000, seed=21), 10_000)


def test_a_mutation_is_the_same_bytes_every_time(tmp_path: Path) -> None:
    for name in ("one", "other"):
        command = [sys.executable, "-m", "tests.hostile.fuzz", "--seed=3", "--write", "7", tmp_path / name]
        subprocess.run(command, cwd=REPOSITORY, check=True)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
