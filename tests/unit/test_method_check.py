"""lanner method check finds what is wrong with a method, and says nothing against a good one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import boards
import pytest
from click.testing import CliRunner
from lanner.cli import lanner
from lanner.tasks import TASKS

THREADS = """
import threading
end = time.monotonic() + 1.6
def burn():
    with np.errstate(all="ignore"):
        while time.monotonic() < end:
            np.sort(np.random.default_rng(0).random(400_000))
for thread in [threading.Thread(target=burn) for _ in range(4)]:
    thread.start()
while time.monotonic() < end:
    time.sleep(0.05)
write()
"""

# Joins every candidate with every gene; answers requests where there are any.
NETWORK = """
import csv, json, os, pathlib, sys
import h5py, numpy as np

INPUT, OUTPUT = (pathlib.Path(os.environ["LANNER_" + name]) for name in ("INPUT", "OUTPUT"))
task = json.loads((INPUT / "task.json").read_text())
with h5py.File(INPUT / "train.h5ad") as file:
    genes = [name.decode() for name in file["var/_index"][:]]

def written(**items):
    with h5py.File(OUTPUT / "prediction.h5ad", "w") as file:
        file["var/_index"] = genes
        for name, value in items.items():
            file[name.replace("__", "/")] = value
        if "varp__network__data" in items:
            file["varp/network"].attrs["shape"] = (len(genes), len(genes))

if (INPUT / "regulators.csv").exists():
    with (INPUT / "regulators.csv").open(newline="") as stream:
        rows = sorted(genes.index(row["gene"]) for row in csv.DictReader(stream))
    edges = [(row, column) for row in rows for column in range(len(genes)) if row != column]
    edges = edges[: MOST]
    per_row = np.bincount([row for row, _ in edges], minlength=len(genes))
    written(
        varp__network__data=np.ones(len(edges), "f4"),
        varp__network__indices=np.array([column for _, column in edges], "i4"),
        varp__network__indptr=np.concatenate([[0], np.cumsum(per_row)]).astype("i4"),
        obs___index=np.array([], "S1"),
    )
else:
    with (INPUT / "requests.csv").open(newline="") as stream:
        rows = [row["request_id"] for row in csv.DictReader(stream)]
    written(X=np.full((len(rows), len(genes)), 0.5, "f4"), obs___index=rows)
"""
EXPRESSION = ("ordinary", "combinations", "contexts", "unmeasured", "single")
NETWORKS = ("ordinary", "observational", "contexts", "unmeasured", "single", "sparse")


def report(folder: Path, program: str, **manifest: Any) -> tuple[int, dict[str, tuple[str, str]], str]:
    """Exit code, check -> (outcome, detail), and what was said; options of the command in ``manifest``."""
    options = manifest.pop("options_of_check", [])
    own = boards.registry(folder / "registry")
    boards.add_method(own, "mine", program, **manifest)
    if program.startswith(NETWORK[:40]):
        (own / "method_containers" / "mine" / "run.py").write_text(program)
    arguments = ["--registry", str(own), "method", "check", "mine", "--runner", "process", "--trust-process"]
    arguments += options
    environment = {"LANNER_HOME": str(folder / "home")}
    result = CliRunner(env=environment).invoke(lanner, [*arguments, "--json"], standalone_mode=False)
    document = json.loads(result.stdout)
    found = {line["check"]: (line["outcome"], line["detail"]) for line in document["findings"]}
    assert not (folder / "home").exists(), "a check leaves nothing in LANNER_HOME"
    return int(result.return_value), found, result.stderr


def test_a_good_method_passes_every_check(tmp_path: Path) -> None:
    code, found, _ = report(tmp_path, "X[:] = 0.1 * np.arange(len(genes)); write()")
    assert code == 0
    outcomes = {name: outcome for name, (outcome, _) in found.items()}
    assert {outcomes[name] for name in (*EXPRESSION, "repeatable", "seed")} == {"passed"}
    assert outcomes["sandbox"] == "information", "plain processes show nothing of a sandbox"


def test_a_network_method_is_asked_of_networks_alone_and_hears_which_question_it_fails(
    tmp_path: Path,
) -> None:
    code, found, _ = report(tmp_path, NETWORK.replace("MOST", "100"), tasks=["network-inference"])
    assert code == 1
    assert set(NETWORKS) <= set(found) and "combinations" not in found
    assert {found[name][0] for name in (*NETWORKS[:-1], "repeatable", "seed")} == {"passed"}, found
    assert found["ordinary"][1].endswith("a network of 100 edges")
    outcome, detail = found["sparse"]
    assert outcome == "failed" and "no more than ten edges: INVALID_OUTPUT" in detail


def test_a_misspelt_task_is_no_task_and_fails_the_check(tmp_path: Path) -> None:
    code, found, _ = report(tmp_path, "write()", tasks=["perturbation-respons"])
    assert code == 1
    assert found["tasks"][0] == "failed" and "did you mean 'perturbation-response'" in found["tasks"][1]


def test_without_docker_the_check_of_ones_own_method_says_that_it_needs_it(tmp_path: Path) -> None:
    own = boards.registry(tmp_path / "registry")
    boards.add_method(own, "mine", "write()")
    result = boards.lanner(
        *("method", "check", "mine"),
        home=tmp_path / "home",
        registry=own,
        cwd=tmp_path,
        DOCKER_HOST=f"unix://{tmp_path}/no.sock",
    )
    assert result.returncode == 2
    assert "start Docker" in result.stderr.splitlines()[-1]
    assert result.stdout == ""


@pytest.mark.slow
def test_a_method_of_both_tasks_is_asked_of_both(tmp_path: Path) -> None:
    program = NETWORK.replace("MOST", 'task["max_edges"]')
    code, found, _ = report(tmp_path, program, tasks=["perturbation-response", "network-inference"])
    assert code == 0, found
    expected = {f"perturbation-response/{name}" for name in EXPRESSION}
    expected |= {f"network-inference/{name}" for name in NETWORKS}
    assert {found[name][0] for name in expected} == {"passed"}
    assert expected | {
        f"{task}/repeatable" for task in ("perturbation-response", "network-inference")
    } <= set(found)


def test_a_check_takes_parameters_for_methods_that_train_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = TASKS["perturbation-response"]
    first = task.questions()[:1]
    monkeypatch.setattr(type(task), "questions", lambda self: first)
    program = """
