"""``lanner.score`` and ``lanner score --truth``: tables of two files' scores, and every reason for a gap."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lanner
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from lanner.cli import lanner as command
from lanner.compat import COMPAT, Pair, PeerMetric, PeerValues, peer_metric
from lanner.errors import ConfigurationError
from lanner.metrics import METRICS, components
from lanner.pairs import open_pair
from lanner.pairs.native import PairTruth, native_frame, needs_train
from lanner.pairs.scores import COLUMNS, NOTE, chosen_metrics, default_metrics
from pair_files import write_pair, write_side
from pairs import MemoryPair, MemorySide, simulated_pair


@pytest.fixture(scope="module")
def expected() -> MemoryPair:
    return simulated_pair()


@pytest.fixture(scope="module")
def files(expected: MemoryPair, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_pair(tmp_path_factory.mktemp("files"), expected)


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., PeerMetric]:
    """Register metrics under a peer's name that are gone after the test."""
    monkeypatch.setattr(COMPAT, "_items", dict(COMPAT._items))

    def add(name: str, function: Callable[[Pair], PeerValues], **card: Any) -> PeerMetric:
        fields = {"peer": "x", "peer_version": "1", "family": "x", "better": "lower", "best": 0.0}
        return peer_metric(id=name, citation="none", **{**fields, **card})(function)

    return add


def values(frame: pd.DataFrame, metric: str, variant: str = "") -> Any:
    rows = frame[(frame["metric"] == metric) & (frame["variant"] == variant)]
    return rows.set_index("perturbation")["value"]


def test_mse_and_pearson_delta_are_those_of_the_means(files: dict[str, Path], expected: MemoryPair) -> None:
    frame = lanner.score(
        files["truth"], files["prediction"], control="control", metrics=["mse", "pearson_delta"]
    )
    assert tuple(frame.columns) == COLUMNS
    t, p = expected.truth.means(), expected.prediction.means()
    control = expected.truth.control_mean()
    correlation = [np.corrcoef(a - control, b - control)[0, 1] for a, b in zip(p, t, strict=True)]
    np.testing.assert_allclose(values(frame, "mse", "@unmasked"), ((t - p) ** 2).mean(axis=1), rtol=1e-9)
    np.testing.assert_allclose(values(frame, "pearson_delta", "@unmasked"), correlation, rtol=1e-9)
    masked = [np.delete((t - p)[i], i) for i in range(len(t))]
    np.testing.assert_allclose(values(frame, "mse"), [(d**2).mean() for d in masked], rtol=1e-9)
    assert list(frame["n_cells"].unique()) == list(dict.fromkeys(expected.truth.n_cells()))


def test_predicted_controls_change_nothing_but_peers_metrics(
    files: dict[str, Path], expected: MemoryPair, tmp_path: Path
) -> None:
    other = MemorySide(expected.prediction.groups, expected.prediction.controls[:7] * 2)
    changed = write_side(tmp_path / "p.h5ad", other, expected.perturbations, expected.genes)
    frames = [
        lanner.score(files["truth"], prediction, control="control", device="cpu")
        for prediction in (files["prediction"], changed)
    ]
    pd.testing.assert_frame_equal(*frames)


def test_without_train_what_needs_it_is_not_applicable_and_with_it_scored(files: dict[str, Path]) -> None:
    without = lanner.score(files["truth"], files["prediction"], control="control")
    status = without.groupby("metric")["status"].agg(lambda s: s.iloc[0])
    assert set(status[status == "not_applicable"].index) == {
        "pds_cosine",
        "energy/pca50",  # for energy, which is judged by skill, stand the two it is made of
        "pca_residual_norm",
        "pearson_delta/train-mean",
    }
    assert "--train" in without.loc[without["metric"] == "energy/pca50", "reason"].iloc[0]
    with_train = lanner.score(**files, control="control")
    assert "not_applicable" not in set(with_train["status"])
    np.testing.assert_allclose(values(with_train, "mse"), values(without, "mse"))


