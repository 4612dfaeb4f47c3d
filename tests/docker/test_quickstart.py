"""The quickstart leaderboard in containers, end to end, twice, and a harness killed in the middle."""

from __future__ import annotations

import json
from pathlib import Path

import boards
import docker
import pytest

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]


def containers(home: Path) -> list[str]:
    """Containers, running or not, of the runs of ``home``."""
    specs = (home / "runs").glob("*/*/*/*/attempt-*/spec.json")
    keys = {json.loads(path.read_text())["key"] for path in specs}
    listed = docker.from_env().containers.list(all=True, filters={"label": "lanner.run"}, ignore_removed=True)
    return [container.name for container in listed if container.labels["lanner.run"] in keys]


def test_the_quickstart_is_built_in_containers_and_the_second_time_from_the_cache(tmp_path: Path) -> None:
    home, site = tmp_path / "home", tmp_path / "site" / "quickstart"
    build = ("leaderboard", "build", "quickstart", "--runner", "docker", "--json")
    result = boards.lanner(*build, home=home, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    rows = json.loads(result.stdout)["rows"]
    assert len({(row["split"], row["method"]) for row in rows}) == len(rows) == 15
    assert not any(row["unsealed"] for row in rows)
    skipped = [(row["split"], row["method"]) for row in rows if row["status"] != "succeeded"]
    assert skipped == [("unseen-perturbation", "additive")]
    assert {path.name for path in site.iterdir()} >= {"index.html", "leaderboard.md", "scores.parquet"}
    assert containers(home) == []

    before = (site / "leaderboard.json").read_bytes()
    result = boards.lanner(*build, home=home, cwd=tmp_path)
    assert result.returncode == 0
    assert "0 runs to do, 15 cached" in result.stderr
    assert (site / "leaderboard.json").read_bytes() == before


@pytest.mark.slow
def test_a_harness_killed_in_the_middle_leaves_no_container_once_built_again(tmp_path: Path) -> None:
    home = tmp_path / "home"
    datasets = [{"id": "simulated", "splits": [{"id": "unseen-combination"}]}]
    board = boards.board(tmp_path, ["train-mean", "no-change"], datasets=datasets, metrics=["mse"])
    build = ("leaderboard", "build", board, "--runner", "docker", "--json")
    first = boards.start(*build, home=home, cwd=tmp_path)
    boards.until(lambda: containers(home), "the first container")
    workers = boards.kill_with_workers(first)
    assert workers
    result = boards.lanner(*build, home=home, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert [row["status"] for row in json.loads(result.stdout)["rows"]] == ["succeeded"] * 2
    assert containers(home) == []
    attempts = [path.parent.name for path in (home / "runs").glob("*/*/*/*/attempt-*/spec.json")]
    assert attempts.count("attempt-2") == workers
