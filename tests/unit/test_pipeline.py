"""One run, start to end, through the real process runner: every way to fail is a record with its reason."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import boards
import numpy as np
import pytest
from lanner import methods, pipeline, pod_steps, scores, staging
from lanner.config import Settings
from lanner.errors import ConfigurationError, ErrorClass
from lanner.pipeline import Plan
from lanner.records import Limits
from lanner.runners.process import ProcessRunner
from lanner.store import Status, read_json

Execute = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry and a LANNER_HOME with the tiny dataset, sealed and staged."""
    folder = tmp_path_factory.mktemp("pipeline")
    settings = Settings(home=folder / "home", registry=boards.registry(folder / "registry"))
    boards.planned(settings, methods.find(settings, "train-mean"))
    return folder


@pytest.fixture
def own(template: Path, tmp_path: Path) -> Settings:
    """That LANNER_HOME, for one test alone."""
    for name in ("home", "registry"):
        shutil.copytree(template / name, tmp_path / name, copy_function=shutil.copy2)
    return Settings(home=tmp_path / "home", registry=tmp_path / "registry")


@pytest.fixture
def execute(own: Settings) -> Execute:
    """Run a program as one attempt and return its record."""

    def call(program: str, *, trust: bool = True, **limits: float) -> dict[str, Any]:
        assert own.registry is not None
        method = boards.add_method(own.registry, "own-method", program)
        plan = boards.planned(own, method, limits=Limits(**{"timeout_s": 60, **limits}))
        return run(plan, own, trust)

    return call


def run(plan: Plan, settings: Settings, trust: bool = True) -> dict[str, Any]:
    attempt = plan.folder.new_attempt(plan.spec)
    record = pipeline.execute(attempt, plan.spec, settings, ProcessRunner(trust=trust))
    assert record is not None
    assert record == plan.folder.record()
    status = Status(attempt).read()
    assert status is not None
    assert (status["state"], status["error_class"]) == (record["state"], record["error_class"])
    assert not {path.name for path in attempt.iterdir()} & {"input", "output"}
    return record


