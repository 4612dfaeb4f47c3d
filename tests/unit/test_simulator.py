from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
from lanner.errors import ConfigurationError
from lanner.simulator import SIZES, Simulation, simulate, write

SMALL: dict[str, Any] = {
    "n_perturbations": 6,
    "n_combinations": 3,
    "n_cells_per_condition": 20,
    "n_controls": 30,
    "n_genes": 60,
}


@pytest.fixture(scope="module")
def demo() -> anndata.AnnData:
    return simulate(seed=1)


def test_one_seed_gives_one_experiment_and_another_seed_another() -> None:
    first, again, other = simulate(**SMALL, seed=3), simulate(**SMALL, seed=3), simulate(**SMALL, seed=4)
    assert (first.X != again.X).nnz == 0 and first.obs.equals(again.obs)
    assert (first.X != other.X).nnz > 0


def test_the_experiment_has_the_conditions_asked_for() -> None:
    adata = simulate(**SMALL, cell_types=("A549", "HeLa", "K562"))
    sizes = adata.obs.groupby(["cell_type", "perturbation"], observed=True).size().unstack()
    assert sizes.shape == (3, 1 + 6 + 3)
    assert (sizes["control"] == 30).all() and (sizes.drop(columns="control") == 20).all().all()
    targets = {target for label in sizes.columns if label != "control" for target in label.split("+")}
    assert targets == set(adata.var_names[:6])


def test_x_is_log1p_of_counts_per_10000() -> None:
    adata = simulate(**SMALL)
    counts = adata.layers["counts"].toarray()
    assert (counts == np.rint(counts)).all() and (counts >= 0).all()
    np.testing.assert_allclose(
        adata.X.toarray(), np.log1p(counts / counts.sum(1, keepdims=True) * 1e4), rtol=1e-5
    )


def test_the_demo_takes_less_than_ten_seconds() -> None:
    start = time.perf_counter()
    simulate()
    assert time.perf_counter() - start < 10


def test_the_file_written_in_blocks_equals_the_one_in_memory(tmp_path: Path) -> None:
    simulation = Simulation(**SMALL)
    write(simulation, tmp_path / "s.h5ad")
    written, whole = anndata.read_h5ad(tmp_path / "s.h5ad"), simulate(**SMALL)
    assert (written.X != whole.X).nnz == 0
    assert (written.layers["counts"] != whole.layers["counts"]).nnz == 0
    assert written.obs.astype(str).equals(whole.obs.astype(str)) and list(written.var_names) == list(
        whole.var_names
    )
    assert dict(written.uns) == {}


def test_the_network_explains_which_genes_move(demo: anndata.AnnData) -> None:
    edges = demo.uns["network"]
    X, obs = demo.X.toarray(), demo.obs
    inside, outside = [], []
    for regulator in demo.var_names[:8]:
        own = (obs["cell_type"] == "type0").to_numpy()
        moved = X[own & (obs["perturbation"] == regulator)].mean(0) - X[
            own & (obs["perturbation"] == "control")
        ].mean(0)
        regulated = demo.var_names.isin(edges.loc[edges["regulator"] == regulator, "target"])
        inside.append(np.abs(moved[regulated]).mean())
        outside.append(np.abs(moved[~regulated]).mean())
    assert np.mean(inside) > 1.5 * np.mean(outside)


@pytest.mark.parametrize("size", list(SIZES))
def test_benchmark_sizes_have_the_published_shape(size: str) -> None:
    simulation = Simulation(**SIZES[size])
    cells = {"S": 12_000, "M": 55_000, "L": 210_000}[size]
    assert sum(group[2] for group in simulation._groups) == cells
    assert len(simulation.genes) == {"S": 2_000, "M": 5_000, "L": 8_000}[size]


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="more than 24 genes"):
        Simulation(n_genes=20)
    with pytest.raises(ConfigurationError, match="have 3 pairs, not 4"):
        Simulation(n_perturbations=3, n_combinations=4)


# --- what makes it worth predicting: the claims the demo and the tests of scoring rest on -------------------


