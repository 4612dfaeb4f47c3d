"""Peers' metrics on the reachable part of Kang 2018, against what Zhu et al. published and others measured.

Interferon-beta PBMC, 1,975 cells, 7 cell types; the stimulated cells of one type are predicted from the
other six. Published (on ten times the cells): 30 DEGs in CD4 T cells, R2 .87 for no change and for the
two-factor model, logFC R2 .64, AUPRC .62.
"""

from __future__ import annotations

from typing import Any

import anndata
import numpy as np
import pytest
from lanner.compat import COMPAT
from lanner.compat.zhu import paper_labels
from lanner.config import Settings
from pairs import MemoryPair, MemorySide

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.filterwarnings("ignore::anndata.OldFormatWarning", "ignore::FutureWarning"),
]
Array = np.ndarray[Any, Any]
FILE = "scgen_kang_valid.h5ad"
HELD_OUT = "CD4T"


class Kang:
    """Cells by type and condition, dense."""

    def __init__(self, settings: Settings) -> None:
        found = [folder / FILE for folder in settings.mirrors if (folder / FILE).exists()]
        if not found:
            pytest.skip(f"{FILE} is in no mirror folder")
        data = anndata.read_h5ad(found[0])
        cells = np.asarray(data.X.todense() if hasattr(data.X, "todense") else data.X)
        types = data.obs["cell_type"].astype(str).to_numpy()
        stimulated = (data.obs["condition"] == "stimulated").to_numpy()
        self.genes = tuple(data.var_names)
        self.types = tuple(sorted(set(types)))
        self.stimulated = {name: cells[(types == name) & stimulated] for name in self.types}
        self.control = {name: cells[(types == name) & ~stimulated] for name in self.types}

    def pair(self, predicted: Array) -> MemoryPair:
        """CD4 T cells under interferon, predicted by the given cells ``(n, G)``."""
        controls = self.control[HELD_OUT]
        return MemoryPair(
            perturbations=("IFNB1",),
            genes=self.genes,
            truth=MemorySide([self.stimulated[HELD_OUT]], controls),
            prediction=MemorySide([predicted], controls),
        )

    def changes(self) -> Array:
        """Mean change of each other type, ``(6, G)``."""
        return np.stack(
            [
                self.stimulated[name].mean(axis=0, dtype=np.float64)
                - self.control[name].mean(axis=0, dtype=np.float64)
                for name in self.types
                if name != HELD_OUT
            ]
        )

    def two_factor_change(self) -> Array:
        """Least squares on cells with type and condition: a mean of the types' changes.

        With type effects free, each type weighs 1 / (1 / n_stimulated + 1 / n_control).
        """
        weights = [
            1 / (1 / len(self.stimulated[name]) + 1 / len(self.control[name]))
            for name in self.types
            if name != HELD_OUT
        ]
        return np.average(self.changes(), axis=0, weights=weights)


@pytest.fixture(scope="module")
def kang(shared_settings: Settings) -> Kang:
    return Kang(shared_settings)


def value(name: str, pair: MemoryPair) -> float:
    return float(COMPAT[name](pair).values[0])


def test_no_change_has_the_known_r2_and_no_logfc(kang: Kang) -> None:
    pair = kang.pair(kang.control[HELD_OUT])
    assert paper_labels(pair).sum() == 30
    assert value("zhu/r2", pair) == pytest.approx(0.859, abs=5e-4)
    assert np.isnan(value("zhu/r2_logfc", pair))
    assert value("zhu/auprc_ungated", pair) == pytest.approx(30 / 6998)


def test_the_mean_change_of_the_other_types_has_the_known_numbers(kang: Kang) -> None:
    control = kang.control[HELD_OUT].mean(axis=0, dtype=np.float64)
    pair = kang.pair((control + kang.changes().mean(axis=0))[None, :])
    assert value("zhu/r2", pair) == pytest.approx(0.899, abs=5e-4)
    assert value("zhu/r2_logfc", pair) == pytest.approx(0.666, abs=5e-4)
    assert value("zhu/auprc_ungated", pair) == pytest.approx(0.672, abs=5e-4)


def test_the_two_factor_model_is_near_the_published_numbers(kang: Kang) -> None:
    control = kang.control[HELD_OUT].mean(axis=0, dtype=np.float64)
    pair = kang.pair((control + kang.two_factor_change())[None, :])
    assert value("zhu/r2", pair) == pytest.approx(0.864, abs=1e-3)
    assert value("zhu/r2_logfc", pair) == pytest.approx(0.610, abs=1e-3)
    assert value("zhu/auprc_ungated", pair) == pytest.approx(0.615, abs=1e-3)


def test_one_prediction_has_many_numbers_of_one_name(kang: Kang) -> None:
    control = kang.control[HELD_OUT].mean(axis=0, dtype=np.float64)
    pair = kang.pair((control + kang.changes().mean(axis=0))[None, :])
    pcc = {name: value(name, pair) for name in ("systema/corr_all", "systema/corr_20de", "pereggrn/pearson")}
    assert pcc["systema/corr_all"] == pcc["pereggrn/pearson"] == pytest.approx(0.816, abs=2e-3)
    assert pcc["systema/corr_20de"] > pcc["systema/corr_all"]
