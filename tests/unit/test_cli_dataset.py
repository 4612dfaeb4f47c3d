from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from dataset_entries import toy, toy_entry
from lanner.cli.dataset import dataset_command
from lanner.config import Settings
from lanner.errors import ConfigurationError


def run(settings: Settings, *arguments: str) -> Result:
    return CliRunner().invoke(dataset_command, arguments, obj=settings, catch_exceptions=False)


def test_list_shows_every_entry(shared_settings: Settings) -> None:
    rows = json.loads(run(shared_settings, "list", "--json").stdout)
    assert {"simulated", "kang18-pbmc"} <= {row["id"] for row in rows}
    assert "simulated" in run(shared_settings, "list").stdout


def test_info_shows_an_entry_and_its_sizes_when_asked(shared_settings: Settings) -> None:
    assert "unseen-combination (fraction=0.5)" in run(shared_settings, "info", "simulated").stdout
    document = json.loads(run(shared_settings, "info", "simulated", "--load", "--json").stdout)
    assert document["data"]["rows"] == 5300 and document["data"]["combinations"] == 16


def test_fetch_prints_where_the_data_are(shared_settings: Settings) -> None:
    (row,) = json.loads(run(shared_settings, "fetch", "simulated", "--json").stdout)
    assert Path(row["folder"], "dataset.json").is_file()


def test_check_of_a_sound_dataset_ends_with_0(shared_settings: Settings) -> None:
    result = run(shared_settings, "check", "simulated", "--json")
    assert result.exit_code == 0
    assert all(line["passed"] for line in json.loads(result.stdout)["simulated"]["checks"])


def test_check_ends_with_2_when_a_fact_fails_but_not_for_a_warning(
    settings: Settings, tmp_path: Path
) -> None:
    fact = {"text": "There are 99 rows.", "check": "count", "of": "rows"}
    toy_entry(settings, toy(), tmp_path, name="right", id="right", facts=[{**fact, "expected": 10}])
    toy_entry(settings, toy(), tmp_path, name="wrong", id="wrong", facts=[{**fact, "expected": 99}])
    assert run(settings, "check", "right").exit_code == 0
    assert "warning" in run(settings, "check", "right").stdout
    result = run(settings, "check", "right", "wrong")
    assert result.exit_code == 2 and "FAILED" in result.stdout and "1 checks failed" in result.stderr


def test_an_unknown_name_is_refused_before_anything_is_fetched(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'simulated'"):
        run(settings, "fetch", "kang18-pbmc", "simulatd")
    assert not (settings.home / "data").exists()
