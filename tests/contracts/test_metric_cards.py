"""One contract for every registered metric: its card is complete and its function keeps it."""

from __future__ import annotations

import copy
import dataclasses
import re

import numpy as np
import pytest
import scipy.sparse as sp
from lanner.bounds import BOUNDS
from lanner.cards import CARDS
from lanner.metrics import LABELS, METRICS, Card, Metric, metric
from lanner.registry import NAME
from lanner.scoring import score, score_bounds
from programmes import simulate_programmes
from truths import predict, simulate

EVERY = pytest.mark.parametrize("name", list(METRICS))
COMPUTED = pytest.mark.parametrize("name", [name for name in METRICS if not METRICS[name].card.worst_of])


N_CELLS = 80
SAYS_NOTHING_OF_PERTURBATIONS = {"biology/cell_type_accuracy"}
"""Controls of a context are in the right context too."""
OF_DOUBLES = [name for name in METRICS if METRICS[name].card.level == "interaction"]
OF_PROGRAMMES = [name for name in METRICS if METRICS[name].card.level == "biology"]
OF_MANY_GENES = [name for name in METRICS if name.endswith("heg1000")]


def simulated(name):
    """A truth that the metric can be computed on."""
    if name in OF_MANY_GENES:
        return simulate(n_conditions=6, n_genes=1010, n_cells=N_CELLS, with_pca=False)
    if name in OF_PROGRAMMES:
        return simulate_programmes(n_cells=N_CELLS)
    doubles = name in OF_DOUBLES
    n_genes = 250 if doubles else 110
    return simulate(n_conditions=6, n_genes=n_genes, strength=1.5, n_cells=N_CELLS, doubles=doubles)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    """For each metric, by name: its truth and the scores of the truth's own cells, against all and halves."""
    answer = {}
    special = (OF_DOUBLES, OF_PROGRAMMES, OF_MANY_GENES)
    plain = [name for name in METRICS if not any(name in names for names in special)]
    for names in (plain, *special):
        truth = simulated(names[0])
        cells = sp.vstack([truth.cells(i) for i in range(len(truth.requests))], format="csr")
        prediction = predict(tmp_path_factory.mktemp("p"), cells, n_cells=N_CELLS)
        scores, bounds = score(truth, prediction, names), score_bounds(truth, names)
        for name in names:
            frames = (frame[frame["metric"] == name] for frame in (scores, bounds))
            answer[name] = (truth, *frames)
    return answer


def test_the_primary_metrics_of_the_default_task_exist():
    assert {"mse", "pearson_delta", "pds_cosine", "energy", "de_auprc"} <= set(METRICS)


@EVERY
def test_a_card_states_everything(name):
    card = METRICS[name].card
    assert NAME.fullmatch(card.id) and card.id == name
    assert card.summary.endswith(".") and len(card.summary) <= 90
    assert card.level in {"centroid", "population", "de", "retrieval", "interaction", "biology"}
    assert card.better in {"higher", "lower", "nearest", "neither"}
    assert card.requires in {"cells", "profile"} and card.requires_truth in {"cells", "profile"}
    assert card.labels is None or card.labels in LABELS
    assert isinstance(card.chance, float | None) or card.chance == "prevalence"
    assert re.match(r"doi:10\.\d{4,9}/\S+$|https://", card.citation)
    assert card.undefined and card.space and card.estimator


@EVERY
def test_a_card_is_frozen_and_its_hash_covers_every_field(name):
    card = METRICS[name].card
    with pytest.raises(dataclasses.FrozenInstanceError):
        card.version = 2
    changed = dataclasses.replace(card, tolerance=card.tolerance + 1)
    assert re.fullmatch("[0-9a-f]{64}", card.sha256)
    assert changed.sha256 != card.sha256


