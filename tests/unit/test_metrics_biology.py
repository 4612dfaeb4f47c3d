"""Programmes and states of cells against loops over cells, pairs and neighbours."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from lanner.metrics import METRICS
from lanner.metrics.gene_sets import gene_sets, measured
from lanner.scoring import score, score_bounds
from programmes import simulate_programmes
from scipy.spatial.distance import cdist
from scipy.stats import pearsonr
from truths import comparison, predict, simulate

NAMES = [name for name in METRICS if METRICS[name].card.level == "biology"]
ALL = "@all-cells.unmasked"


@pytest.fixture(scope="module")
def truth():
    return simulate_programmes(halvings=2, n_cells=60)


@pytest.fixture(scope="module")
def guess(truth):
    """Cells with other programmes: those of another condition."""
    n = len(truth.requests)
    return [truth.cells((i + 1) % n).toarray().astype(float) for i in range(n)]


@pytest.fixture(scope="module")
def frame(truth, guess, tmp_path_factory):
    prediction = predict(tmp_path_factory.mktemp("p"), np.concatenate(guess), n_cells=60)
    return score(truth, prediction, NAMES)


def values(frame, name, variant=ALL):
    rows = frame[(frame["metric"] == name) & (frame["variant"] == variant)]
    assert set(rows["status"]) == {"scored"}
    return rows["value"].to_numpy()


def columns(truth, kinds=("cell-cycle", "cytokine", "pathway")):
    place = {gene: g for g, gene in enumerate(truth.genes)}
    chosen = [gene_set for gene_set in gene_sets() if gene_set.kind in kinds]
    sets = {s.name: [place[gene] for gene in s.genes if gene in place] for s in chosen}
    return {name: found for name, found in sets.items() if len(found) >= 5}


def test_every_set_states_its_source_and_licence_and_repeats_no_gene():
    sizes = {gene_set.name: len(gene_set.genes) for gene_set in gene_sets()}
    assert (sizes["cell-cycle-s"], sizes["cell-cycle-g2m"]) == (43, 54)
    for gene_set in gene_sets():
        assert gene_set.source and gene_set.licence and gene_set.kind in {"cell-cycle", "cytokine", "pathway"}
        assert len(set(gene_set.genes)) == len(gene_set.genes)
        assert all(gene == gene.upper() for gene in gene_set.genes)


def test_pathway_scores_correlate_as_means_over_sets(truth, guess, frame):
    ours = values(frame, "biology/pathway")
    for i in range(len(guess)):
        k = truth.context_of[i]
        p, t = guess[i].mean(0) - truth.control_a[k], truth.full[i] - truth.control_b[k]
        pairs = [(p[c].mean(), t[c].mean()) for c in columns(truth).values()]
        assert ours[i] == pytest.approx(pearsonr(*np.array(pairs).T).statistic, rel=1e-5)


def test_cytokine_response_errors_are_those_of_set_means(truth, guess, frame):
    ours = values(frame, "biology/cytokine")
    for i in range(len(guess)):
        k = truth.context_of[i]
        d = guess[i].mean(0) - truth.control_a[k] - truth.full[i] + truth.control_b[k]
        assert ours[i] == pytest.approx(
            np.mean([abs(d[c].mean()) for c in columns(truth, ["cytokine"]).values()]), rel=1e-5
        )


def test_coexpression_is_that_of_corrcoef(truth, guess, frame):
    ours = values(frame, "biology/coexpression")
    for i in range(len(guess)):
        own, agreements = truth.cells(i).toarray().astype(float), []
        for c in columns(truth).values():
            pair = np.triu_indices(len(c), 1)
            r, s = np.corrcoef(own[:, c].T)[pair], np.corrcoef(guess[i][:, c].T)[pair]
            agreements.append(np.mean(1 - np.abs(r - s) / 2))
        assert ours[i] == pytest.approx(np.mean(agreements), rel=1e-5)


def test_phases_are_counted_by_the_scores_of_sealed_controls(truth, guess, frame):
    ours = values(frame, "biology/cell_cycle")
    sets = columns(truth, ["cell-cycle"])
    for i in range(len(guess)):
        controls = truth.control_cells(int(truth.context_of[i]), "b").toarray().astype(float)

        def shares(cells, controls=controls):
            scores = []
            for name in ("cell-cycle-s", "cell-cycle-g2m"):
                of_controls = controls[:, sets[name]].mean(axis=1)
                scores.append(
                    (cells[:, sets[name]].mean(axis=1) - of_controls.mean()) / of_controls.std(ddof=1)
                )
            s, g = scores
            phase = np.where((s <= 0) & (g <= 0), 0, np.where(s > g, 1, 2))
            return np.bincount(phase, minlength=3) / len(cells)

        expected = np.abs(shares(guess[i]) - shares(truth.cells(i).toarray().astype(float))).mean()
        assert ours[i] == pytest.approx(expected, abs=1e-9)


def test_purity_is_one_half_for_cells_that_are_neither(truth):
    """Neighbours of points far from everything are perturbed cells and controls as they come."""
    import torch
    from lanner.metrics.cell_states import _purity

    generator = np.random.default_rng(0)
    near, far, cells = generator.normal(size=(3, 50, 6))
    to_near, to_far = cdist(cells, near), cdist(cells, far)
    both = np.concatenate([to_near, to_far], axis=1)
    nearest = np.argsort(both, axis=1)[:, :20] < 50
    ours = _purity(torch.as_tensor(to_near), torch.as_tensor(both), 20).item()
    assert ours == pytest.approx(nearest.mean()) and abs(ours - 0.5) < 0.1
    tied = torch.ones(4, 10)
    assert _purity(tied[:, :5], tied, 4).item() == pytest.approx(0.5)


def test_true_cells_have_more_perturbed_neighbours_than_controls_have(truth):
    bounds = score_bounds(truth, ["biology/knn_purity"])
    means = bounds[bounds["variant"] == ""].groupby("bound")["value"].mean()
    assert means["technical-duplicate"] > 0.55 > means["no-change"]


def test_cells_of_the_wrong_context_are_recognised(truth, tmp_path):
    n = len(truth.requests)
    own = np.concatenate([truth.cells(i).toarray() for i in range(n)])
    other = np.roll(own, len(own) // 2, axis=0)
    for cells, low, high in ((own, 0.8, 1.0), (other, 0.0, 0.2)):
        rows = score(truth, predict(tmp_path, cells, n_cells=60), ["biology/cell_type_accuracy"])
        assert ((rows["value"] >= low) & (rows["value"] <= high)).all()
        assert (rows["chance"] == 0.5).all()


def test_fewer_than_five_measured_genes_or_one_context_are_the_truths_affair(tmp_path):
    truth = simulate(n_conditions=3, n_genes=40, halvings=1)
    frame = score(truth, predict(tmp_path, truth.full, residual="shift"), NAMES)
    rows = frame[frame["metric"] != "biology/knn_purity"]
    assert (
        set(rows["status"]) == {"unscorable"} and (rows["reason"] != "").all() and rows["value"].isna().all()
    )


def test_masked_genes_are_in_no_set():
    names = next(iter(gene_sets())).genes[:6]
    arrays = comparison(np.zeros(6), np.zeros(6))
    for n_masked, found in ((1, 1), (2, 0)):
        masked = np.arange(6) < n_masked
        arrays = comparison(np.zeros(6), np.zeros(6), masked=masked)
        arrays = type(arrays)(**{**vars(arrays), "genes": tuple(name.title() for name in names)})
        assert len(measured(arrays)) == found


def test_constant_cells_have_no_coexpression_and_say_so(truth, tmp_path):
    cells = np.repeat(truth.full, 60, axis=0)
    frame = score(truth, predict(tmp_path, sp.csr_matrix(cells), n_cells=60), ["biology/coexpression"])
    assert set(frame["status"]) == {"undefined"}
