"""Energy distance against loops over pairs of cells."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from lanner.metrics import METRICS, Comparison
from lanner.metrics.population import Population
from lanner.scoring.cells import CellSet
from scipy.spatial.distance import cdist
from truths import comparison

energy, energy_gene = METRICS["energy/pca50"], METRICS["energy/gene"]
NO_TARGETS = np.array([], dtype=np.int64)


def brute_force(x, y):
    def off_diagonal(z):
        return cdist(z, z).sum() / (len(z) * (len(z) - 1))

    return 2 * cdist(x, y).mean() - off_diagonal(x) - off_diagonal(y)


def population(x, y, *, targets=NO_TARGETS, pca=None, masked=False, draws=None, truth_size=None):
    truth, predicted = CellSet(x, targets, pca), CellSet(y, targets, pca)
    t, p = draws if draws is not None else (np.ones((1, x.shape[0])), np.ones((1, y.shape[0])))
    size = torch.as_tensor(t.sum(axis=1))
    arrays = comparison(np.zeros((1, x.shape[1])), np.zeros((1, x.shape[1])))
    return Comparison(
        **{
            **vars(arrays),
            "population": Population(
                truth=truth,
                predicted=predicted,
                truth_draws=torch.as_tensor(t),
                predicted_draws=torch.as_tensor(p),
                size=size,
                truth_size=size if truth_size is None else torch.as_tensor(truth_size),
                masked=masked,
            ),
        }
    )


@pytest.fixture
def cells():
    generator = np.random.default_rng(0)
    return generator.poisson(1.0, (40, 30)).astype(float), generator.poisson(1.3, (40, 30)).astype(float)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix], ids=["dense", "sparse"])
def test_energy_in_gene_space_is_that_of_loops(cells, form):
    x, y = cells
    assert energy_gene(population(form(x), form(y))).values.item() == pytest.approx(
        brute_force(x, y), abs=1e-10
    )


def test_gene_blocks_do_not_change_distances(cells, monkeypatch):
    x, y = cells
    whole = energy_gene(population(x, y)).values
    monkeypatch.setattr("lanner.scoring.cells.GENE_BLOCK", 7)
    assert energy_gene(population(x, y)).values.item() == pytest.approx(whole.item(), abs=1e-10)


def test_energy_in_pca_space_projects_on_train_components(cells):
    x, y = cells
    generator = np.random.default_rng(1)
    mean, components = generator.random(30), np.linalg.qr(generator.normal(size=(30, 5)))[0].T.copy()
    expected = brute_force((x - mean) @ components.T, (y - mean) @ components.T)
    assert energy(population(x, y, pca=(mean, components))).values.item() == pytest.approx(
        expected, abs=1e-10
    )


def test_masked_targets_are_equal_in_all_cells(cells):
    x, y = cells
    targets = np.array([2, 11])
    generator = np.random.default_rng(1)
    mean, components = generator.random(30), np.linalg.qr(generator.normal(size=(30, 5)))[0].T.copy()
    hidden = x.copy(), y.copy()
    for array in hidden:
        array[:, targets] = mean[targets]
    arrays = population(x, y, targets=targets, pca=(mean, components), masked=True)
    assert energy_gene(arrays).values.item() == pytest.approx(brute_force(*hidden), abs=1e-9)
    projected = [(array - mean) @ components.T for array in hidden]
    assert energy(arrays).values.item() == pytest.approx(brute_force(*projected), abs=1e-9)


def test_draws_take_the_cells_they_name(cells):
    x, y = cells
    generator = np.random.default_rng(3)
    t, p = np.zeros((3, 40)), np.zeros((3, 40))
    for b in range(3):
        t[b, generator.choice(40, 25, replace=False)] = 1
        p[b, generator.choice(40, 25, replace=False)] = 1
    ours = energy_gene(population(x, y, draws=(t, p))).values
    expected = [brute_force(x[t[b] > 0], y[p[b] > 0]) for b in range(3)]
    np.testing.assert_allclose(ours, expected, atol=1e-10)


def test_two_samples_of_one_distribution_are_at_zero_on_average_whatever_their_size():
    generator = np.random.default_rng(0)
    for n in (20, 60):
        values = [
            energy_gene(population(*generator.normal(size=(2, n, 10)))).values.item() for _ in range(200)
        ]
        assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(200)


def test_a_point_mass_at_the_mean_is_told_from_the_cells(cells):
    x, y = cells
    point = np.repeat(x.mean(axis=0)[None], 40, axis=0)
    assert energy_gene(population(x, point)).values > 5 * energy_gene(population(x, y)).values


def test_too_few_cells_are_the_fault_of_whoever_lacks_them(cells):
    x, y = cells
    few = np.zeros((1, 40))
    few[0, :19] = 1
    short_prediction = energy_gene(population(x, y, draws=(few, few), truth_size=[40]))
    assert short_prediction.values.isnan().all() and short_prediction.scorable.all()
    assert not energy_gene(population(x, y, draws=(few, few), truth_size=[19])).scorable.any()
