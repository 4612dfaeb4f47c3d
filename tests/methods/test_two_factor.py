"""two-factor and crispr-informed, compared with the formula in numpy; and Zhu et al.'s numbers."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from by_hand import GENES, TWO_LINES
from lanner.metrics.differential_expression import davis_goadrich
from scipy.stats import ttest_ind


def least_squares(staged, request):
    """alpha + beta from the cells themselves: one row per cell, one column per context and perturbation."""
    contexts = sorted(set(staged.obs["line"]))
    levels = sorted(set(staged.obs["perturbation"]) - {"control"})
    columns = [*contexts, *levels]
    A = np.array(
        [
            [name in (line, what) for name in columns]
            for line, what in staged.obs[["line", "perturbation"]].to_numpy()
        ],
        dtype=float,
    )
    effects = np.linalg.lstsq(A, staged.X, rcond=None)[0]
    return effects[columns.index(request[1])] + effects[columns.index(request[0])]


def test_two_factor_is_least_squares_on_cells(stage, predict):
    requests = [("B", "RPE1"), ("A+C", "RPE1"), ("A", "K562")]
    staged = stage(TWO_LINES, requests)
    result = predict("two-factor", staged)
    expected = [least_squares(staged, request) for request in requests]
    np.testing.assert_allclose(result.rows, expected, rtol=1e-5, atol=1e-6)
    assert result.answered == [True, True, True]


def test_two_factor_tells_doses_apart(stage, predict):
    cells = [
        ("control", "K562", 4, "0"),
        ("control", "RPE1", 4, "0"),
        ("x", "K562", 3, "1"),
        ("x", "K562", 3, "10"),
    ]
    staged = stage(cells, [("x", "RPE1", "", "10"), ("x", "RPE1", "", "100")])
    result = predict("two-factor", staged)
    expected = staged.mean("control", "RPE1") + staged.delta("x", "K562", "10")
    np.testing.assert_allclose(result.rows[0], expected, rtol=1e-5, atol=1e-6)
    assert result.answered == [True, False]


def test_two_factor_answers_only_what_the_cells_determine(stage, predict):
    """B was seen in HepG2 only, which shares neither controls nor a perturbation with K562."""
    cells = [*TWO_LINES, ("E", "HepG2", 4), ("F", "HepG2", 4)]
    result = predict("two-factor", stage(cells, [("E", "K562"), ("Z", "K562"), ("B", "RPE1")]))
    assert result.answered == [False, False, True]
    assert result.stderr.splitlines() == [
        "unanswered: E in K562: not linked to its context",
        "unanswered: Z in K562: the perturbation or its context is in no cell",
    ]


def test_two_factor_is_not_applicable_to_perturbations_nobody_has_seen(stage, predict):
    result = predict("two-factor", stage(TWO_LINES, [("D", "K562"), ("A+B", "K562")]))
    assert (result.code, result.prediction) == (99, None)
    assert result.stderr.splitlines()[-1] == "no request combines a seen perturbation with a seen context"


@pytest.mark.parametrize(("kind", "factor"), [("CRISPRi", 0), ("CRISPRko", 0), ("Cas13d", 0), ("CRISPRa", 2)])
def test_crispr_informed_moves_the_targets_alone(kind, factor, stage, predict):
    staged = stage(
        [*TWO_LINES, ("control", "HepG2", 3)],
        [("B", "K562"), ("A+D", "HepG2"), ("notgene", "K562"), ("B+notgene", "K562")],
        facts={"perturbation_kind": kind},
    )
    perturbed = (staged.obs["perturbation"] != "control").to_numpy()
    here = perturbed & (staged.obs["line"] == "K562").to_numpy()
    mean = staged.X[here].mean(axis=0)
    expected = np.stack([mean, staged.X[perturbed].mean(axis=0), mean, mean])
    expected[[0, 3], GENES.index("B")] *= factor
    expected[1, [GENES.index("A"), GENES.index("D")]] *= factor
    result = predict("crispr-informed", staged)
    np.testing.assert_allclose(result.rows, expected, rtol=1e-5, atol=1e-6)
    assert result.answered == [True] * 4
    assert "the mean alone for notgene" in result.stderr


@pytest.mark.parametrize(
    ("facts", "request_", "reason"),
    [
        ({"perturbation_kind": "cytokine"}, ("A", "K562"), "kind cytokine"),
        ({"scale": "lfc"}, ("A", "K562"), "log fold changes"),
    ],
)
def test_crispr_informed_is_not_applicable_where_it_knows_nothing(facts, request_, reason, stage, predict):
    result = predict("crispr-informed", stage(TWO_LINES, [request_], facts=facts))
    assert (result.code, result.prediction) == (99, None)
    assert reason in result.stderr.splitlines()[-1]


@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore::anndata.OldFormatWarning", "ignore::FutureWarning")
def test_two_factor_gives_the_known_numbers_for_cd4_t_cells_of_kang(stage, predict, shared_settings):
    """All controls staged, as Zhu et al. do: R2 .864, logFC R2 .610, AUPRC .615 (published .87, .64, .62)."""
    found = [folder / "scgen_kang_valid.h5ad" for folder in shared_settings.mirrors]
    if not found[0].exists():
        pytest.skip("scgen_kang_valid.h5ad is not in the mirror")
    data = ad.read_h5ad(found[0])
    X = sp.csr_matrix(data.X)
    names = {"control": "control", "stimulated": "IFNB1"}
    obs = pd.DataFrame(
        {
            "perturbation": data.obs["condition"].astype(str).map(names),
            "line": data.obs["cell_type"].astype(str),
        }
    )
    held_out = ((obs["line"] == "CD4T") & (obs["perturbation"] == "IFNB1")).to_numpy()
    staged = stage(obs[~held_out], [("IFNB1", "CD4T", "")], X=X[~held_out], genes=list(data.var_names))
    predicted = predict("two-factor", staged).rows[0].astype(np.float64)

    truth = X[held_out].toarray().astype(np.float64)
    control = X[((obs["line"] == "CD4T") & (obs["perturbation"] == "control")).to_numpy()].toarray()
    change, expected = truth.mean(axis=0) - control.mean(axis=0), predicted - control.mean(axis=0)
    assert np.corrcoef(predicted, truth.mean(axis=0))[0, 1] ** 2 == pytest.approx(0.864, abs=5e-4)
    assert np.corrcoef(expected, change)[0, 1] ** 2 == pytest.approx(0.610, abs=5e-4)
    with np.errstate(all="ignore"):
        p = np.nan_to_num(ttest_ind(truth, control, equal_var=False).pvalue, nan=1.0)
    labels = (p < 1e-10) & (np.abs(change) > 0.3)
    assert labels.sum() == 30
    area = davis_goadrich(torch.from_numpy(np.abs(expected))[None], torch.from_numpy(labels)[None])
    assert area.item() == pytest.approx(0.615, abs=5e-4)
