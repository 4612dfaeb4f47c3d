"""Scoring as a unit that engines place, in shards: the same leaderboard as scored in one process."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import boards
import pytest
import yaml

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

NAMES = ("constant", "half", "crashes")
DASK = {"engine": "dask", "classes": {"small": {"cpus": 1, "memory_mb": 6144, "workers": 2}}}


def has_slurm() -> bool:
    if shutil.which("scontrol") is None:
        return False
    return "UP" in subprocess.run(["scontrol", "ping"], capture_output=True, text=True, check=False).stdout


needs_slurm = pytest.mark.skipif(not has_slurm(), reason="no SLURM controller answers")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    own = boards.registry(tmp_path_factory.mktemp("scoring") / "registry")
    boards.add_method(own, "constant", "X[:] = 0.3 + 0.01 * np.arange(len(genes)); write()")
    boards.add_method(own, "half", boards.HALF)
    boards.add_method(own, "crashes", "sys.exit('it broke')")
    return own


def build(folder: Path, registry: Path, *options: str | Path) -> str:
    """Build the board, of which one method fails; the sha256 of its leaderboard.json."""
    board = boards.board(folder, NAMES, seeds=[0], metrics=["mse", "pearson_delta", "pds_l1"])
    arguments = ("leaderboard", "build", board, "--runner", "process", "--trust-process", "--json")
    done = boards.lanner(*arguments, *options, home=folder / "home", cwd=folder, registry=registry)
    assert done.returncode == 1, done.stderr
    return hashlib.sha256((folder / "home/leaderboards/board/leaderboard.json").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def expected(registry: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """As scored by the harness, whole, with runs of the local engine."""
    return build(tmp_path_factory.mktemp("local"), registry)


@pytest.mark.parametrize(
    "configuration",
    [DASK, pytest.param({"engine": "slurm-array"}, marks=needs_slurm)],
    ids=lambda document: document["engine"],
)
def test_scoring_placed_in_shards_makes_the_same_leaderboard_byte_for_byte(
    configuration: dict[str, Any], expected: str, registry: Path, tmp_path: Path
) -> None:
    path = tmp_path / "engine.yaml"
    path.write_text(yaml.safe_dump(configuration))
    engine = ("--engine", configuration["engine"], "--engine-config", path)
    assert build(tmp_path, registry, *engine, "--score-shards", "2") == expected
    assert not list((tmp_path / "home").rglob("*.partial"))
    if configuration["engine"] == "slurm-array":
        scripts = [script.read_text() for script in (tmp_path / "home" / "slurm").glob("*.sh")]
        # Two runs and the bounds, in two shards each; the method that crashes has nothing to score.
        assert sum(script.count(" score --spec ") for script in scripts) == 6
