"""The task network-inference: what its regimes show, what is held out, and what a number over units is."""

from __future__ import annotations

import json
from pathlib import Path

import anndata
import boards
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from lanner import aggregate, datasets, network_scoring, splits, staging
from lanner.config import Settings
from lanner.datasets import Dataset
from lanner.errors import ConfigurationError
from lanner.ingest import ingest
from lanner.leaderboard.sanity import control_sanity
from lanner.networks import NETWORK_METRICS, Network, bounds
from lanner.pipeline import expectation
from lanner.records import Limits, Split
from lanner.tasks import TASKS

TASK = TASKS["network-inference"]
TASK.load()
METRICS = ("edge_wasserstein/top", "effect_auprc", "false_omission", "effect_direction/unseen")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Split, Settings]:
    """A tiny dataset of two cell types, eight interventions and six combinations, and its split."""
    folder = tmp_path_factory.mktemp("networks")
    registry = boards.registry(folder / "registry", size={"n_cells_per_condition": 48})
    settings = Settings(home=folder / "home", registry=registry)
    dataset = datasets.load(datasets.find_entry(settings, "tiny"), settings)
    return dataset, splits.resolve(dataset, "held-out-interventions")[0], settings


@pytest.fixture(scope="module")
def sealed(world: tuple[Dataset, Split, Settings]) -> network_scoring.SealedNetworks:
    dataset, split, settings = world
    return network_scoring.opened(TASK.seal(dataset, split, settings.home))


@pytest.fixture(scope="module")
def bound_frame(sealed: network_scoring.SealedNetworks) -> pd.DataFrame:
    return TASK.score_bounds(sealed.truth, METRICS)


def stage(world: tuple[Dataset, Split, Settings], folder: Path, **options: object) -> anndata.AnnData:
    dataset, split, settings = world
    truth = TASK.seal(dataset, split, settings.home)
    shared = staging.stage_shared(dataset, split, TASK, truth, settings.home, options)
    staging.stage(
        shared, split, TASK, folder, seed=1, parameters={}, limits=Limits(), options=options, link=False
    )
    return anndata.read_h5ad(folder / "train.h5ad")


def interventions(train: anndata.AnnData) -> set[str]:
    return set(train.obs["perturbation"].astype(str)) - {"control"}


def test_a_held_out_intervention_is_tested_whole_and_the_others_in_part(world) -> None:
    dataset, split, _ = world
    held = set(split.test) - set(split.train)
    targets = {name.partition("|")[0] for name in held}
    assert len(targets) == 2 and not any(target in name for target in targets for name in split.train)
    assert not any("+" in name for name in (*split.train, *split.test))
    opened = TASK.seal(dataset, split, world[2].home)
    sizes = {request.condition.id: request.condition.n_cells for request in opened.requests}
    assert {sizes[name] for name in held} == {48}
    assert {n for name, n in sizes.items() if name not in held} == {14}  # .3 of 48


def test_regimes_show_all_a_share_or_none_of_the_trained_interventions(world, tmp_path: Path) -> None:
    seen = {
        regime: stage(world, tmp_path / regime, regime=regime)
        for regime in ("interventional", "partial", "observational")
    }
    every = interventions(seen["interventional"])
    assert every == {name.partition("|")[0] for name in world[1].train}
    assert interventions(seen["partial"]) < every and len(interventions(seen["partial"])) == 3
    assert interventions(seen["observational"]) == set()
    controls = {regime: (train.obs["perturbation"] == "control").sum() for regime, train in seen.items()}
    assert len(set(controls.values())) == 1
    quarter = stage(world, tmp_path / "quarter", regime="partial", share=0.2)
    assert len(interventions(quarter)) == 1 and interventions(quarter) < interventions(seen["partial"])


def test_no_held_out_cell_is_staged(world, tmp_path: Path) -> None:
    dataset, split, settings = world
    train = stage(world, tmp_path / "input")
    opened = TASK.seal(dataset, split, settings.home)
    held = sp.vstack([opened.cells(i) for i in range(len(opened.requests))]).tocsr()
    rows = {row.tobytes() for row in train.X.toarray()}
    assert not any(row.tobytes() in rows for row in held.toarray())