def test_a_metric_whose_number_depends_on_train_cells_says_that_it_needs_them(
    files: dict[str, Path],
) -> None:
    with open_pair(files["truth"], files["prediction"], control="control") as pair:
        free = [name for name in METRICS if not needs_train(METRICS[name].card)]
        here = native_frame(pair, free)
        moved = PairTruth.__init__

        def elsewhere(self: PairTruth, *arguments: Any) -> None:
            moved(self, *arguments)
            self.train_mean = self.train_mean_cells = self.control_a + 1.0 + np.arange(len(self.genes))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(PairTruth, "__init__", elsewhere)
            there = native_frame(pair, free)
    assert here["status"].eq("scored").sum() > 100
    np.testing.assert_allclose(here["value"], there["value"], rtol=1e-6, atol=1e-9)


def test_every_native_metric_has_a_value_or_a_reason_for_every_perturbation(files: dict[str, Path]) -> None:
    frame = lanner.score(**files, control="control", metrics=list(METRICS))
    assert set(frame["metric"]) == {name for name in METRICS if not METRICS[name].card.worst_of}
    assert frame.groupby(["metric", "variant"]).size().eq(6).all()
    assert frame.loc[frame["status"] != "scored", "reason"].ne("").all()
    assert frame.loc[frame["status"] == "scored", "value"].notna().all()


def test_perturbations_of_one_file_only_are_reported_with_their_cells(
    expected: MemoryPair, files: dict[str, Path], tmp_path: Path
) -> None:
    some = MemorySide(expected.prediction.groups[1:], expected.prediction.controls)
    labels = (*expected.perturbations[1:-1], "gene_17")
    prediction = write_side(tmp_path / "p.h5ad", some, labels, expected.genes)
    frame = lanner.score(files["truth"], prediction, control="control", metrics=["mse"])
    missing = frame[frame["status"] == "unanswered"]
    assert set(missing["perturbation"]) == {"gene_0", "gene_5"}
    assert set(missing["n_cells"]) == {30, 36}
    assert frame.attrs["not_in_truth"] == {"gene_17": 36}
    assert frame.attrs["note"] == NOTE


def test_contexts_are_scored_apart(expected: MemoryPair, tmp_path: Path) -> None:
    n = sum(map(len, expected.truth.groups)) + len(expected.truth.controls)
    extra = {"line": np.where(np.arange(n) % 2, "a", "b")}
    truth = write_side(
        tmp_path / "t.h5ad", expected.truth, expected.perturbations, expected.genes, extra=extra
    )
    frame = lanner.score(truth, truth, control="control", context_column="line", metrics=["mse", "pds_l2"])
    assert set(frame["context"]) == {"a", "b"}
    assert frame.groupby("context")["n_cells"].sum().nunique() == 2
    assert (frame.loc[frame["metric"] == "mse", "value"] == 0).all()


def test_a_context_of_the_prediction_only_is_reported_and_one_of_the_truth_only_refused(
    expected: MemoryPair, tmp_path: Path
) -> None:
    n = sum(map(len, expected.truth.groups)) + len(expected.truth.controls)
    one, both = {"line": ["a"] * n}, {"line": np.where(np.arange(n) % 2, "a", "b")}
    files = [
        write_side(
            tmp_path / f"{i}.h5ad", expected.truth, expected.perturbations, expected.genes, extra=extra
        )
        for i, extra in enumerate((one, both))
    ]
    frame = lanner.score(*files, control="control", context_column="line", metrics=["mse"])
    assert set(frame["context"]) == {"a"}
    assert set(frame.attrs["not_in_truth"]) == {f"{name}|b" for name in expected.perturbations}
    with pytest.raises(ConfigurationError, match=r"0\.h5ad: no cell has 'b' in obs column 'line'"):
        lanner.score(*files[::-1], control="control", context_column="line", metrics=["mse"])


def test_peers_metrics_get_the_pair_and_keep_their_own_undefined(
    peer: Callable[..., PeerMetric], files: dict[str, Path], expected: MemoryPair
) -> None:
    gap = np.array([np.nan, 1.0, 2.0, 3.0, 4.0, 5.0])
    peer("peer/gap", lambda pair: PeerValues(values=gap, reason="it divides by zero"))
    peer("peer/all", lambda pair: PeerValues(values=pair.energy()[:1]), per="file")
    peer("peer/train", lambda pair: PeerValues(values=gap), needs=("train",))
    frame = lanner.score(files["truth"], files["prediction"], control="control", metrics=["peer/*"])
    assert list(frame["metric"].unique()) == ["peer/all", "peer/gap", "peer/train"]
    assert frame[frame["metric"] == "peer/all"]["perturbation"].tolist() == [""]
    row = frame[frame["metric"] == "peer/gap"].iloc[0]
    assert (row["status"], row["reason"]) == ("undefined", "it divides by zero")
    assert set(frame.loc[frame["metric"] == "peer/train", "status"]) == {"not_applicable"}


