"""``lanner metric`` prints cards."""

from __future__ import annotations

import json
import subprocess
import sys

from click.testing import CliRunner
from lanner.cli import lanner
from lanner.compat import COMPAT
from lanner.metrics import METRICS
from lanner.networks import NETWORK_METRICS


def run(*arguments):
    return CliRunner().invoke(lanner, ["metric", *arguments])


def test_list_names_every_metric():
    result = run("list")
    assert result.exit_code == 0
    assert all(name in result.output for name in METRICS)
    assert f"{len(COMPAT)} metrics of" in result.stderr


def test_list_peers_names_every_metric_of_a_peer():
    result = run("list", "--peers")
    assert result.exit_code == 0
    assert all(name in result.output for name in COMPAT)


def test_list_networks_names_every_metric_of_networks_and_info_knows_them():
    result = run("list", "--networks")
    assert result.exit_code == 0
    assert all(name in result.output for name in NETWORK_METRICS)
    cards = json.loads(run("list", "--networks", "--json").stdout)
    assert {card["id"] for card in cards} == set(NETWORK_METRICS)
    card = json.loads(run("info", "edge_wasserstein/top", "--json").output)
    assert card["sha256"] == NETWORK_METRICS["edge_wasserstein/top"].card.sha256
    assert "random.sample" in run("info", "causalbench/false_omission_rate").output


def test_list_as_json_has_both_kinds():
    cards = json.loads(run("list", "--json").stdout)
    assert [card["id"] for card in cards if card["kind"] == "lanner"] == list(METRICS)
    assert [card["id"] for card in cards if card["kind"] == "peer"] == list(COMPAT)
    assert len(cards) == len(METRICS) + len(COMPAT)


def test_info_prints_the_card_of_a_peers_metric_with_its_faults():
    card = json.loads(run("info", "perturbench/mmd", "--json").output)
    assert card["kind"] == "peer" and card["family"] == "mmd"
    assert "half an energy distance" in card["faults"]
    assert "half an energy distance" in run("info", "perturbench/mmd").output


def test_docs_writes_the_pages(tmp_path):
    written = json.loads(run("docs", "--out", str(tmp_path), "--json").output)["written"]
    assert sorted(written) == sorted(str(path) for path in tmp_path.iterdir())


def test_info_prints_the_whole_card_and_its_hash():
    card = json.loads(run("info", "energy/pca50", "--json").output)
    assert card["sha256"] == METRICS["energy/pca50"].card.sha256
    assert "U-statistic" in card["estimator"] and "Székely" in card["definition"]
    assert "U-statistic" in run("info", "energy/pca50").output
    assert "energy/pca50; energy/gene" in run("info", "energy").output


def test_an_unknown_metric_is_a_usage_error_that_suggests_the_nearest():
    result = run("info", "energi")
    assert "did you mean 'energy'" in str(result.exception)
    assert result.exception.exit_code == 2


def test_cards_are_listed_without_importing_torch():
    program = "import sys, lanner.metrics; assert 'torch' not in sys.modules, 'torch was imported'"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
