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


OWN_NETWORKS = [name for name in NETWORK_METRICS if not NETWORK_METRICS[name].card.peer]


def rows(*arguments):
    """Task and id of every line, from the JSON."""
    return [(card["task"], card["id"]) for card in json.loads(run("list", "--json", *arguments).stdout)]


def test_list_names_every_metric_of_every_task():
    result = run("list")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    for task, names in (("perturbation-response", METRICS), ("network-inference", OWN_NETWORKS)):
        for name in names:
            assert any(line.split()[:2] == [task, name] for line in lines), name
    n_peers = len(COMPAT) + len(NETWORK_METRICS) - len(OWN_NETWORKS)
    assert f"{n_peers} metrics of peers" in result.stderr


def test_list_peers_names_every_metric_of_a_peer_and_no_other():
    result = run("list", "--peers")
    assert result.exit_code == 0
    names = {line.split()[1] for line in result.stdout.splitlines() if len(line.split()) > 1}
    assert names >= {*COMPAT, *NETWORK_METRICS} - set(OWN_NETWORKS)
    assert not names & {*METRICS, *OWN_NETWORKS}


def test_list_of_one_task_has_its_metrics_alone_and_an_unknown_task_is_told():
    found = rows("--task", "network-inference")
    assert {id for _, id in found} == set(NETWORK_METRICS) and {task for task, _ in found} == {
        "network-inference"
    }
    shown = run("list", "--task", "network-inference").stdout
    assert "edge_wasserstein/top" in shown and "pearson_delta" not in shown
    assert "did you mean 'network-inference'" in str(run("list", "--task", "network-inferense").exception)


def test_info_knows_the_metrics_of_networks():
    card = json.loads(run("info", "edge_wasserstein/top", "--json").output)
    assert card["sha256"] == NETWORK_METRICS["edge_wasserstein/top"].card.sha256
    assert "random.sample" in run("info", "causalbench/false_omission_rate").output


def test_list_as_json_has_both_kinds_of_all_tasks():
    cards = json.loads(run("list", "--json").stdout)
    own = [card["id"] for card in cards if card["kind"] == "lanner"]
    assert own == [*METRICS, *sorted(OWN_NETWORKS)]
    assert len(cards) == len(METRICS) + len(COMPAT) + len(NETWORK_METRICS)
    assert [id for _, id in rows()] == [card["id"] for card in cards]


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


def test_the_peers_metrics_are_listed_without_importing_scipy_stats():
    program = "import sys, lanner.compat, lanner.pairs\n"
    program += "assert 'scipy.stats' not in sys.modules, 'scipy.stats was imported'"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
