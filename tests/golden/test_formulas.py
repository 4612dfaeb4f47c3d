"""Metrics of peers that do not install, against slow references written from their formulas."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from formulas import REFERENCES
from lanner.compat import COMPAT
from pairs import MemoryPair, MemorySide, simulated_pair

Array = np.ndarray[Any, Any]
PEERS = {
    "ahlmann_eltze",
    "csendes",
    "l_li",
    "miller",
    "openproblems",
    "pereggrn",
    "perturbench",
    "scperturbench",
    "systema",
    "wong",
    "zhu",
}
STEPPED = ("zhu/auprc", "zhu/auprc_ungated", *(f"zhu/precision_at_recall_{r}" for r in (25, 50, 75)))
"""Their reference goes along the curve in small steps."""


def plain(seed: int) -> MemoryPair:
    """More genes than any list is long but the 1,000 highest; effects that some cells make certain."""
    return simulated_pair(seed, n_genes=230, sizes=(60, 41, 75, 90), n_control=120)


def many_genes(seed: int) -> MemoryPair:
    return simulated_pair(seed, n_genes=1100, sizes=(12, 15, 9), n_control=20)


def tied(seed: int) -> MemoryPair:
    """Two perturbations are predicted by the same cells, two truths are the same, genes come twice."""
    pair = plain(seed)
    truth = [pair.truth.groups[i] for i in (0, 0, 2, 3)]
    prediction = [pair.prediction.groups[i] for i in (1, 1, 2, 1)]
    return twice(
        replace(
            pair,
            truth=replace_groups(pair.truth, truth),
            prediction=replace_groups(pair.prediction, prediction),
        )
    )


def twice(pair: MemoryPair) -> MemoryPair:
    """The first sixty genes once more under other names, and one that nobody expresses."""

    def wider(cells: Array) -> Array:
        return np.concatenate([cells, cells[:, :60], 0 * cells[:, :1]], axis=1)

    def side(of: MemorySide) -> MemorySide:
        return MemorySide([wider(cells) for cells in of.groups], wider(of.controls))

    genes = (*pair.genes, *(f"copy_{g}" for g in range(60)), "silent")
    assert pair.train is not None
    return replace(
        pair, genes=genes, truth=side(pair.truth), prediction=side(pair.prediction), train=side(pair.train)
    )


def replace_groups(side: MemorySide, groups: list[Array]) -> MemorySide:
    return MemorySide(groups, side.controls)


def no_change(seed: int) -> MemoryPair:
    """The prediction is the truth's control cells: every predicted change is exactly 0."""
    pair = plain(seed)
    return replace(
        pair,
        prediction=MemorySide([pair.truth.controls] * len(pair.perturbations), pair.truth.controls),
    )


def no_effect(seed: int) -> MemoryPair:
    """Nothing changes in truth either: no gene is called, by any test."""
    pair = plain(seed)
    cells = np.random.default_rng(seed).permutation(pair.truth.controls)
    return replace(pair, truth=MemorySide([cells[i::4] for i in range(4)], pair.truth.controls))


def constant(seed: int) -> MemoryPair:
    """Predictions and one truth are the same in all genes and cells; another truth is silent."""
    pair = plain(seed)
    ones = [np.ones_like(cells) for cells in pair.prediction.groups]
    truth = [ones[0], 0 * pair.truth.groups[1], *pair.truth.groups[2:]]
    return replace(
        pair,
        prediction=replace_groups(pair.prediction, [*ones[:3], 0 * ones[3]]),
        truth=replace_groups(pair.truth, truth),
    )


def few_cells(seed: int) -> MemoryPair:
    """Three cells are too few for weights and masks; one perturbation stands alone."""
    return simulated_pair(seed, n_genes=230, sizes=(3,), n_control=50)


WORLDS = {
    "plain 0": lambda: plain(0),
    "plain 1": lambda: plain(1),
    "plain 2": lambda: plain(2),
    "many genes": lambda: many_genes(3),
    "tied": lambda: tied(4),
    "no change": lambda: no_change(5),
    "no effect": lambda: no_effect(6),
    "constant": lambda: constant(7),
    "few cells": lambda: few_cells(8),
}


SLOW = ("plain 1", "plain 2", "many genes")
"""More of the same for all but those that choose among more than 1,000 genes."""


@cache
def world(name: str) -> MemoryPair:
    return WORLDS[name]()


def test_every_metric_of_these_peers_has_a_reference() -> None:
    assert {id for id in COMPAT if id.partition("/")[0] in PEERS} == set(REFERENCES)


CASES = [
    pytest.param(id, name, marks=pytest.mark.slow)
    if name in SLOW and not (name == "many genes" and id.startswith("ahlmann_eltze"))
    else (id, name)
    for id in sorted(REFERENCES)
    for name in WORLDS
]


@pytest.mark.parametrize(("id", "name"), CASES)
def test_a_metric_is_its_formula(id: str, name: str) -> None:
    found, wanted = COMPAT[id](world(name)).values, REFERENCES[id](world(name))
    rtol = 2e-3 if id in STEPPED else 1e-9
    np.testing.assert_allclose(found, wanted, rtol=rtol, atol=1e-10)
