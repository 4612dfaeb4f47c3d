"""DREAM4 as published: its samples, and a gold standard whose regulators move what they regulate."""

from __future__ import annotations

import numpy as np
import pytest
from lanner import datasets
from lanner.config import Settings

pytestmark = pytest.mark.realdata


def test_knock_outs_move_the_targets_of_the_gold_standard_and_not_its_regulators(
    shared_settings: Settings,
) -> None:
    data = datasets.load(datasets.find_entry(shared_settings, "dream4"), shared_settings)
    assert [line for line in datasets.check(data) if line["level"] == "error" and not line["passed"]] == []
    gold = data.gold()
    assert gold is not None and gold.nnz == 176 and not gold.diagonal().any()
    assert data.gold_facts() == {"edges": 176, "signed": False, "self_loops": 0, "unmeasured": 0}

    X = data.X().block(0, len(data.obs))
    X = np.asarray(X.todense())
    wild_type = X[np.flatnonzero(data.obs["condition"] == "control|steady-state")][0]
    change = np.zeros((len(data.genes), len(data.genes)))
    for row, gene in enumerate(data.genes):
        knocked = np.flatnonzero(data.obs["condition"] == f"{gene}@knockout|steady-state")
        change[row] = np.abs(X[knocked][0] - wild_type)
        assert change[row, row] == pytest.approx(wild_type[row])
    np.fill_diagonal(change, np.nan)
    edges = gold.toarray() != 0
    others = np.nanmean(change[~edges])
    assert np.nanmean(change[edges]) > 4 * others
    assert np.nanmean(change[edges.T]) < 2 * others
