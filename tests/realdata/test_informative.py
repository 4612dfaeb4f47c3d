"""The committed table of what each real dataset can tell, computed again from the bounds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lanner import leaderboard
from lanner.config import Settings
from lanner.leaderboard.informative import informative, markdown

pytestmark = pytest.mark.realdata
REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
REGENERATE = "lanner leaderboard informative real --out docs/reference"


@pytest.mark.timeout(900)
def test_the_committed_table_is_what_the_bounds_say(shared_settings: Settings) -> None:
    committed = json.loads((REFERENCE / "informative.json").read_text())
    found = informative(leaderboard.load("real", shared_settings), shared_settings)
    assert len(found["rows"]) == len(committed["rows"]), f"run {REGENERATE}"
    for ours, theirs in zip(found["rows"], committed["rows"], strict=True):
        for key, value in theirs.items():
            expected = pytest.approx(value, abs=0.01) if isinstance(value, float) else value
            assert ours[key] == expected, f"{theirs['dataset']} {theirs['metric']} {key}: run {REGENERATE}"


def test_the_page_is_made_of_the_committed_table() -> None:
    committed = json.loads((REFERENCE / "informative.json").read_text())
    assert (REFERENCE / "informative.md").read_text() == markdown(committed)


def test_mcfaline_cannot_tell_methods_apart_and_the_table_says_so() -> None:
    rows = json.loads((REFERENCE / "informative.json").read_text())["rows"]
    verdicts = {row["metric"]: row["informative"] for row in rows if row["dataset"] == "mcfaline23-gbm"}
    assert verdicts["mse"] == "not informative"
    assert "informative" not in verdicts.values()
    assert "No primary metric is informative on mcfaline23-gbm" in (REFERENCE / "informative.md").read_text()
