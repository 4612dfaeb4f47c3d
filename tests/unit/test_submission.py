"""run --compare, --submit, submission verify, and predictions that are not re-run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boards
import click
import numpy as np
import pytest
from click.testing import CliRunner
from lanner.aggregate.comparing import beside
from lanner.cli import lanner
from lanner.errors import ConfigurationError, LannerError
from lanner.records import sha256_json
from lanner.submission import read

Call = Callable[..., Any]
RUN = ("--dataset", "tiny", "--split", "unseen-combination", "--runner", "process", "--trust-process")
FLAT = "X[:] = 0.3 + 0.01 * np.arange(len(genes)); write()"
MEMORY = """
marker = pathlib.Path({path!r})
X[:] = 0.3 + 0.01 * np.arange(len(genes)) + {step} * marker.exists()
marker.touch()
write()
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry, and a LANNER_HOME with the truth, its bounds and two runs, to be copied."""
    folder = tmp_path_factory.mktemp("submissions")
    registry = boards.registry(folder / "registry")
    boards.add_method(registry, "flat", FLAT)
    boards.add_method(registry, "steep", "X[:] = 0.05 * np.arange(len(genes)); write()")
    asked = ("run", "--method", "flat", "--method", "steep", *RUN)
    result = boards.lanner(*asked, home=folder / "home", cwd=folder, registry=registry)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture
def call(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """The command line on a registry with the tiny dataset; its result as JSON, or its error."""
    for name in ("registry", "home"):
        shutil.copytree(template / name, tmp_path / name)
    registry = tmp_path / "registry"
    monkeypatch.setenv("LANNER_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path, code: int = 0) -> Any:
        options = ["--registry", str(registry), *map(str, arguments), "--json"]
        result = CliRunner().invoke(lanner, options, standalone_mode=False, catch_exceptions=False)
        returned = result.return_value
        assert (returned if isinstance(returned, int) else 0) == code, result.output
        return json.loads(result.stdout)

    return run


def submitted(call: Call, path: Path, method: str = "flat") -> dict[str, Any]:
    call("run", "--method", method, *RUN, "--submit", path)
    return read(path)


def test_a_method_stands_beside_each_baseline_with_paired_gains_and_its_worst_conditions(call: Call) -> None:
    document = call("run", "--method", "flat", *RUN, "--compare", "--baseline", "steep")
    (item,) = document["items"]
    assert (item["dataset"], item["method"], item["note"]) == ("tiny", "flat", None)
    mse = next(metric for metric in item["metrics"] if metric["metric"] == "mse")
    assert set(mse["against"]) == {"steep", "no-change (bound)", "train-mean (bound)"}
    for name, compared in mse["against"].items():
        assert compared["gain"] == pytest.approx(mse["baselines"][name] - mse["value"], rel=1e-9)
    assert mse["against"]["steep"]["gain"] != 0
    worst = item["worst"]
    assert len(worst) == 5
    assert [line["standing"] for line in worst] == sorted(line["standing"] for line in worst)
    again = call("run", "--method", "flat", *RUN, "--compare", "--baseline", "steep")
    assert again == document, "the second time from the cache, equal to the digit"


@pytest.mark.slow
def test_the_comparison_says_the_same_of_a_method_whichever_others_are_beside_it(call: Call) -> None:
    alone = call("run", "--method", "flat", *RUN, "--compare", "--baseline", "steep")
    both = call("run", "--method", "flat", "--method", "steep", *RUN, "--compare", "--baseline", "steep")
    mine = next(item for item in both["items"] if item["method"] == "flat")
    assert mine == alone["items"][0]


def test_gains_on_oneself_are_nothing_and_are_not_tested() -> None:
    from lanner.aggregate.pooling import Pooled

    n = 12
    values = np.linspace(0.1, 1, n)
    names = tuple(f"P{i:02d}" for i in range(n))
    mine = Pooled(
        metric="mse",
        variant="",
        status="scored",
        conditions=names,
        perturbations=names,
        contexts=("c",) * n,
        values=values,
        answered_only=values,
        n_answered=n,
        n_undefined=0,
        n_unanswered=0,
        sd_seeds=float("nan"),
        chance=values,
        negative={},
        positive={},
        bds=values,
        residual=None,
        repeats=None,
    )
    found = beside([(mine, {"itself": values, "worse": values + 1 + 0.1 * values})], "seed")["against"]
    assert (found["itself"]["gain"], found["itself"]["p"]) == (0.0, None)
    assert found["worse"]["gain"] == pytest.approx(1 + 0.1 * values.mean())
    low, high = found["worse"]["interval"]
    assert 1 < low < found["worse"]["gain"] < high < 1.2
    assert found["worse"]["better"] and found["worse"]["p_holm"] == found["worse"]["p"]


def test_a_submission_is_verified_by_running_it_again_without_the_cache(call: Call, tmp_path: Path) -> None:
    document = submitted(call, tmp_path / "mine.json")
    assert document["method"]["identity"].startswith("folder:")
    assert document["runs"][0]["scores"]["mse"]["conditions"]
    before = sorted(path for path in (tmp_path / "home" / "runs").rglob("*"))
    found = call("submission", "verify", "mine.json", "--runner", "process", "--trust-process")
    assert found["verified"] is True
    assert [row["verdict"] for row in found["rows"]] == ["same"]
    assert sorted((tmp_path / "home" / "runs").rglob("*")) == before
    assert not list((tmp_path / "home").glob(".verify*"))
    assert call("submission", "show", "mine.json") == document


@pytest.mark.slow
@pytest.mark.parametrize(("step", "verdict", "code"), [(1e-6, "within tolerance", 0), (0.1, "different", 1)])
def test_a_method_that_predicts_otherwise_the_second_time_is_told_apart_by_how_much(
    call: Call, tmp_path: Path, step: float, verdict: str, code: int
) -> None:
    program = MEMORY.format(path=str(tmp_path / "marker"), step=step)
    boards.add_method(tmp_path / "registry", "remembers", program)
    submitted(call, tmp_path / "mine.json", "remembers")
    found = call("submission", "verify", "mine.json", "--runner", "process", "--trust-process", code=code)
    (row,) = found["rows"]
    assert (row["verdict"], row["prediction"]) == (verdict, "other")
    assert "submitted" in row["where"][0]


def test_scores_that_the_prediction_does_not_give_are_different(call: Call, tmp_path: Path) -> None:
    document = submitted(call, tmp_path / "mine.json")
    scores = document["runs"][0]["scores"]["mse"]
    condition = sorted(scores["conditions"])[0]
    scores["conditions"][condition] /= 2
    with pytest.raises(ConfigurationError, match="changed after it was written"):
        (tmp_path / "edited.json").write_text(json.dumps(document))
        read(tmp_path / "edited.json")
    del document["sha256"]
    forged = {**document, "sha256": sha256_json(document)}
    (tmp_path / "forged.json").write_text(json.dumps(forged))
    found = call("submission", "verify", "forged.json", "--runner", "process", "--trust-process", code=1)
    assert found["rows"][0]["where"][0].startswith(f"mse of {condition}: ")
    assert found["rows"][0]["prediction"] == "same"


def test_another_version_of_the_method_is_not_taken_for_the_one_submitted(call: Call, tmp_path: Path) -> None:
    submitted(call, tmp_path / "mine.json")
    folder = tmp_path / "registry" / "method_containers" / "flat"
    (folder / "run.py").write_text((folder / "run.py").read_text() + "# changed\n")
    with pytest.raises(ConfigurationError, match="the submission is of folder:"):
        call("submission", "verify", "mine.json", "--runner", "process", "--trust-process")
    shutil.rmtree(folder)
    with pytest.raises(ConfigurationError, match="give it with --method"):
        call("submission", "verify", "mine.json", "--runner", "process", "--trust-process")


@pytest.mark.slow
def test_a_dataset_that_is_another_one_here_makes_every_row_different(call: Call, tmp_path: Path) -> None:
    submitted(call, tmp_path / "mine.json")
    path = tmp_path / "registry" / "datasets_registry" / "tiny" / "dataset.yaml"
    document = json.loads(path.read_text())
    document["prepare"]["parameters"]["seed"] += 1
    path.write_text(json.dumps(document))
    found = call("submission", "verify", "mine.json", "--runner", "process", "--trust-process", code=1)
    assert "the dataset is not the one submitted" in found["rows"][0]["where"][0]


def test_what_cannot_be_verified_cannot_be_submitted(call: Call, tmp_path: Path) -> None:
    boards.add_method(tmp_path / "registry", "crashes", "sys.exit(3)")
    with pytest.raises(ConfigurationError, match="has no scores on unseen-combination"):
        call("run", "--method", "crashes", *RUN, "--submit", tmp_path / "mine.json")
    assert not (tmp_path / "mine.json").exists()
    with pytest.raises(click.UsageError, match="single --method"):
        call("run", "--method", "flat", "--method", "steep", *RUN, "--submit", tmp_path / "mine.json")


@pytest.fixture
def closed(call: Call, tmp_path: Path) -> Path:
    """A folder of predictions, those of ``flat``, added as ``closed``."""
    call("run", "--method", "flat", *RUN)
    (made,) = (tmp_path / "home" / "runs").glob("*/*/flat/**/prediction.h5ad")
    target = tmp_path / "predictions" / "tiny" / "unseen-combination.h5ad"
    target.parent.mkdir(parents=True)
    shutil.copyfile(made, target)
    added = call("method", "add", "--predictions", "predictions", "--name", "closed", "--yes")
    assert added["identity"].startswith("predictions:")
    return target


def test_predictions_are_scored_as_any_and_are_in_no_comparison(call: Call, closed: Path) -> None:
    document = call("run", "--method", "closed", "--method", "flat", "--method", "steep", *RUN)
    rows = {row["method"]: row for row in document["rows"]}
    assert rows["closed"]["scores"] == rows["flat"]["scores"]
    assert rows["closed"]["note"] == "predictions only, not re-run"
    assert "note" not in rows["flat"]
    ranked = [item["ranks"] for item in document["comparisons"] if item.get("ranks")]
    assert ranked and all(set(ranks) == {"flat", "steep"} for ranks in ranked)
    from lanner.leaderboard.table import tables

    (table,) = tables(document)
    methods = [row[0] for row in table.rows if "bound" not in row[0]]
    assert methods[-1] == "closed (predictions only, not re-run)"
    without = call("run", "--method", "flat", "--method", "steep", *RUN)
    assert without["comparisons"] == document["comparisons"]


def test_predictions_stand_beside_the_baselines_and_say_what_they_are(call: Call, closed: Path) -> None:
    document = call("run", "--method", "closed", *RUN, "--compare", "--baseline", "flat")
    (item,) = document["items"]
    assert item["note"] == "predictions only, not re-run"
    assert item["metrics"][0]["against"]["flat"]["gain"] == 0


def test_a_split_without_a_prediction_is_skipped_with_the_reason(call: Call, closed: Path) -> None:
    document = call("run", "--method", "closed", "-d", "tiny", "-s", "unseen-perturbation")
    (row,) = document["rows"]
    assert (row["status"], row["reason"]) == (
        "skipped",
        "it has no predictions for tiny unseen-perturbation",
    )


def test_a_hostile_prediction_meets_the_same_intake(call: Call, closed: Path, tmp_path: Path) -> None:
    closed.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    call("method", "add", "--predictions", "predictions", "--name", "broken", "--yes")
    document = call("run", "--method", "broken", *RUN, code=1)
    assert document["rows"][0]["error_class"] == "INVALID_OUTPUT"
    stored = tmp_path / "home" / "methods" / "closed" / "predictions" / "tiny" / "unseen-combination.h5ad"
    stored.chmod(0o644)
    stored.write_bytes(closed.read_bytes())
    shutil.rmtree(tmp_path / "home" / "runs")
    document = call("run", "--method", "closed", *RUN, code=1)
    assert "is not the file that was added" in document["rows"][0]["reason"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("tiny/unseen-combination.h5ad", b"text", "not an HDF5 file"),
        ("tiny/unseen-context/a.h5ad", b"text", "not an HDF5 file"),
        (f"tiny/{'0' * 64}.h5ad", b"text", "not an HDF5 file"),
        ("tiny/unseen-combinaton.h5ad", b"\x89HDF\r\n\x1a\n", "did you mean 'unseen-combination'"),
        ("nosuch/x.h5ad", b"\x89HDF\r\n\x1a\n", "nosuch"),
        ("x.h5ad", b"\x89HDF\r\n\x1a\n", "in no dataset's folder"),
        ("tiny/x.csv", b"", "holds no .h5ad file"),
    ],
)
def test_a_folder_of_predictions_that_is_wrong_is_refused_and_leaves_nothing(
    call: Call, tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    (tmp_path / "p" / name).parent.mkdir(parents=True)
    (tmp_path / "p" / name).write_bytes(content)
    with pytest.raises(LannerError, match=says):
        call("method", "add", "--predictions", "p", "--name", "closed", "--yes")
    assert not list((tmp_path / "home").glob("methods/*"))