def test_a_prediction_is_taken_checked_and_kept(execute: Execute, own: Settings) -> None:
    record = execute("write()")
    assert (record["state"], record["error_class"], record["message"]) == ("succeeded", None, "")
    assert record["prediction"]["kind"] == "profiles" and record["unanswered"] == []
    (attempt,) = (own.home / "runs").glob("*/*/*/*/attempt-1")
    names = {path.name for path in attempt.iterdir()}
    assert names == {
        "spec.json",
        "status.json",
        "resources.json",
        "stdout.log",
        "stderr.log",
        "prediction.h5ad",
    }
    assert list((attempt.parent / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("program", "error_class", "says"),
    [
        ("sys.exit('no genes: bring more')", "METHOD_ERROR", "exit code 1: no genes: bring more"),
        ("raise KeyError('gene')", "METHOD_ERROR", "exit code 1: KeyError: 'gene'"),
        ("pass", "NO_OUTPUT", "wrote no prediction.h5ad"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "CRASH", "SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "CRASH", "SIGKILL, possibly for lack of memory"),
        ("genes.reverse(); write()", "INVALID_OUTPUT", "gene"),
        ("genes = genes[1:]; X = X[:, 1:]; write()", "INVALID_OUTPUT", "gene|column"),
        ("rows = rows[1:]; X = X[1:]; write()", "INVALID_OUTPUT", "rows"),
        ("rows.reverse(); write()", "INVALID_OUTPUT", "request|row"),
        ("X[0, 0] = np.nan; write()", "INVALID_OUTPUT", "finite|NaN"),
        ("X[-1, -1] = np.inf; write()", "INVALID_OUTPUT", "finite|inf"),
        ("X[:] = 500; write()", "INVALID_OUTPUT", "scale|counts|log"),
        ("(OUTPUT / 'prediction.h5ad').write_text('hello')", "INVALID_OUTPUT", "not an HDF5 file"),
        ("(OUTPUT / 'prediction.h5ad').symlink_to(INPUT / 'train.h5ad')", "INVALID_OUTPUT", "regular file"),
        ("(OUTPUT / 'prediction.h5ad').mkdir()", "INVALID_OUTPUT", "is a folder; write a regular file"),
    ],
)
def test_every_fault_of_a_method_is_a_failed_run_with_its_class_and_a_sentence(
    execute: Execute, program: str, error_class: str, says: str
) -> None:
    record = execute(program)
    assert (record["state"], record["error_class"]) == ("failed", error_class)
    assert any(word in record["message"] for word in says.split("|")), record["message"]
    assert "\n" not in record["message"] and len(record["message"]) < 500
    assert "prediction" not in record


def test_a_refused_prediction_is_not_kept(execute: Execute, own: Settings) -> None:
    execute("X[0, 0] = np.nan; write()")
    assert not list(own.home.rglob("prediction.h5ad"))


def test_exit_99_is_a_skip_with_the_methods_own_reason(execute: Execute) -> None:
    record = execute("print('needs doubles', file=sys.stderr); sys.exit(99)")
    assert (record["state"], record["error_class"]) == ("skipped", "NOT_APPLICABLE")
    assert record["message"] == "needs doubles"


def test_a_method_beyond_its_time_is_stopped_and_says_so(execute: Execute) -> None:
    record = execute("time.sleep(60)", timeout_s=1)
    assert record["error_class"] == "TIMEOUT"
    assert "stopped at its time limit" in record["message"]


def test_a_method_beyond_its_memory_is_stopped_and_says_what_to_do(execute: Execute) -> None:
    record = execute("x = np.ones(60_000_000); time.sleep(30)", memory_mb=200)
    assert record["error_class"] == "OOM"
    assert "give it more memory_mb" in record["message"]


def test_partly_answered_requests_are_named(execute: Execute) -> None:
    program = """
write()
with h5py.File(OUTPUT / "prediction.h5ad", "a") as file:
    file["obs/answered"] = np.arange(len(rows)) > 1
"""
    record = execute(program)
    assert record["state"] == "succeeded"
    assert record["unanswered"] == ["r0000", "r0001"]


def test_somebody_elses_method_is_skipped_unless_it_is_trusted_and_trust_is_another_run(
    own: Settings,
) -> None:
    assert own.registry is not None
    method = boards.add_method(own.registry, "own-method")
    careful, trusting = (boards.planned(own, method, trust=trust) for trust in (False, True))
    record = run(careful, own, trust=False)
    assert (record["state"], record["error_class"]) == ("skipped", "NOT_APPLICABLE")
    assert record["message"].startswith("needs a container")
    assert careful.folder.reason_to_run() is None
    assert trusting.folder.reason_to_run() == "never run"
    assert run(trusting, own)["state"] == "succeeded"
    assert trusting.spec["keyed"]["trust_process"] and not careful.spec["keyed"]["trust_process"]


def test_a_method_of_lanner_needs_no_trust_and_its_run_is_the_same_with_it(own: Settings) -> None:
    method = methods.find(own, "train-mean")
    with_trust, without = (boards.planned(own, method, trust=trust) for trust in (True, False))
    assert with_trust == without


def test_a_method_that_changed_after_it_was_planned_is_not_run(own: Settings) -> None:
    assert own.registry is not None
    method = boards.add_method(own.registry, "own-method")
    plan = boards.planned(own, method)
    with (own.registry / "method_containers" / "own-method" / "run.py").open("a") as stream:
        stream.write("\n# changed\n")
    record = run(plan, own)
    assert (record["state"], record["error_class"]) == ("failed", "PLATFORM_ERROR")
    assert "has changed since this run was planned; build again" in record["message"]
    assert plan.folder.reason_to_run() is not None


def test_a_method_that_is_gone_is_a_record_too(own: Settings) -> None:
    assert own.registry is not None
    plan = boards.planned(own, boards.add_method(own.registry, "own-method"))
    shutil.rmtree(own.registry / "method_containers" / "own-method")
    record = run(plan, own)
    assert record["state"] == "failed" and "own-method" in record["message"]


def test_an_attempt_is_executed_once(own: Settings) -> None:
    plan = boards.planned(own, methods.find(own, "train-mean"))
    attempt = plan.folder.new_attempt(plan.spec)
    assert Status(attempt).claim()
    assert pipeline.execute(attempt, plan.spec, own, ProcessRunner()) is None
    assert plan.folder.record() is None


def test_an_attempt_that_was_cancelled_while_it_waited_ends_before_it_begins(own: Settings) -> None:
    plan = boards.planned(own, methods.find(own, "train-mean"))
    for step in ("here", "in a pod"):
        attempt = plan.folder.new_attempt(plan.spec)
        Status(attempt).request_cancel()
        if step == "here":
            record = pipeline.execute(attempt, plan.spec, own, ProcessRunner())
            assert record is not None and plan.folder.record() == record
        else:
            assert pod_steps.stage(attempt, plan.spec, own, own.home) == 1
            record = pod_steps.outcome(attempt)
            assert record is not None
        assert (record["state"], record["error_class"]) == ("cancelled", "CANCELLED")
        assert not (attempt / "resources.json").exists()


@pytest.mark.parametrize("moment", ["before it runs", "while it runs"])
def test_an_attempt_that_was_given_up_while_its_machine_slept_changes_no_record(
    moment: str, own: Settings
) -> None:
    plan = boards.planned(own, methods.find(own, "train-mean"))
    attempt = plan.folder.new_attempt(plan.spec)

    def give_up() -> None:
        pipeline.finish(attempt, plan.spec, pipeline.lost("no heartbeat came"))

    class Sleeping(ProcessRunner):
        def prepare(self, method: methods.Method) -> dict[str, Any]:
            if moment == "before it runs":
                give_up()
            return super().prepare(method)

        def run(self, *arguments: Any, **options: Any) -> Any:
            assert moment == "while it runs"
            give_up()
            return super().run(*arguments, **options)

    assert pipeline.execute(attempt, plan.spec, own, Sleeping()) is None
    record = plan.folder.record()
    assert record is not None and (record["state"], record["error_class"]) == ("failed", "LOST")
    assert not (attempt / "output").exists() and not (attempt / "prediction.h5ad").exists()


def test_the_input_is_staged_again_where_the_cache_was_emptied(own: Settings) -> None:
    plan = boards.planned(own, methods.find(own, "train-mean"))
    for name in ("staged", "truth", "data"):
        shutil.rmtree(own.home / name)
    assert run(plan, own)["state"] == "succeeded"


def test_a_dataset_that_changed_after_the_run_was_planned_is_said(own: Settings) -> None:
    plan = boards.planned(own, methods.find(own, "train-mean"))
    for name in ("staged", "truth", "data"):
        shutil.rmtree(own.home / name)
    assert own.registry is not None
    path = own.registry / "datasets_registry" / "tiny" / "dataset.yaml"
    document = json.loads(path.read_text())
    document["prepare"]["parameters"]["seed"] += 1
    path.write_text(json.dumps(document))
    record = run(plan, own)
    assert "dataset tiny has changed since this run was planned" in record["message"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_full_disk_is_the_platforms_fault_and_tried_again(own: Settings, tmp_path: Path) -> None:
    with boards.small_disk(tmp_path / "disk", "4m") as disk:
        home = disk / "home"
        home.mkdir()
        for name in ("staged", "truth", "data", "splits"):
            (home / name).symlink_to(own.home / name)
        settings = Settings(home=home, registry=own.registry)
        assert own.registry is not None
        program = "(OUTPUT / 'filler').write_bytes(bytes(64 << 20)); write()"
        method = boards.add_method(own.registry, "own-method", program)
        record = run(boards.planned(settings, method), settings)
        assert record["state"] == "failed" and record["error_class"] == "DISK_FULL"
        assert boards.planned(settings, method).folder.reason_to_run() is not None


def test_a_run_is_named_by_everything_that_can_change_its_result(own: Settings) -> None:
    method = methods.find(own, "linear-embedding")
    plans = [
        boards.planned(own, method),
        boards.planned(own, method, seed=1),
        boards.planned(own, method, limits=Limits(memory_mb=1000)),
        boards.planned(own, method, limits=Limits(timeout_s=61)),
        boards.planned(own, method, runner="docker"),
        boards.planned(own, methods.find(own, "no-change")),
    ]
    assert len({plan.folder.key for plan in plans}) == len(plans)
    assert boards.planned(own, method).folder.key == plans[0].folder.key


def test_an_interrupted_attempt_is_recorded_as_cancelled_and_raised_again(own: Settings) -> None:
    assert own.registry is not None
    method = boards.add_method(own.registry, "own-method", "time.sleep(60)")
    plan = boards.planned(own, method)
    attempt = plan.folder.new_attempt(plan.spec)

    class Interrupted(ProcessRunner):
        def run(self, *arguments: Any, **options: Any) -> Any:
            signal.raise_signal(signal.SIGINT)
            return super().run(*arguments, **options)

    with pytest.raises(KeyboardInterrupt):
        pipeline.execute(attempt, plan.spec, own, Interrupted(trust=True))
    record = plan.folder.record()
    assert record is not None
    assert (record["state"], record["error_class"]) == ("cancelled", "CANCELLED")
    assert plan.folder.reason_to_run() == "last attempt failed with CANCELLED"


def test_scores_are_stored_and_equal_when_computed_again(own: Settings) -> None:
    plan = boards.planned(own, methods.find(own, "train-mean"))
    run(plan, own)
    split, truth = boards.prepared(own)
    staged = staging.open_shared(own.home, split, boards.TASK)
    assert staged is not None
    first = scores.score_run(plan.folder, truth, staged, ["mse"])
    asked = scores.Question(task=boards.TASK, metrics=["mse"], judged={})
    assert scores.stored_scores(plan.folder, asked) is not None
    assert scores.stored_details(plan.folder, asked) is None
    assert scores.stored_scores(plan.folder, replace(asked, metrics=["pearson_delta"])) is None
    assert scores.stored_scores(plan.folder, replace(asked, judged={"networks": "other"})) is None
    shutil.rmtree(plan.folder.path / "scores")
    second = scores.score_run(plan.folder, truth, staged, ["mse"])
    np.testing.assert_array_equal(first["value"], second["value"])
    assert list((plan.folder.path / "tmp").iterdir()) == []


def test_a_run_without_a_prediction_cannot_be_scored(own: Settings) -> None:
    plan = boards.planned(own, methods.find(own, "train-mean"))
    split, truth = boards.prepared(own)
    staged = staging.open_shared(own.home, split, boards.TASK)
    assert staged is not None
    with pytest.raises(ConfigurationError, match="holds no prediction to score; run it first"):
        scores.score_run(plan.folder, truth, staged, ["mse"])


def test_what_a_record_says_of_a_lost_attempt() -> None:
    record = pipeline.lost("the worker is gone")
    assert (record["state"], record["error_class"]) == ("failed", ErrorClass.LOST)


def test_resources_say_what_the_run_used_and_that_it_was_unsealed(execute: Execute, own: Settings) -> None:
    execute("write()")
    (path,) = own.home.rglob("resources.json")
    resources = read_json(path)
    assert resources["wall_seconds"] > 0 and resources["peak_memory_mb"] > 10
    assert resources["unsealed"] is True and resources["trusted"] is True
