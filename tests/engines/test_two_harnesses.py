"""Two whole command lines on one folder: every key is run once, and both make the same leaderboard."""

from __future__ import annotations

import json
from pathlib import Path

import boards
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_two_builds_at_once_on_one_home_run_every_key_once_and_agree(tmp_path: Path) -> None:
    registry = boards.registry(tmp_path / "registry")
    started = tmp_path / "started"
    started.mkdir()
    note = f"import uuid; pathlib.Path({str(started)!r}, uuid.uuid4().hex).touch(); time.sleep(1)\n"
    names = [f"method-{number}" for number in range(4)]
    for number, name in enumerate(names):
        boards.add_method(
            registry, name, f"{note}X[:] = 0.1 * {number} + 0.01 * np.arange(len(genes)); write()"
        )
    board = boards.board(tmp_path, names)
    options = (
        "leaderboard",
        "build",
        board,
        "--runner",
        "process",
        "--trust-process",
        "--json",
        "--jobs",
        "2",
    )
    both = []
    for number, more in enumerate(((), ("--score-shards", "2"))):
        cwd = tmp_path / f"cwd-{number}"
        cwd.mkdir()
        both.append(boards.start(*options, *more, home=tmp_path / "home", cwd=cwd, registry=registry))
    ends = [process.communicate(timeout=800) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    ours, theirs = (json.loads(stdout) for stdout, _ in ends)
    assert ours == theirs
    assert len(list(started.iterdir())) == len(names)
    runs = list((tmp_path / "home" / "runs").glob("*/*/*/*"))
    assert len(runs) == len(names) and all(len(list(run.glob("attempt-*"))) == 1 for run in runs)
