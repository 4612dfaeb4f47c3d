"""A store that is slow, under real processes: each run ends once, and the leaderboard is the same."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import boards
import pytest
import yaml

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SLOW = Path(__file__).parent / "slow_store"
NAMES = ("constant", "crashes")
DASK = {"engine": "dask", "classes": {"small": {"cpus": 1, "memory_mb": 6144, "workers": 2}}}


def test_a_slow_store_ends_each_run_once_and_in_the_same_leaderboard(tmp_path: Path) -> None:
    registry = boards.registry(tmp_path / "registry")
    boards.add_method(registry, "constant", "X[:] = 0.3 + 0.01 * np.arange(len(genes)); write()")
    boards.add_method(registry, "crashes", "sys.exit('it broke')")
    board = boards.board(tmp_path, NAMES)
    configuration = tmp_path / "engine.yaml"
    configuration.write_text(yaml.safe_dump(DASK))
    arguments = ("leaderboard", "build", board, "--runner", "process", "--trust-process", "--json")
    engine = ("--engine", "dask", "--engine-config", configuration)
    digests = []
    for name, options, environment in (
        ("quick", (), {}),
        ("slow", (), {"PYTHONPATH": str(SLOW)}),
        ("slow-dask", engine, {"PYTHONPATH": str(SLOW)}),
    ):
        home = tmp_path / name
        done = boards.lanner(*arguments, *options, home=home, cwd=tmp_path, registry=registry, **environment)
        assert done.returncode == 1, done.stderr
        made = (home / "leaderboards/board/leaderboard.json").read_bytes()
        digests.append(hashlib.sha256(made).hexdigest())
        runs = sorted(home.glob("runs/*/*/*/*"))
        assert [len(list(run.glob("attempt-*"))) for run in runs] == [1, 1]
        classes = [json.loads((run / "run.json").read_text())["error_class"] for run in runs]
        assert sorted(map(str, classes)) == ["METHOD_ERROR", "None"]
    assert len(set(digests)) == 1
