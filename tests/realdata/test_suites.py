"""Every bundled leaderboard expands to its runs on the public data, as `--dry-run` shows them."""

from __future__ import annotations

from pathlib import Path

import pytest
from lanner import leaderboard
from lanner.config import Settings, bundled_root

pytestmark = pytest.mark.realdata
SUITES = sorted((bundled_root() / "leaderboards").glob("*.yaml"))


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_a_bundled_leaderboard_names_runs_for_each_of_its_methods(
    path: Path, shared_settings: Settings
) -> None:
    definition = leaderboard.load(str(path), shared_settings)
    campaign = leaderboard.expand(definition, shared_settings, runner="docker")
    for name in definition.datasets:
        found = {cell.choice.label for cell in campaign.cells if cell.artefact.dataset.entry.id == name}
        assert found == {choice.label for choice in definition.choices}
    assert not [cell for cell in campaign.cells if cell.skip]
    assert campaign.estimate(campaign.missing())["disk_bytes"] > 0
