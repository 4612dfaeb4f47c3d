"""One contract for every compatibility metric: its card is complete and its function keeps it."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from lanner.compat import COMPAT, PeerCard, peer_metric
from lanner.registry import NAME
from pairs import MemoryPair, MemorySide, simulated_pair

Array = np.ndarray[Any, Any]
EVERY = pytest.mark.parametrize("id", list(COMPAT))
SCORED = [id for id in COMPAT if COMPAT[id].card.better != "neither"]
UNBIASED = [id for id in SCORED if "U-statistic" in COMPAT[id].card.estimator]
UNREACHED = [
    id
    for id in SCORED
    if re.search("truth itself does not reach|not 0 for equal distributions", COMPAT[id].card.faults)
]
"""Cards that say that the peer's best value is out of reach of a perfect prediction."""


def in_any_order(ids: list[str]) -> pytest.MarkDecorator:
    """Every metric in turn; those that look at single cells are slow to ask again."""
    marked = [
        pytest.param(id, marks=pytest.mark.slow) if "cells" in COMPAT[id].card.needs else id for id in ids
    ]
    return pytest.mark.parametrize("id", marked)


ROW_PAIRED = [id for id in COMPAT if "the order of rows decides" in COMPAT[id].card.faults]


@cache
def pair() -> MemoryPair:
    """Enough genes for every list, enough cells for the strictest test of them.

    Values differ from cell to cell as those of normalised counts do: ties that only rounding breaks are not
    what is tested here.
    """
    found = simulated_pair(13, n_genes=250, sizes=(62, 55, 71, 66, 74), n_control=120)
    generator = np.random.default_rng(0)
    assert found.train is not None
    for side in (found.truth, found.prediction, found.train):
        for cells in (*side.groups, side.controls):
            cells *= generator.uniform(0.9, 1.1, cells.shape).astype(np.float32)
    return found


def sides(
    of: MemoryPair, *, perturbations: Array | None = None, genes: Array | None = None, seed: int | None = None
) -> MemoryPair:
    """The pair with its perturbations, its genes or (by ``seed``) the cells of a group in another order."""
    order = np.arange(len(of.perturbations)) if perturbations is None else perturbations
    columns = np.arange(len(of.genes)) if genes is None else genes
    generator = np.random.default_rng(seed)

    def cells(matrix: Array) -> Array:
        rows = np.arange(len(matrix)) if seed is None else generator.permutation(len(matrix))
        return matrix[rows][:, columns]

    def side(old: MemorySide, chosen: Array) -> MemorySide:
        return MemorySide([cells(old.groups[i]) for i in chosen], cells(old.controls))

    assert of.train is not None
    return replace(
        of,
        perturbations=tuple(of.perturbations[i] for i in order),
        genes=tuple(of.genes[g] for g in columns),
        truth=side(of.truth, order),
        prediction=side(of.prediction, order),
        train=side(of.train, np.arange(len(of.train_perturbations))),
    )


@cache
def values(id: str) -> Array:
    return COMPAT[id](pair()).values


@EVERY
def test_a_card_states_everything(id: str) -> None:
    card = COMPAT[id].card
    assert NAME.fullmatch(id) and card.id == id and "/" in id
    assert card.summary.endswith(".") and len(card.summary) <= 105
    assert card.better in {"higher", "lower", "nearest", "neither"}
    assert card.per in {"perturbation", "file"}
    assert set(card.needs) <= {"cells", "truth cells", "prediction controls", "train"}
    assert card.family == card.family.lower().strip() and card.family
    assert np.isfinite(card.best)
    for text in (card.peer, card.peer_version, card.space, card.reference, card.estimator, card.ties):
        assert text.strip() == text and text
    assert card.faults and card.undefined and card.citation
    assert COMPAT[id].definition


@EVERY
def test_there_is_one_value_per_perturbation_or_one_for_the_file(id: str) -> None:
    found = values(id)
    assert found.dtype == np.float64
    assert found.shape == ((1,) if COMPAT[id].card.per == "file" else (len(pair().perturbations),))
    assert not np.isinf(found).any()
    assert np.isfinite(found).any()


@pytest.mark.parametrize("id", [id for id in SCORED if id not in UNBIASED + UNREACHED])
def test_a_perfect_prediction_reaches_the_best_value(id: str) -> None:
    found = COMPAT[id](replace(pair(), prediction=pair().truth)).values
    found = found[np.isfinite(found)]
    assert len(found)
    np.testing.assert_allclose(found, COMPAT[id].card.best, rtol=0, atol=1e-6)