import json
epochs = json.loads((INPUT / "task.json").read_text())["parameters"]["epochs"]
X[:] = 1 + 0.01 * np.arange(len(genes))
epochs == 1 and write()
"""
    parameter = {"epochs": {"type": "integer", "default": 1000, "description": "Passes."}}
    code, found, _ = report(
        tmp_path, program, parameters=parameter, options_of_check=["--parameter", "epochs=1"]
    )
    assert (code, found["ordinary"][0]) == (0, "passed")
    assert not set(EXPRESSION[1:]) & set(found)


def test_a_method_that_depends_on_chance_is_told_to_seed_its_generators(tmp_path: Path) -> None:
    code, found, _ = report(tmp_path, "X[:] = np.random.default_rng().random(X.shape); write()")
    assert code == 1
    assert found["repeatable"][0] == "failed"
    assert "LANNER_SEED" in found["repeatable"][1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("declared", "program", "outcome", "says"),
    [
        (True, "int(os.environ['LANNER_SEED'])", "failed", "deterministic: true"),
        (False, "int(os.environ['LANNER_SEED'])", "passed", "as declared"),
        (False, "1", "information", "would save runs"),
    ],
)
def test_what_the_manifest_says_of_the_seed_is_compared_with_what_it_does(
    declared: bool, program: str, outcome: str, says: str, tmp_path: Path
) -> None:
    program = f"X[:] = 1 + 0.5 * {program} + 0.01 * np.arange(len(genes)); write()"
    _, found, _ = report(tmp_path, program, deterministic=declared)
    assert found["seed"][0] == outcome
    assert says in found["seed"][1]


def test_a_method_that_fails_on_one_kind_of_question_hears_which(tmp_path: Path) -> None:
    program = "assert len(genes) == 80, 'a target is missing'; write()"
    code, found, _ = report(tmp_path, program)
    assert code == 1
    assert found["ordinary"][0] == "passed"
    assert found["unmeasured"][0] == "failed"
    assert "a target is missing" in found["unmeasured"][1]


@pytest.mark.slow
def test_a_method_that_declines_a_question_is_not_blamed(tmp_path: Path) -> None:
    program = "len(rows) > 4 or (print('too few requests', file=sys.stderr), sys.exit(99)); write()"
    code, found, _ = report(tmp_path, program)
    assert code == 0
    assert found["single"] == ("information", found["single"][1])
    assert "too few requests" in found["single"][1]


@pytest.mark.slow
def test_a_method_that_answers_nothing_fails(tmp_path: Path) -> None:
    code, found, _ = report(tmp_path, "sys.exit(99)")
    assert code == 1
    assert found["answers"][0] == "failed"


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core cannot be exceeded")
def test_more_threads_than_granted_cpus_are_noticed(tmp_path: Path) -> None:
    code, found, _ = report(tmp_path, THREADS)
    outcome, detail = found["cpus"]
    # On a machine that is busy with other things the threads may not get two cores.
    assert (outcome, code) == ("failed", 1) or float(detail.split()[0]) <= 1.25
