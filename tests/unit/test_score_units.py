"""Scoring in shards: the same rows bit for bit wherever it was done, and what becomes of a lost one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import boards
import numpy as np
import pytest
from lanner import score_units, scores, staging
from lanner.config import Settings
from lanner.errors import ConfigurationError, ErrorClass, InfrastructureError, PredictionError
from lanner.leaderboard.building import Results
from lanner.leaderboard.scoring import is_of_a_row
from lanner.metrics import METRICS, components
from lanner.records import Limits, Shard
from lanner.score_units import Scorers, Scoring, score_spec, write_specs
from lanner.scores import Question
from lanner.scoring import score, score_bounds
from lanner.store import RunFolder
from truths import predict, simulate

ALL = components(list(METRICS))
SOME = ["mse", "pds_cosine", "energy/pca50", "de_auprc", "gi/correlation"]
"""By condition and by context, of profiles and of drawn cells, and one that drops conditions for reasons."""


def parquet(frame: Any, path: Path) -> bytes:
    scores.write_frame(path, frame)
    return path.read_bytes()


def through_disk(frame: Any, path: Path) -> Any:
    scores.write_frame(path, frame)
    return scores.read_frame(path)


@pytest.mark.parametrize(
    ("metrics", "of"),
    [(SOME, 1), (SOME, 3), (SOME, 11), pytest.param(ALL, 3, marks=pytest.mark.slow)],
    ids=["whole", "3", "more than conditions", "every metric"],
)
def test_shards_merge_to_the_bytes_of_the_whole(metrics: list[str], of: int, tmp_path: Path) -> None:
    truth = simulate(n_conditions=5, n_genes=40)
    answered = np.arange(len(truth.requests)) != 2
    prediction = predict(tmp_path, truth.full, residual="shift", answered=answered)
    makers: tuple[Callable[..., Any], ...] = (
        lambda **shard: score(truth, prediction, metrics, **shard),
        lambda **shard: score_bounds(truth, metrics, **shard),
    )
    for make in makers:
        expected = parquet(make(), tmp_path / "whole.parquet")
        shards = [
            through_disk(make(shard=Shard(number=number, of=of)), tmp_path / f"{number}.parquet")
            for number in reversed(range(of))
        ]
        assert parquet(scores.merged(shards), tmp_path / "merged.parquet") == expected


def test_a_merge_without_a_shard_or_with_one_twice_is_refused(tmp_path: Path) -> None:
    truth = simulate(n_conditions=4, n_genes=40)
    prediction = predict(tmp_path, truth.full)
    first, second = (
        score(truth, prediction, ["mse"], shard=Shard(number=number, of=2)) for number in range(2)
    )
    for wrong in ([first], [second], [first, second, second]):
        with pytest.raises(InfrastructureError, match="not each of them once"):
            scores.merged(wrong)


@pytest.fixture(scope="session")
def board(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    return boards.built(tmp_path_factory.getbasetemp() / "board")


def stored(home: Path) -> dict[str, bytes]:
    """Stored scores and bounds, by their path below the home; no shard is left beside them."""
    assert not list(home.rglob("*.partial"))
    found = [*home.glob("runs/*/*/*/*/scores/*.parquet"), *home.glob("truth/*/bounds/*.parquet")]
    return {str(path.relative_to(home)): path.read_bytes() for path in found}


def test_a_board_scored_in_placed_shards_has_the_bytes_of_one_scored_in_the_harness(
    board: tuple[Path, Results],
) -> None:
    folder, results = board
    placed = boards.make(folder, boards.METHODS, home="sharded", score_shards=3)
    assert json.dumps(placed.document) == json.dumps(results.document)
    assert stored(folder / "sharded") == stored(folder / "home") != {}


class Elsewhere:
    """An engine whose submit does what ``act`` says, in this process."""

    id: ClassVar[str] = "elsewhere"
    poll_seconds = 0.0
    in_flight = 2

    def __init__(self, act: Callable[[Path], None]) -> None:
        self.act, self.placed = act, 0

    def submit(self, attempt: Path, limits: Limits, is_cancelled: Callable[[], bool]) -> Any:
        self.placed += 1
        self.act(attempt)
        return self

    ticket = ""
    has_own_containers = False

    def poll(self) -> str:
        return "the node went down"

    def cancel(self) -> None:
        pass


@pytest.fixture
def scoring(board: tuple[Path, Results], tmp_path: Path) -> tuple[Settings, Scoring, Any]:
    """One run's scoring in a copy of the board's home."""
    shutil.copytree(board[0] / "home", tmp_path / "home", copy_function=os.link)
    settings = Settings(home=tmp_path / "home", registry=board[0] / "registry")
    item = next(item for item in board[1].scored if item.cell.choice.label == "constant")
    wanted = Scoring(
        run=RunFolder(
            path=settings.home / item.cell.plan.folder.path.relative_to(board[0] / "home"),
            key=item.cell.plan.folder.key,
        ),
        split=item.cell.artefact.split,
        question=Question(task=boards.TASK, metrics=("mse",), judged={}),
        options={},
    )
    return settings, wanted, item.cell.artefact.truth


def test_an_engine_of_methods_containers_alone_is_asked_for_no_scoring(tmp_path: Path) -> None:
    engine: Any = Elsewhere(lambda attempt: None)
    engine.has_own_containers, engine.id = True, "kubernetes"
    with pytest.raises(ConfigurationError, match="the kubernetes engine places runs only"):
        Scorers(engine, tmp_path, 2)


def test_a_shard_that_is_lost_twice_is_an_error_with_the_engines_words(
    scoring: tuple[Settings, Scoring, Any],
) -> None:
    settings, wanted, truth = scoring
    engine: Any = Elsewhere(lambda attempt: None)
    with Scorers(engine, settings.home, 1) as scorers:
        answer = scorers.begin(wanted, truth)
        with pytest.raises(InfrastructureError, match="ended without a word: the node went down"):
            answer()
    assert engine.placed == score_units.TRIES


def test_a_shard_that_is_lost_once_is_placed_again(scoring: tuple[Settings, Scoring, Any]) -> None:
    settings, wanted, truth = scoring
    tries: list[Path] = []

    def act(attempt: Path) -> None:
        tries.append(attempt)
        if attempt.name.endswith("-2"):
            score_spec(attempt / "scoring.json", settings)

    engine: Any = Elsewhere(act)
    with Scorers(engine, settings.home, 2) as scorers:
        frame = scorers.begin(wanted, truth)()
    assert len(set(tries)) == 4 and set(frame["metric"]) == {"mse"}
    assert not list(settings.home.rglob("*.partial"))


def test_what_a_shard_fails_of_is_raised_to_whoever_asked(
    scoring: tuple[Settings, Scoring, Any], tmp_path: Path
) -> None:
    settings, wanted, truth = scoring
    assert wanted.run is not None
    gone = Scoring(
        **{**wanted.__dict__, "run": RunFolder(path=settings.home / "runs" / "none", key=wanted.run.key)}
    )

    def act(attempt: Path) -> None:
        with pytest.raises(ConfigurationError):
            score_spec(attempt / "scoring.json", settings)

    engine: Any = Elsewhere(act)
    with Scorers(engine, settings.home, 1) as scorers:
        answer = scorers.begin(gone, truth)
        with pytest.raises(InfrastructureError, match="holds no prediction to score"):
            answer()
    assert engine.placed == 1
    (tmp_path / "failure.json").write_text(
        json.dumps({"error_class": "INVALID_OUTPUT", "message": "it is no h5ad", "code": "names"})
    )
    assert isinstance(score_units._failure(tmp_path, ""), PredictionError)


def test_a_spec_of_other_metrics_than_those_installed_is_refused(
    scoring: tuple[Settings, Scoring, Any],
) -> None:
    settings, wanted, _ = scoring
    folder = write_specs(wanted, settings.home, 1)[0]
    document = json.loads((folder / "scoring.json").read_text())
    (folder / "scoring.json").write_text(json.dumps({**document, "set": "0"}))
    with pytest.raises(ConfigurationError, match="install the same version on all machines"):
        score_spec(folder / "scoring.json", settings)


def test_a_stored_prediction_that_cannot_be_read_again_is_not_held_against_the_method(
    scoring: tuple[Settings, Scoring, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, wanted, _ = scoring
    assert wanted.run is not None
    staged = staging.open_shared(settings.home, wanted.split, wanted.question.task, wanted.options)
    assert staged is not None

    def too_slow(*_: object, **__: object) -> None:
        raise PredictionError("unreadable", "the reader took longer than 120 s")

    monkeypatch.setattr(scores, "ingest", too_slow)
    with (
        pytest.raises(InfrastructureError, match="could not be read again") as raised,
        scores.checked(wanted.run, staged),
    ):
        pass
    assert raised.value.error_class is ErrorClass.METRIC_ERROR and is_of_a_row(raised.value)
