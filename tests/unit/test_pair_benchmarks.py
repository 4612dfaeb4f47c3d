"""The benchmarks of pairs run and give finite figures, on files that are the same each time."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import h5py
import pytest

REPOSITORY = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(REPOSITORY), *sys.path])


def test_simulated_files_are_the_same_each_time_and_an_eighth_of_them_is_not_zero(tmp_path: Path) -> None:
    from benchmarks.pairs import SIZES, generate

    first, second = (generate(tmp_path / name, "T") for name in ("a", "b"))
    for name in ("truth", "prediction"):
        with h5py.File(first[name]) as one, h5py.File(second[name]) as other:
            assert (one["X/data"][:] == other["X/data"][:]).all()
            cells = SIZES["T"].n * SIZES["T"].cells + SIZES["T"].controls
            assert 0.1 < len(one["X/data"]) / (cells * SIZES["T"].genes) < 0.16
    with h5py.File(first["truth"]) as one, h5py.File(first["prediction"]) as other:
        assert len(one["X/data"]) != len(other["X/data"])


def test_a_measurement_is_of_a_process_of_its_own(tmp_path: Path) -> None:
    from benchmarks.pairs import measure

    row = measure("de", "T", tmp_path)
    assert (row["metric"], row["size"]) == ("de", "T")
    assert all(math.isfinite(row[name]) for name in ("ours_cpu_s", "ours_wall_s", "ours_peak_mb"))
    assert row["ours_peak_mb"] > 10


def test_kernels_on_a_device_have_a_limit_and_a_fraction_of_it() -> None:
    from benchmarks.gpu import run

    document = run("cpu", rows=20, genes=50, repeats=1)
    assert {row["kernel"] for row in document["kernels"]}
    assert all(row["limit_s"] > 0 and row["fraction"] > 0 for row in document["kernels"])