def test_a_peers_metric_that_needs_predicted_controls_says_when_there_are_none(
    peer: Callable[..., PeerMetric], files: dict[str, Path], expected: MemoryPair, tmp_path: Path
) -> None:
    bare = MemorySide(expected.prediction.groups, expected.prediction.controls[:0])
    prediction = write_side(tmp_path / "p.h5ad", bare, expected.perturbations, expected.genes)
    peer("peer/x", lambda pair: PeerValues(values=np.zeros(6)), needs=("prediction controls",))
    frame = lanner.score(files["truth"], prediction, control="control", metrics=["peer/x", "mse"])
    assert set(frame.loc[frame["metric"] == "peer/x", "status"]) == {"not_applicable"}
    assert set(frame.loc[frame["metric"] == "mse", "status"]) == {"scored"}


def test_an_unknown_metric_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'mse'"):
        chosen_metrics(["mze"])
    assert chosen_metrics(None) == list(components(default_metrics()))
    assert chosen_metrics(["pds_*", "pds_l1"])[0] == "pds_cosine"
    assert chosen_metrics(["energy"]) == ["energy/pca50", "energy/gene"]


def invoke(*arguments: Any) -> Any:
    return CliRunner().invoke(command, ["score", *map(str, arguments)])


def test_the_command_prints_one_document_and_says_what_is_missing(
    files: dict[str, Path], tmp_path: Path
) -> None:
    given = ("--truth", files["truth"], "--prediction", files["prediction"], "--control", "control")
    result = invoke(
        *given, "--metric", "mse", "--metric", "pds_cosine", "--json", "--out", tmp_path / "x.csv"
    )
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert [row["metric"] for row in document["scores"]] == [
        *("mse", "mse@unmasked", "pds_cosine", "pds_cosine@unmasked")
    ]
    assert document["scores"][0]["n"] == 6
    assert document["scores"][2]["value"] is None
    assert document["scores"][2]["without"] == "6 not applicable"
    assert "nothing" in document["note"] or "bounds" in document["note"]
    written = pd.read_csv(tmp_path / "x.csv")
    assert tuple(written.columns) == COLUMNS
    assert len(written) == 24
    invoke(*given, "--metric", "mse", "--out", tmp_path / "x.parquet")
    assert len(pd.read_parquet(tmp_path / "x.parquet")) == 12


def test_the_command_shows_every_value_when_asked(files: dict[str, Path]) -> None:
    given = ("--truth", files["truth"], "--prediction", files["prediction"], "--control", "control")
    result = invoke(*given, "--metric", "mse", "--per-condition", "--json")
    rows = json.loads(result.stdout)["conditions"]
    assert len(rows) == 12
    assert rows[0]["chance"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--truth", "TRUTH"), "--prediction"),
        (("--truth", "TRUTH", "--prediction", "TRUTH"), "--control"),
        (("--truth", "TRUTH", "--prediction", "TRUTH", "--control", "c", "--out", "x.txt"), ".parquet"),
        (("abc", "--truth", "TRUTH"), "not both"),
        (("abc", "--control", "c"), "--control goes with --truth"),
        ((), "name a run"),
    ],
)
def test_options_that_do_not_go_together_are_a_usage_error(
    arguments: tuple[str, ...], message: str, files: dict[str, Path]
) -> None:
    result = invoke(*(files["truth"] if word == "TRUTH" else word for word in arguments))
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cuda:99"])
def test_a_device_nobody_has_is_refused_in_one_sentence(name: str, files: dict[str, Path]) -> None:
    with pytest.raises(ConfigurationError, match="cpu"):
        lanner.score(files["truth"], files["prediction"], control="control", metrics=["mse"], device=name)
