"""lanner method check finds what is wrong with a method, and says nothing against a good one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from lanner.cli import lanner

from tests import boards

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


def report(folder: Path, program: str, **manifest: Any) -> tuple[int, dict[str, tuple[str, str]], str]:
    """Exit code, check -> (outcome, detail), and what was said."""
    own = boards.registry(folder / "registry")
    boards.add_method(own, "mine", program, **manifest)
    arguments = ["--registry", str(own), "method", "check", "mine", "--runner", "process", "--trust-process"]
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
    expected = ("ordinary", "combinations", "contexts", "unmeasured", "single", "repeatable", "seed")
    assert {outcomes[name] for name in expected} == {"passed"}


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