class Halves:
    """Means of two disjoint halves of every condition, and scores against the first."""

    def __init__(self, adata: anndata.AnnData) -> None:
        random = np.random.default_rng(0)
        X = adata.X.toarray().astype(np.float64)
        labels, types = (adata.obs[name].astype(str).to_numpy() for name in ("perturbation", "cell_type"))
        self.genes = np.array(adata.var_names)
        self.first, self.second, self.whole = {}, {}, {}
        for key in {*zip(labels, types, strict=True)}:
            rows = random.permutation(np.flatnonzero((labels == key[0]) & (types == key[1])))
            middle = len(rows) // 2
            self.first[key], self.second[key] = X[rows[:middle]].mean(0), X[rows[middle:]].mean(0)
            self.whole[key] = X[rows].mean(0)
        self.singles = [key for key in self.first if key[0] != "control" and "+" not in key[0]]
        self.doubles = [key for key in self.first if "+" in key[0]]

    def delta(self, name: str, context: str) -> np.ndarray[Any, Any]:
        return self.whole[name, context] - self.whole["control", context]

    def scores(self, keys: list[tuple[str, str]], predict: Any) -> tuple[float, float]:
        """Mean MSE and mean correlation of deltas, own targets masked."""
        errors, correlations = [], []
        for key in keys:
            mask = ~np.isin(self.genes, key[0].split("+"))
            predicted, truth = predict(*key)[mask], self.first[key][mask]
            errors.append(((predicted - truth) ** 2).mean())
            change = predicted - self.second["control", key[1]][mask]
            with np.errstate(invalid="ignore"):
                r = np.corrcoef(change, truth - self.first["control", key[1]][mask])[0, 1]
            correlations.append(r)
        return float(np.mean(errors)), float(np.mean(correlations))


@pytest.fixture(scope="module")
def halves(demo: anndata.AnnData) -> Halves:
    return Halves(demo)


def train_mean(halves: Halves, name: str, context: str) -> Any:
    return np.mean(
        [halves.whole[key] for key in halves.singles if key[1] == context and key[0] != name], axis=0
    )


def test_a_technical_duplicate_beats_no_change_and_train_mean(halves: Halves) -> None:
    duplicate = halves.scores(halves.singles, lambda *key: halves.second[key])
    mean = halves.scores(halves.singles, lambda *key: train_mean(halves, *key))
    none = halves.scores(halves.singles, lambda _, context: halves.second["control", context])
    assert duplicate[0] < 0.7 * mean[0] < 0.7 * none[0]
    assert duplicate[1] > mean[1] + 0.2


def test_additive_is_good_but_not_perfect_on_doubles(halves: Halves) -> None:
    def additive(name: str, context: str) -> Any:
        return halves.second["control", context] + sum(
            halves.delta(part, context) for part in name.split("+")
        )

    duplicate = halves.scores(halves.doubles, lambda *key: halves.second[key])
    error, correlation = halves.scores(halves.doubles, additive)
    mean = halves.scores(halves.doubles, lambda *key: train_mean(halves, *key))
    assert duplicate[0] < error < mean[0]
    assert mean[1] + 0.1 < correlation < duplicate[1]


def test_effects_transfer_between_cell_types(halves: Halves) -> None:
    other = {"type0": "type1", "type1": "type0"}
    _, correlation = halves.scores(
        halves.singles,
        lambda name, context: halves.second["control", context] + halves.delta(name, other[context]),
    )
    assert correlation > 0.6


def test_network_neighbours_predict_a_single_better_than_the_train_mean(halves: Halves) -> None:
    def neighbours(name: str, context: str) -> Any:
        module = int(name[3:]) // 4
        near = [key[0] for key in halves.singles if key[1] == context and int(key[0][3:]) // 4 == module]
        return halves.second["control", context] + np.mean(
            [halves.delta(other, context) for other in near if other != name], axis=0
        )

    error, correlation = halves.scores(halves.singles, neighbours)
    mean = halves.scores(halves.singles, lambda *key: train_mean(halves, *key))
    assert error < mean[0] and correlation > mean[1] + 0.1
