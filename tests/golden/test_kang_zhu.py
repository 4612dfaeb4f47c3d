"""Zhu et al. on the reachable part of Kang 2018: the numbers that implementation-independent runs gave.

Interferon-beta PBMC, 1,975 cells, 7 cell types; each type in turn is predicted as its controls plus the
equal-weight mean change of the other six.
"""

from __future__ import annotations

import anndata
import numpy as np
import pytest
import scipy.sparse as sp
from lanner.config import Settings
from lanner.metrics import LABELS
from lanner.records import Condition
from lanner.scoring import score
from truths import MemoryTruth, predict

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.filterwarnings("ignore::anndata.OldFormatWarning", "ignore::FutureWarning"),
]

FILE = "scgen_kang_valid.h5ad"
DEGS = {"B": 21, "CD14+Mono": 68, "CD4T": 30, "CD8T": 9, "Dendritic": 29, "FCGR3A+Mono": 80, "NK": 14}


@pytest.fixture(scope="module")
def kang(shared_settings: Settings):
    found = [folder / FILE for folder in shared_settings.mirrors if (folder / FILE).exists()]
    if not found:
        pytest.skip(f"{FILE} is in no mirror folder")
    data = anndata.read_h5ad(found[0])
    cells, types = sp.csr_matrix(data.X), data.obs["cell_type"].astype(str).to_numpy()
    stimulated = (data.obs["condition"] == "stimulated").to_numpy()
    test = {
        Condition(perturbation="IFNB1", targets=(), context=(name,)): cells[(types == name) & stimulated]
        for name in DEGS
    }
    controls = {name: cells[(types == name) & ~stimulated] for name in DEGS}
    return MemoryTruth(
        genes=tuple(data.var_names), test=test, train=test, controls=controls, shared=True, with_pca=False
    )


@pytest.fixture(scope="module")
def scores(kang, tmp_path_factory):
    changes = kang.full - kang.control_a
    others = (changes.sum(axis=0) - changes) / (len(changes) - 1)
    prediction = predict(tmp_path_factory.mktemp("kang"), kang.control_a + others)
    frame = score(kang, prediction, ["de_auprc/zhu", "pearson_delta"])
    return frame[frame["variant"] == "@all-cells.unmasked"].set_index(["metric", "context"])


def test_zhus_rule_finds_the_published_number_of_genes(kang):
    found = {}
    for i, request in enumerate(kang.requests):
        cells, controls = kang.cells(i), kang.control_cells(i, "b")
        everything = np.ones((1, cells.shape[0]), dtype=bool)
        found[request.condition.context_id] = int(LABELS["zhu"](cells, everything, controls).sum())
    assert found == DEGS


def test_the_area_in_cd4_t_cells_is_the_known_one(scores):
    assert scores.loc[("de_auprc/zhu", "CD4T"), "value"] == pytest.approx(0.672, abs=5e-4)


def test_the_area_is_high_in_all_types_although_positives_are_rare(scores):
    areas = scores.loc["de_auprc/zhu"]
    assert len(areas) == 7
    assert (areas["value"] >= 0.66).all()
    assert (areas["chance"] <= 0.012).all()


def test_the_change_correlates_as_known_in_all_types(scores):
    values = scores.loc["pearson_delta"]["value"]
    assert values.min() == pytest.approx(0.756, abs=5e-4)
    assert values.max() == pytest.approx(0.912, abs=5e-4)
