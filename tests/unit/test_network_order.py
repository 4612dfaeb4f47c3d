"""A board of the task on `simulated`, built for real: what interventions are worth, with its intervals."""

from __future__ import annotations

import json

import boards
import pytest

METRIC = "gold_auprc"
METHODS = [
    "random-network",
    {"name": "correlation", "options": {"regime": ["observational", "interventional"]}},
    {"name": "sparse-regression", "options": {"regime": ["observational", "interventional"]}},
]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """The number of each row, as leaderboard.json has it."""
    folder = tmp_path_factory.mktemp("order")
    fields = {"task": "network-inference", "metrics": [METRIC]}
    path = boards.board(folder, METHODS, datasets=["simulated"], splits=["held-out-interventions"], **fields)
    arguments = ("leaderboard", "build", path, "--runner", "process", "--trust-process")
    done = boards.lanner(*arguments, home=folder / "home", cwd=folder)
    assert done.returncode == 0, done.stderr
    text = (folder / "home" / "leaderboards" / "board" / "leaderboard.json").read_text()
    return {row["method"]: row["scores"][METRIC] for row in json.loads(text)["summaries"]}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_interventions_beat_observations_which_beat_chance_and_the_intervals_are_apart(found) -> None:
    random = found["random-network"]
    assert random["interval"][0] <= random["chance"] <= random["interval"][1]
    for method in ("correlation", "sparse-regression"):
        more, less = (found[f"{method}[regime={regime}]"] for regime in ("interventional", "observational"))
        assert more["n"] == less["n"] == random["n"] == 24  # regulators, which are resampled
        assert more["interval"][0] > less["interval"][1] > less["interval"][0] > random["interval"][1]
        assert more["skill_interval"][0] > 0 > random["skill_interval"][1]
