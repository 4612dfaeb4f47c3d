"""The machinery that runs peers: what it saves it reads back, and it notices when two sides differ."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).parent.parent.parent
sys.path.append(str(REPOSITORY))

from benchmarks.peers import answers, data, environments, limits  # noqa: E402
from benchmarks.peers.agreement import compare, metric_id, small_pair  # noqa: E402
from benchmarks.peers.same import agreement  # noqa: E402


def test_answers_are_read_back_with_undefined_values(tmp_path: Path) -> None:
    answers.write(
        tmp_path / "a.json", "lanner", ["numpy"], data.small(), "none", {"m": {"x": 0.1, "y": math.nan}}
    )
    document = answers.read(tmp_path / "a.json")
    assert document["values"]["m"]["x"] == 0.1
    assert math.isnan(document["values"]["m"]["y"])
    assert document["data"]["sha256"] == data.small().sha256


def test_the_small_data_differ_for_another_seed() -> None:
    assert data.small(8).sha256 != data.small().sha256


def test_a_number_that_moved_disagrees_and_so_does_undefined_for_defined() -> None:
    pair = small_pair()
    truth = dict(
        zip(
            pair.perturbations,
            ((pair.prediction.means() - pair.truth.means()) ** 2).mean(axis=1),
            strict=True,
        )
    )
    id = metric_id("cell-eval", "mse")
    assert compare(pair, id, truth).agrees
    assert not compare(pair, id, {**truth, "drug_a": truth["drug_a"] * (1 + 1e-6)}).agrees
    assert not compare(pair, id, {**truth, "drug_a": math.nan}).agrees


def test_tests_that_differ_are_counted(tmp_path: Path) -> None:
    mine = {"u": np.array([[1.0, 2.0]]), "p": np.array([[0.5, 0.01]]), "fdr": np.array([[0.5, 0.02]])}
    theirs = {**mine, "u": np.array([[1.0, 2.5]]), "fdr": np.array([[0.5, 0.06]])}
    for name, of in (("ours", mine), ("peer", theirs)):
        np.savez(tmp_path / f"{name}.npz", labels=np.array(["a"]), **of)
    said = agreement("de", tmp_path / "ours.npz", tmp_path / "peer.npz")
    assert "2 tests: U differs in 1" in said
    assert "calls in 1" in said


def test_every_peer_has_requirements_a_script_and_committed_answers() -> None:
    folder = REPOSITORY / "benchmarks" / "peers"
    for peer, script in environments.PEERS.items():
        assert "==" in (folder / "requirements" / f"{peer}.txt").read_text()
        assert (folder / "runners" / f"{script}.py").exists()
        assert (REPOSITORY / "tests" / "golden" / "peers" / f"{peer}.json").exists()


def test_every_peer_of_networks_has_requirements_a_script_and_committed_answers() -> None:
    folder = REPOSITORY / "benchmarks" / "peers"
    for peer, script in environments.NETWORK_PEERS.items():
        assert "==" in (folder / "requirements" / f"{peer}.txt").read_text()
        assert (folder / "runners" / f"{script}.py").exists()
        assert (REPOSITORY / "tests" / "golden" / "peers" / "networks" / f"{peer}.json").exists()


def test_limits_grow_with_the_work() -> None:
    rate = {"flops": 1e11, "keys": 1e8, "bytes": 1e10, "l1": 1e9}
    small = limits.limits(limits.Work(10, 50, 100, 200, 10_000), rate)
    large = limits.limits(limits.Work(20, 50, 100, 400, 40_000), rate)
    assert all(0 < small[stage] < large[stage] for stage in small)


@pytest.mark.parametrize("module", ["benchmarks.peers", "benchmarks.peers.speed"])
def test_the_commands_explain_themselves(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert "--environments" in done.stdout