def test_the_input_says_what_the_contract_promises(world, tmp_path: Path) -> None:
    train = stage(world, tmp_path / "input", max_edges=77)
    document = json.loads((tmp_path / "input" / "task.json").read_text())
    assert (document["task"], document["regime"]) == ("network-inference@1", "interventional")
    assert document["max_edges"] == 77 and not {"n_cells", "reveal", "options"} & set(document)
    assert {path.name for path in (tmp_path / "input").iterdir()} == {
        *("task.json", "train.h5ad", "regulators.csv")
    }
    regulators = pd.read_csv(tmp_path / "input" / "regulators.csv")["gene"].tolist()
    assert regulators == [gene for gene in train.var_names if gene in set(regulators)]
    assert len(regulators) == 8  # those held out as well
    read = staging.open_input(tmp_path / "input")
    assert read.task is TASK and expectation(read).max_edges == 77


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"regime": "observation"}, "did you mean 'observational'"),
        ({"reveal": "dose"}, "no option of task network-inference named 'reveal'"),
        ({"max_edges": 0}, "max_edges of task network-inference is 0; give a whole number from 1"),
        ({"share": 1.5}, "share of task network-inference is 1.5; give a number from 0 to 1"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        TASK.chosen(options)


def test_the_rows_of_a_network_average_to_its_number(sealed) -> None:
    network = sealed.correlation
    frame = network_scoring.score(sealed, network, METRICS)
    for name in METRICS:
        rows = frame[(frame["metric"] == name) & (frame["variant"] == "")]
        for context, part in rows.groupby("context"):
            whole = np.mean([NETWORK_METRICS[name](network, p.truths[context]).value for p in sealed.parts])
            assert part["value"].mean() == pytest.approx(whole, rel=1e-9)
    unseen = frame[frame["metric"] == "effect_direction/unseen"]["perturbation"].unique()
    assert set(unseen) == set(sealed.unseen)


def test_an_empty_network_is_undefined_and_never_nought(sealed) -> None:
    nothing = bounds.empty(sealed.truth.genes, sealed.regulators)
    frame = network_scoring.score(sealed, nothing, METRICS)
    assert set(frame["status"]) == {"undefined"} and frame["value"].isna().all()


def test_the_network_of_the_other_half_beats_those_that_know_nothing(bound_frame: pd.DataFrame) -> None:
    rows = bound_frame[(bound_frame["metric"] == "edge_wasserstein/top") & (bound_frame["variant"] == "")]
    means = rows.groupby("bound")["value"].mean()
    assert means["held-out-half"] > 1.5 * max(means["correlation"], means["random"], means["full"])
    gold = rows[rows["bound"] == "gold-standard"]
    assert set(gold["status"]) == {"not_applicable"}  # the tiny dataset knows no network


def test_aggregation_resamples_regulators_and_anchors_at_the_other_half(sealed, bound_frame) -> None:
    frame = network_scoring.score(sealed, sealed.parts[0].other, METRICS)
    run = aggregate.Scored(scores=frame, bounds=bound_frame, split=sealed.truth.split.sha256, seed=0)
    rows = {row["metric"]: row for row in aggregate.aggregate([run]) if not row["variant"]}
    row = rows["edge_wasserstein/top"]
    assert row["unit"] == "regulator" and row["n"] == 16 and row["skill"] == pytest.approx(1, abs=0.3)
    assert set(row["negative"]) == {"correlation", "empty", "full", "random", "rewired"}
    assert row["difference_to_reference"]["value"] == pytest.approx(
        row["value"] - row["negative"]["correlation"]
    )


def test_bounds_do_not_depend_on_the_process(sealed, bound_frame: pd.DataFrame) -> None:
    again = network_scoring.SealedNetworks(sealed.truth)
    pd.testing.assert_frame_equal(network_scoring.score_bounds(again, METRICS), bound_frame)


def test_a_prediction_is_scored_as_the_network_it_holds(world, sealed, tmp_path: Path) -> None:
    train = stage(world, tmp_path / "input")
    none = pd.DataFrame(index=pd.Index([], dtype=str))
    adata = anndata.AnnData(
        obs=none, var=train.var[[]], varp={"network": sealed.correlation.weights.astype("f4")}
    )
    adata.write_h5ad(tmp_path / "prediction.h5ad")
    rows = expectation(staging.open_input(tmp_path / "input"))
    result = ingest(tmp_path / "prediction.h5ad", rows=rows, destination=tmp_path / "canonical")
    found = TASK.score(sealed.truth, result, METRICS)
    pd.testing.assert_frame_equal(found, network_scoring.score(sealed, sealed.correlation, METRICS))
    assert isinstance(sealed.correlation, Network)


def summary(method: str, value: float, *, negative: float, positive: float) -> dict[str, object]:
    row = {
        "variant": "",
        "value": value,
        "negative": {"random": negative, "empty": None},
        "positive": {"gold-standard": 1.0, "held-out-half": positive},
    }
    named = {"dataset": "d", "split": "s", "design": {"id": "s"}, "method": method}
    return {**named, "scores": {"edge_wasserstein/top": row}}


def test_the_gate_says_where_a_method_or_a_negative_beats_the_positive_bound() -> None:
    assert control_sanity([summary("a", 0.5, negative=0.1, positive=0.6)]) == []
    (better,) = control_sanity(
        [summary("a", 0.5, negative=0.1, positive=0.6), summary("b", 0.7, negative=0.1, positive=0.6)]
    )
    assert (better["positive"], better["methods"], better["negatives"]) == ("held-out-half", ["b"], [])
    assert better["says"] == "edge_wasserstein/top: better than the positive bound held-out-half: b."
    (inverted,) = control_sanity([summary("a", 0.5, negative=0.6, positive=0.6)])
    assert inverted["negatives"] == ["random"] and "it can rank nothing here" in inverted["says"]