@pytest.mark.parametrize("name", [name for name in METRICS if METRICS[name].card.worst_of])
def test_a_composite_is_made_of_registered_metrics_that_agree_in_what_they_need_and_prefer(name):
    card = METRICS[name].card
    parts = [METRICS[part].card for part in card.worst_of]
    assert len(parts) >= 2 and not any(part.worst_of for part in parts)
    for field in ("better", "best", "chance", "requires", "requires_truth", "min_cells", "min_conditions"):
        assert {getattr(part, field) for part in parts} == {getattr(card, field)}
    with pytest.raises(TypeError, match="is made of"):
        METRICS[name](None)


def test_no_two_cards_are_equal():
    assert len({METRICS[name].card.sha256 for name in METRICS}) == len(METRICS)


@COMPUTED
def test_the_truth_itself_comes_nearest_to_the_best_value(name, worlds):
    card, (_, scores, bounds) = METRICS[name].card, worlds[name]
    ours = scores[scores["variant"] == "@all-cells"]
    scored = ours["status"].to_numpy() == "scored"
    assert scored.any()
    if card.better == "neither" or name in SAYS_NOTHING_OF_PERTURBATIONS:
        return
    for bound in ("no-change", "train-mean"):
        rows = bounds[(bounds["bound"] == bound) & (bounds["variant"] == "@all-cells")]
        theirs = rows["value"].fillna(rows["chance"]).to_numpy()
        gain = (card.merit(ours["value"].to_numpy()) - card.merit(theirs))[scored]
        assert (gain >= 0).all() and gain.mean() > 0


@COMPUTED
def test_the_duplicate_comes_nearer_to_the_best_value_than_every_negative_bound(name, worlds):
    card, (_, _, bounds) = METRICS[name].card, worlds[name]
    rows = bounds[(bounds["variant"] == "") & (bounds["status"] != "unscorable")]
    merit = card.merit(rows["value"].fillna(rows["chance"])).groupby(rows["bound"]).mean()
    negative = merit[[bound for bound in BOUNDS if BOUNDS[bound].kind == "negative"]]
    if card.better != "neither" and name not in SAYS_NOTHING_OF_PERTURBATIONS:
        assert merit["technical-duplicate"] > negative.max()


@COMPUTED
def test_chance_is_finite_where_the_card_has_one(name, worlds):
    _, scores, _ = worlds[name]
    rows = scores[scores["status"] == "scored"]
    assert rows["chance"].notna().all() == (METRICS[name].card.chance is not None)


@COMPUTED
def test_the_order_of_conditions_changes_nothing(name, worlds, tmp_path):
    """The last condition is scored alike when only it is requested (retrieval apart: it needs the others)."""
    if METRICS[name].card.level == "retrieval":
        pytest.skip("candidates are the other conditions")
    truth = worlds[name][0]
    alone = copy.copy(truth)
    alone.targets = truth.targets * (np.arange(len(truth.targets)) == 5)[:, None]
    again = score(alone, predict(tmp_path, truth.full), [name])
    whole = score(truth, predict(tmp_path, truth.full), [name])
    last = truth.requests[-1].condition.id
    np.testing.assert_array_equal(
        again[again["condition"] == last]["value"], whole[whole["condition"] == last]["value"]
    )


@COMPUTED
def test_every_bound_has_a_row_or_a_reason(name, worlds):
    _, _, bounds = worlds[name]
    assert set(bounds["bound"]) == set(BOUNDS)
    assert (bounds["value"].notna() | bounds["reason"].ne("")).all()


def test_a_metric_is_one_decorated_function():
    @metric(
        id="test/mean-difference",
        title="Mean difference",
        level="centroid",
        space="genes",
        better="lower",
        best=0.0,
        chance=None,
        undefined="never",
        citation="https://example.org",
    )
    def mean_difference(comparison):
        """Difference of the means of two profiles."""

    try:
        assert isinstance(mean_difference, Metric)
        assert METRICS["test/mean-difference"].card.summary == "Difference of the means of two profiles."
        assert {field.name for field in dataclasses.fields(Card)} == set(vars(mean_difference.card))
    finally:
        del METRICS._items["test/mean-difference"], CARDS._items["test/mean-difference"]
