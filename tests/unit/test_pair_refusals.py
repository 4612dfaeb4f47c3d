"""Files that cannot be compared are refused in one sentence that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from lanner.errors import ConfigurationError
from lanner.pairs import open_pair
from pair_files import write_pair, write_side
from pairs import MemoryPair, MemorySide, simulated_pair


@pytest.fixture
def pair() -> MemoryPair:
    made = simulated_pair()
    made.train = None
    return made


def refused(files: dict[str, Path], match: str, **options: Any) -> None:
    with pytest.raises(ConfigurationError, match=match) as caught:
        open_pair(**files, **{"control": "control", **options})
    assert "\n" not in str(caught.value)
    assert not str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("value", "match"),
    [(np.nan, "NaN or infinite"), (np.inf, "NaN or infinite"), (-0.5, r"negative values \(down to -0.5\)")],
)
def test_values_that_are_no_expression(value: float, match: str, pair: MemoryPair, tmp_path: Path) -> None:
    pair.prediction.groups[2][4, 5] = value
    refused(write_pair(tmp_path, pair), f"prediction.h5ad: X holds {match}")


def counts(side: MemorySide) -> None:
    side.groups = [np.rint(np.expm1(group)) for group in side.groups]
    side.controls = np.rint(np.expm1(side.controls))


def test_counts_on_one_side_only(pair: MemoryPair, tmp_path: Path) -> None:
    counts(pair.prediction)
    files = write_pair(tmp_path, pair)
    for side in (pair.truth,):
        side.groups = [group * 0.9 for group in side.groups]
        side.controls = side.controls * 0.9
    files = write_pair(tmp_path, pair)
    refused(files, "prediction.h5ad holds counts .* and truth.h5ad does not.*--normalize.*--scale")


def test_counts_on_both_sides_need_a_word(pair: MemoryPair, tmp_path: Path) -> None:
    counts(pair.truth)
    counts(pair.prediction)
    files = write_pair(tmp_path, pair)
    refused(files, "holds counts .* log1p expression is expected.*--normalize")
    with open_pair(**files, control="control", scale="counts") as opened:
        assert opened.scale == "counts"


def test_values_that_are_neither_counts_nor_logarithms(pair: MemoryPair, tmp_path: Path) -> None:
    pair.truth.groups[0][0, 0] = 33.3
    refused(write_pair(tmp_path, pair), "up to 33.3, which are neither counts nor log1p")


def test_genes_of_one_file_only(pair: MemoryPair, tmp_path: Path) -> None:
    files = write_pair(tmp_path, pair)
    fewer = MemorySide([group[:, :50] for group in pair.prediction.groups], pair.prediction.controls[:, :50])
    files["prediction"] = write_side(tmp_path / "p.h5ad", fewer, pair.perturbations, pair.genes[:50])
    refused(files, "60 genes and p.h5ad 50, 50 of them the same.*--intersect-genes")
    with open_pair(**files, control="control", intersect_genes=True) as opened:
        assert opened.genes == pair.genes[:50]
        assert np.allclose(opened.truth.means(), pair.truth.means()[:, :50])
    other = write_side(tmp_path / "q.h5ad", fewer, pair.perturbations, [f"ENSG{g}" for g in range(50)])
    refused({**files, "prediction": other}, "shares no gene", intersect_genes=True)


def test_a_gene_that_is_there_twice(pair: MemoryPair, tmp_path: Path) -> None:
    files = write_pair(tmp_path, pair)
    names = ["gene_1", *pair.genes[1:]]
    files["truth"] = write_side(tmp_path / "t.h5ad", pair.truth, pair.perturbations, names)
    refused(files, "t.h5ad has the gene 'gene_1' more than once")


def test_a_control_label_that_no_cell_has(pair: MemoryPair, tmp_path: Path) -> None:
    refused(write_pair(tmp_path, pair), "no cell is labelled 'ctrl'.*'control'", control="ctrl")


def test_files_without_a_perturbation_in_common(pair: MemoryPair, tmp_path: Path) -> None:
    files = write_pair(tmp_path, pair)
    names = [f"other_{p}" for p in range(6)]
    files["prediction"] = write_side(tmp_path / "p.h5ad", pair.prediction, names, pair.genes)
    refused(files, "share no perturbation besides 'control'")


def test_a_perturbation_column_of_an_unusual_name(pair: MemoryPair, tmp_path: Path) -> None:
    files = write_pair(tmp_path, pair, column="my_label")
    refused(files, "none of the usual perturbation columns.*one of: my_label")
    refused(files, "no obs column 'label'; its columns: my_label", perturbation_column="label")
    with open_pair(**files, control="control", perturbation_column="my_label") as opened:
        assert opened.perturbations == pair.perturbations


@pytest.mark.parametrize("column", ["perturbation", "gene", "condition", "target_gene"])
def test_usual_names_of_the_column_are_found(column: str, pair: MemoryPair, tmp_path: Path) -> None:
    with open_pair(**write_pair(tmp_path, pair, column=column), control="control") as opened:
        assert opened.perturbations == pair.perturbations


def break_x(file: h5py.File) -> None:
    file["X/indices"][3] = 10_000


def break_indptr(file: h5py.File) -> None:
    file["X/indptr"][1] = -5


def link(file: h5py.File) -> None:
    del file["X/data"]
    file["X/data"] = h5py.ExternalLink("elsewhere.h5", "/data")


def no_var(file: h5py.File) -> None:
    del file["var"]


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (break_x, "outside the matrix"),
        (break_indptr, "no sound sparse matrix"),
        (link, "is a link"),
        (no_var, "has no var"),
    ],
)
def test_a_file_that_is_not_sound(
    damage: Callable[[h5py.File], None], match: str, pair: MemoryPair, tmp_path: Path
) -> None:
    files = write_pair(tmp_path, pair)
    with h5py.File(files["prediction"], "r+") as file:
        damage(file)
    refused(files, match)


def test_a_file_that_is_no_file_of_cells(pair: MemoryPair, tmp_path: Path) -> None:
    files = write_pair(tmp_path, pair)
    (tmp_path / "x.h5ad").write_text("no")
    refused({**files, "prediction": tmp_path / "x.h5ad"}, "not an HDF5 file")


@pytest.mark.parametrize("options", [{"scale": "logs"}, {"normalize": "mean"}, {"normalize": -1}])
def test_options_that_mean_nothing(options: dict[str, Any], pair: MemoryPair, tmp_path: Path) -> None:
    refused(write_pair(tmp_path, pair), next(iter(options)), **options)
