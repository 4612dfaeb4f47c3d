"""The benchmarks run and give finite figures; how good the figures are is for `make bench` to say."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parent.parent.parent

TINY = """
name: tiny
title: One method, one split
task: perturbation-response
datasets:
  - id: simulated
    splits: [{id: unseen-perturbation}]
methods: [train-mean]
seeds: [0]
metrics: [mse]
"""


def run(name: str, out: Path, *options: str) -> dict[str, Any]:
    """Run a benchmark as a person would; its document."""
    command = [sys.executable, "-m", f"benchmarks.{name}", "--out", str(out), *options]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "goal" in done.stdout
    document: dict[str, Any] = json.loads((out / f"{name}.json").read_text())
    return document


def numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for part in value.values():
            yield from numbers(part)
    elif isinstance(value, int | float):
        yield value


@pytest.mark.slow
def test_overhead_is_measured_for_new_and_for_cached_runs(tmp_path: Path) -> None:
    leaderboard = tmp_path / "tiny.yaml"
    leaderboard.write_text(TINY)
    document = run(
        "harness_overhead",
        tmp_path,
        "--repeats",
        "1",
        "--runner",
        "process",
        "--leaderboard",
        str(leaderboard),
    )
    assert all(math.isfinite(number) and number >= 0 for number in numbers(document))
    new = document["runs"]["process"]
    parts = {name: spread["median"] for name, spread in new["phases"].items()}
    assert sum(parts.values()) - parts["method"] == pytest.approx(new["seconds"]["median"])
    assert document["cached"]["build_seconds_per_row"]["median"] > 0
    assert document["cached"]["rows"] == 1


@pytest.mark.slow
def test_staging_is_measured_phase_by_phase(tmp_path: Path) -> None:
    document = run("staging", tmp_path, "--size", "S")
    assert all(math.isfinite(number) and number > 0 for number in numbers(document))
    assert (document["rows"], document["genes"]) == (12_000, 2_000)
    assert set(document["phases"]) == {"load", "seal", "stage"}
    # 13 % of the values are stored, at 8 bytes each, and most of the rows are train.
    assert document["source_mb"] == pytest.approx(12_000 * 2_000 * 0.13 * 8 / 1e6, rel=0.15)
    assert 0.5 * document["source_mb"] < document["train_mb"] < document["source_mb"]