@pytest.mark.parametrize("id", UNBIASED)
def test_an_unbiased_estimate_is_at_most_the_best_on_the_same_cells(id: str) -> None:
    found = COMPAT[id](replace(pair(), prediction=pair().truth)).values
    assert (found[np.isfinite(found)] <= COMPAT[id].card.best).all()


@pytest.mark.parametrize("id", UNREACHED)
def test_the_truth_falls_short_where_the_card_says_so(id: str) -> None:
    few = simulated_pair(2, n_genes=230, sizes=(60, 41, 75, 90), n_control=120)
    for cells in few.truth.groups:  # one gene changes most but by few cells, so that no test calls it
        cells[:, 200] = 0.0
        cells[:4, 200] = 50.0
    few.truth.controls[:, 200] = 0.0
    found = COMPAT[id](replace(few, prediction=few.truth)).values
    assert np.abs(found[np.isfinite(found)] - COMPAT[id].card.best).max() > 1e-3


@pytest.mark.parametrize("id", [id for id in SCORED if id not in UNBIASED])
def test_no_value_is_better_than_the_best(id: str) -> None:
    card, found = COMPAT[id].card, values(id)
    found = found[np.isfinite(found)]
    if card.better == "higher":
        assert (found <= card.best + 1e-12).all()
    elif card.better == "lower":
        assert (found >= card.best - 1e-12).all()


@in_any_order(list(COMPAT))
def test_the_order_of_perturbations_changes_nothing(id: str) -> None:
    order = np.array([3, 0, 4, 1, 2])
    found = COMPAT[id](sides(pair(), perturbations=order)).values
    wanted = values(id) if COMPAT[id].card.per == "file" else values(id)[order]
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-9)


@in_any_order(list(COMPAT))
def test_the_order_of_genes_changes_nothing(id: str) -> None:
    order = np.random.default_rng(0).permutation(len(pair().genes))
    found = COMPAT[id](sides(pair(), genes=order)).values
    np.testing.assert_allclose(found, values(id), rtol=1e-6, atol=1e-8)


@in_any_order([id for id in COMPAT if id not in ROW_PAIRED])
def test_the_order_of_cells_changes_nothing(id: str) -> None:
    found = COMPAT[id](sides(pair(), seed=5)).values
    np.testing.assert_allclose(found, values(id), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("id", ROW_PAIRED)
def test_the_order_of_cells_decides_where_the_card_says_so(id: str) -> None:
    even = replace(pair(), prediction=replace(pair().truth))
    found = COMPAT[id](replace(even, prediction=sides(even, seed=5).truth)).values
    assert (np.abs(found - COMPAT[id](even).values) > 0.5).any()


class Refusing:
    """A side that has only what it is asked not to refuse."""

    def __init__(self, side: Any, refused: set[str]) -> None:
        self._side, self._refused = side, refused

    def __getattr__(self, name: str) -> Any:
        assert name not in self._refused, f"the card does not say that {name} is needed"
        return getattr(self._side, name)


@EVERY
def test_a_metric_uses_nothing_that_its_card_does_not_name(id: str) -> None:
    needs = set(COMPAT[id].card.needs)
    of_cells = {"cells", "variances", "mann_whitney", "energy_to_control"}
    of_controls = {"n_control", "control_mean", "control_variance", "control_cells", "mann_whitney"}
    predicted = (set() if "cells" in needs else of_cells) | (
        set() if "prediction controls" in needs else of_controls | {"energy_to_control"}
    )
    true = set() if needs & {"cells", "truth cells"} else of_cells | {"control_variance", "control_cells"}
    narrowed: Any = replace(
        pair(),
        truth=Refusing(pair().truth, true),  # type: ignore[arg-type]
        prediction=Refusing(pair().prediction, predicted),  # type: ignore[arg-type]
        train=pair().train if "train" in needs else None,
        train_perturbations=pair().train_perturbations if "train" in needs else (),
    )
    COMPAT[id](narrowed)


def test_a_card_is_the_hash_of_all_it_says() -> None:
    card = COMPAT["cell_eval/mse"].card
    assert isinstance(card, PeerCard)
    assert replace(card, faults="none").sha256 != card.sha256
    assert replace(card).sha256 == card.sha256


def test_a_name_is_taken_once() -> None:
    from lanner.errors import ConfigurationError

    card = COMPAT["cell_eval/mse"].card
    register = peer_metric(
        id=card.id, peer="x", peer_version="1", family="mse", better="lower", best=0.0, citation="x"
    )
    with pytest.raises(ConfigurationError, match="registered twice"):
        register(COMPAT["cell_eval/mse"].function)
