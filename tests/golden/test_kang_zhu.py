"""Zhu et al. on the reachable part of Kang 2018: the numbers that implementation-independent runs gave.

Interferon-beta PBMC, 1,975 cells, 7 cell types. Each type in turn is predicted by its controls plus the
equal-weight mean change of the other six, by the two-factor model (least squares on cells), by no change.
Published for CD4 T cells: 30 genes, R2 .87 and .87, logFC R2 .64, area .62.
"""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from lanner.config import Settings
from lanner.metrics import LABELS
from lanner.metrics.differential_expression import davis_goadrich, gated
from lanner.records import Condition
from lanner.scoring import score
from scipy.special import stdtr
from truths import MemoryTruth, predict

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.filterwarnings("ignore::anndata.OldFormatWarning", "ignore::FutureWarning"),
]

FILE = "scgen_kang_valid.h5ad"
METRICS_OF_ZHU = ["de_auprc/zhu", "pearson_delta", "r2_corr/profile", "r2_corr/delta"]
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
    """Both models and no change, each cell type held out in turn."""
    changes = kang.full - kang.control_a
    others = (changes.sum(axis=0) - changes) / (len(changes) - 1)
    two_factor = np.stack([fit_two_factors(kang, k)[0] for k in range(len(DEGS))])
    predictions = {
        "mean delta": kang.control_a + others,
        "two factors": kang.control_a + two_factor,
        "no change": kang.control_a,
    }
    frames = []
    for name, profiles in predictions.items():
        prediction = predict(tmp_path_factory.mktemp("kang"), profiles)
        frames.append(score(kang, prediction, METRICS_OF_ZHU).assign(model=name))
    frame = pd.concat(frames)
    frame = frame[frame["variant"] == "@all-cells.unmasked"]
    return frame.set_index(["model", "metric", "context"]).sort_index()


def fit_two_factors(truth, held_out):
    """log1p y = alpha_type + beta_stimulated by least squares on cells, without the held-out condition.

    Returns beta and the two-sided p of its t, ``(n_genes,)`` each (Zhu et al. 2025). The controls of the
    held-out type alone decide its alpha, so that the prediction is their mean + beta.
    """
    cells, design = [], []
    for k in range(len(truth.contexts)):
        for stimulated in (0, 1):
            if stimulated and k == held_out:
                continue
            some = truth.cells(k) if stimulated else truth.control_cells(k, "a")
            cells.append(some.toarray().astype(float))
            design.append(np.tile([*np.eye(len(truth.contexts))[k], stimulated], (some.shape[0], 1)))
    y, x = np.concatenate(cells), np.concatenate(design)
    coefficients, *_ = np.linalg.lstsq(x, y, rcond=None)
    freedom = len(x) - x.shape[1]
    variance = ((y - x @ coefficients) ** 2).sum(axis=0) / freedom
    with np.errstate(divide="ignore", invalid="ignore"):
        t = coefficients[-1] / np.sqrt(variance * np.linalg.inv(x.T @ x)[-1, -1])
    return coefficients[-1], 2 * stdtr(freedom, -np.abs(t))


@pytest.mark.parametrize(
    ("model", "metric", "value"),
    [
        ("no change", "r2_corr/profile", 0.859),
        ("two factors", "r2_corr/profile", 0.864),
        ("two factors", "r2_corr/delta", 0.610),
        ("two factors", "de_auprc/zhu", 0.615),
        ("mean delta", "r2_corr/profile", 0.899),
        ("mean delta", "r2_corr/delta", 0.666),
        ("mean delta", "de_auprc/zhu", 0.672),
    ],
)
def test_cd4_t_cells_held_out_give_the_known_numbers(scores, model, metric, value):
    row = scores.loc[(model, metric, "CD4T")]
    assert row["status"] == "scored"
    assert row["value"] == pytest.approx(value, abs=5e-4)


def test_the_gate_on_the_models_own_p_gives_the_known_area(kang):
    k = list(kang.contexts).index("CD4T")
    cells = kang.cells(k)
    labels = LABELS["zhu"](cells, np.ones((1, cells.shape[0]), bool), kang.control_cells(k, "b"))
    change, p = (torch.as_tensor(array[None]) for array in fit_two_factors(kang, k))
    area = davis_goadrich(gated(change, p), torch.as_tensor(labels))
    assert area.item() == pytest.approx(0.599, abs=5e-4)


def test_no_change_has_no_change_to_correlate_and_a_constant_score(scores):
    delta = scores.loc[("no change", "r2_corr/delta")]
    assert set(delta["status"]) == {"undefined"} and delta["value"].isna().all()
    areas = scores.loc[("no change", "de_auprc/zhu")]
    np.testing.assert_allclose(areas["value"], areas["chance"])


def test_zhus_rule_finds_the_published_number_of_genes(kang):
    found = {}
    for i, request in enumerate(kang.requests):
        cells, controls = kang.cells(i), kang.control_cells(i, "b")
        everything = np.ones((1, cells.shape[0]), dtype=bool)
        found[request.condition.context_id] = int(LABELS["zhu"](cells, everything, controls).sum())
    assert found == DEGS


def test_the_area_is_high_in_all_types_although_positives_are_rare(scores):
    areas = scores.loc[("mean delta", "de_auprc/zhu")]
    assert len(areas) == 7
    assert (areas["value"] >= 0.66).all()
    assert (areas["chance"] <= 0.012).all()


def test_the_change_correlates_as_known_in_all_types(scores):
    values = scores.loc[("mean delta", "pearson_delta")]["value"]
    assert values.min() == pytest.approx(0.756, abs=5e-4)
    assert values.max() == pytest.approx(0.912, abs=5e-4)
