from __future__ import annotations

import multiprocessing
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from dataset_entries import LABELS, document, source_of, toy, toy_entry, write_entry
from hypothesis import given
from hypothesis import strategies as st
from lanner import datasets
from lanner.config import Settings
from lanner.datasets import Dataset, Entry
from lanner.datasets.conventions import CONVENTIONS, Columns
from lanner.datasets.normalise import unique_names
from lanner.errors import ConfigurationError


def load(settings: Settings, tmp_path: Path, adata: anndata.AnnData, **changes: Any) -> Dataset:
    return datasets.load(toy_entry(settings, adata, tmp_path / "published", **changes), settings)


# --- labels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("convention", "label", "canonical"),
    [
        ("gears", "KLF1+ctrl", "KLF1"),
        ("gears", "ctrl+KLF1", "KLF1"),
        ("gears", "ctrl", "control"),
        ("gears", "MAP2K6+KLF1", "KLF1+MAP2K6"),
        ("scperturb", "MAP2K6_KLF1", "KLF1+MAP2K6"),
        ("perturbench", "control", "control"),
        ("perturbench", "KLF1+MAP2K6", "KLF1+MAP2K6"),
        ("cell-eval", "non-targeting", "control"),
        ("cell-eval", "HLA-A", "HLA-A"),
        ("pereggrn", "B,A", "A+B"),
    ],
)
def test_labels_of_every_convention_become_canonical(convention: str, label: str, canonical: str) -> None:
    assert Columns.of({"convention": convention}).canonical(label) == canonical


def test_fields_of_an_entry_win_over_those_of_its_convention() -> None:
    columns = Columns.of({"convention": "gears", "control": ["NT"], "context": ["donor", "time"]})
    assert (columns.control, columns.context, columns.perturbation) == (
        ("NT",),
        ("donor", "time"),
        "condition",
    )


@given(st.lists(st.sampled_from("ABCDE"), min_size=1, max_size=4), st.randoms())
def test_a_canonical_label_does_not_depend_on_the_order_of_targets(parts: list[str], random: Any) -> None:
    columns = Columns.of({"convention": "perturbench"})
    shuffled = random.sample(parts, len(parts))
    assert columns.canonical("+".join(parts)) == columns.canonical("+".join(shuffled))
    assert columns.canonical(columns.canonical("+".join(parts))) == columns.canonical("+".join(parts))


def test_every_convention_supplies_what_an_entry_may_leave_out() -> None:
    for name in CONVENTIONS:
        columns = Columns.of({"convention": name})
        assert columns.perturbation and columns.context and (columns.control or columns.control_column)


@given(st.lists(st.sampled_from(["a", "a-1", "a-2", "b"]), max_size=8))
def test_names_made_unique_keep_their_order_and_first_occurrences(names: list[str]) -> None:
    unique = unique_names(names)
    assert len(set(unique)) == len(names)
    assert all(
        after == before or after.startswith(f"{before}-") for before, after in zip(names, unique, strict=True)
    )
    assert unique_names(unique) == unique


# --- the normalised dataset --------------------------------------------------------------------------------


def test_a_dataset_holds_the_source_rows_in_order_with_canonical_labels(
    settings: Settings, tmp_path: Path
) -> None:
    adata = toy()
    data = load(settings, tmp_path, adata)
    assert data.genes == tuple(adata.var_names)
    assert list(data.obs.index) == list(adata.obs_names)
    assert list(data.obs["perturbation"].unique()) == ["control", "KLF1", "KLF1+MAP2K6"]
    assert list(data.obs["condition"].unique()) == ["control|k562", "KLF1|k562", "KLF1+MAP2K6|k562"]
    np.testing.assert_array_equal(data.X().block(0, 10).toarray(), adata.X.toarray())
    assert data.contexts == ("k562",)
    assert [(c.id, c.targets, c.n_cells) for c in data.conditions] == [
        ("KLF1+MAP2K6|k562", ("KLF1", "MAP2K6"), 3),
        ("KLF1|k562", ("KLF1",), 3),
    ]
    assert data.counts() is None
    assert set(data.identity) == {"id", "version", "content"}


def test_only_declared_columns_reach_a_dataset(settings: Settings, tmp_path: Path) -> None:
    adata = toy(obs={"secret": range(10)})
    adata.obsm["X_pca"] = np.ones((10, 2))
    adata.uns["network"] = {"truth": 1}
    data = load(settings, tmp_path, adata)
    assert list(data.obs.columns) == ["perturbation", "cell_type", "condition", "context"]
    files = {path.relative_to(data.folder).as_posix() for path in data.folder.rglob("*") if path.is_file()}
    assert files == {
        "dataset.json",
        "obs.parquet",
        *(f"X/{name}.npy" for name in ("data", "indices", "indptr")),
    }


def test_dense_csc_and_float64_sources_give_the_same_dataset(settings: Settings, tmp_path: Path) -> None:
    reference = toy()
    expected = reference.X.toarray()
    for i, X in enumerate([expected, sp.csc_matrix(expected), sp.csr_matrix(expected.astype(np.float64))]):
        data = load(settings, tmp_path, toy(X=X), name=f"toy{i}", id=f"toy{i}")
        assert data.X().is_sparse
        np.testing.assert_array_equal(data.X().block(0, 10).toarray(), expected)


def test_a_filter_keeps_only_the_rows_of_one_study(settings: Settings, tmp_path: Path) -> None:
    adata = toy(obs={"study": ["a", "b"] * 5, "good": [True] * 8 + [False] * 2})
    data = load(settings, tmp_path, adata, filter={"study": ["a"], "good": ["True"]})
    assert list(data.obs.index) == ["cell0", "cell2", "cell4", "cell6"]
    np.testing.assert_array_equal(data.X().block(0, 4).toarray(), adata.X.toarray()[[0, 2, 4, 6]])
    assert data.source_rows == 10


def test_counts_dose_and_batch_are_kept_when_mapped(settings: Settings, tmp_path: Path) -> None:
    counts = sp.csr_matrix(np.arange(50, dtype=np.float32).reshape(10, 5))
    adata = toy(obs={"um": [1.0] * 5 + [2.0] * 5, "lane": [1, 2] * 5}, layers={"raw": counts})
    mapping = {"convention": "perturbench", "dose": "um", "batch": "lane"}
    data = load(settings, tmp_path, adata, obs=mapping, counts_layer="raw")
    stored = data.counts()
    assert stored is not None
    np.testing.assert_array_equal(stored.block(0, 10).toarray(), counts.toarray())
    assert list(data.obs["dose"]) == [""] * 4 + ["1.0"] + ["2.0"] * 5
    assert list(data.obs["batch"].unique()) == ["1", "2"]
    assert [c.id for c in data.conditions] == ["KLF1+MAP2K6@2.0|k562", "KLF1@1.0|k562", "KLF1@2.0|k562"]


def test_a_boolean_column_can_mark_the_controls(settings: Settings, tmp_path: Path) -> None:
    labels = ["GFP"] * 4 + ["KLF1"] * 3 + ["KLF1,MAP2K6"] * 3
    adata = toy(obs={"perturbation": labels, "is_control": [True] * 4 + [False] * 6})
    data = load(settings, tmp_path, adata, obs={"convention": "pereggrn"})
    assert (data.obs["perturbation"] == "control").sum() == 4
    assert {c.perturbation for c in data.conditions} == {"KLF1", "KLF1+MAP2K6"}


def test_labels_that_are_no_genes_give_conditions_without_targets(settings: Settings, tmp_path: Path) -> None:
    mapping = {"perturbation": "condition", "context": ["cell_type"], "targets": "none"}
    data = load(settings, tmp_path, toy(["control"] * 5 + ["IFN-b"] * 5), obs=mapping)
    assert [c.targets for c in data.conditions] == [()]


def test_a_constant_stands_for_a_context_column_the_source_lacks(settings: Settings, tmp_path: Path) -> None:
    mapping = {"convention": "perturbench", "context": ["line", "cell_type"], "constants": {"line": "K562"}}
    assert load(settings, tmp_path, toy(), obs=mapping).contexts == ("K562|k562",)


def test_repeated_cell_names_are_made_unique(settings: Settings, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="not unique"):
        adata = toy(names=["a", "a", "b", "a", *"cdefgh"])
    data = load(settings, tmp_path, adata)
    assert list(data.obs.index)[:4] == ["a", "a-1", "b", "a-2"]


def test_profiles_are_dense_with_one_row_per_condition(settings: Settings, tmp_path: Path) -> None:
    adata = toy(
        ["control", "KLF1", "MAP2K6"], X=np.array([[0.0] * 5, [-1.0] * 5, [0.5] * 5], dtype=np.float32)
    )
    data = load(settings, tmp_path, adata, kind="profile", scale="lfc")
    assert not data.X().is_sparse
    assert list(data.obs["replicate"]) == ["all"] * 3
    assert [c.n_cells for c in data.conditions] == [1, 1]


# --- refusals ----------------------------------------------------------------------------------------------

NAN = np.full((10, 5), 0.5, dtype=np.float32)
NAN[2, 2] = np.nan


@pytest.mark.parametrize(
    ("adata", "changes", "sentence"),
    [
        ({"labels": ["NT"] * 4 + ["KLF1"] * 6}, {}, "no control rows"),
        ({}, {"obs": {"convention": "scperturb"}}, "no obs column 'perturbation'"),
        ({}, {"filter": {"study": ["a"]}}, "filter names obs column 'study'"),
        ({}, {"filter": {"cell_type": ["HeLa"]}}, "keeps none of the 10 rows"),
        ({}, {"counts_layer": "raw"}, "no layer 'raw'"),
        ({}, {"genes": {"identifier": "symbol", "column": "name"}}, "no var column 'name'"),
        ({"labels": ["control"] * 10}, {}, "every row is a control"),
        ({"labels": [*LABELS[:-1], None]}, {}, "is empty in 1 rows"),
        ({"labels": [*LABELS[:-1], "A|B"]}, {}, "separates the parts"),
        ({"X": NAN}, {}, "NaN or infinite"),
        ({"X": np.where(np.isnan(NAN), np.inf, NAN)}, {}, "NaN or infinite"),
        ({"X": np.where(np.isnan(NAN), -1, NAN)}, {}, "nothing is negative"),
        ({"X": np.full((10, 5), 3.0, np.float32)}, {}, "looks like counts"),
        ({"X": np.full((10, 5), 100.5, np.float32)}, {}, "looks like counts"),
        ({"layers": {"raw": np.full((10, 5), 0.5)}}, {"counts_layer": "raw"}, "that are no counts"),
        ({}, {"kind": "profile", "scale": "lfc"}, "two profile rows"),
    ],
)
def test_a_source_that_contradicts_its_entry_is_refused_in_one_sentence(
    settings: Settings, tmp_path: Path, adata: dict[str, Any], changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence) as error:
        load(settings, tmp_path, toy(**adata), **changes)
    assert "\n" not in str(error.value) and str(error.value).startswith(("toy:", "toy.h5ad"))
    left = [path.name for path in (settings.home / "data" / "toy").iterdir()]
    assert left == ["sources"]


def test_repeated_genes_are_refused(settings: Settings, tmp_path: Path) -> None:
    adata = toy()
    adata.var["symbol"] = ["A", "B", "A", "C", "D"]
    with pytest.raises(ConfigurationError, match="1 gene names occur twice, such as 'A'"):
        load(settings, tmp_path, adata, genes={"identifier": "symbol", "column": "symbol"})


def test_a_half_without_its_other_half_is_refused(settings: Settings, tmp_path: Path) -> None:
    adata = toy(["control", "KLF1", "KLF1"], X=np.zeros((3, 5)), obs={"part": ["all", "all", "half1"]})
    mapping = {"convention": "perturbench", "replicate": "part"}
    with pytest.raises(ConfigurationError, match="give all, or all, half1 and half2"):
        load(settings, tmp_path, adata, kind="profile", scale="lfc", obs=mapping)


# --- entries -----------------------------------------------------------------------------------------------


def test_an_unknown_dataset_suggests_the_nearest_name(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'kang18-pbmc'"):
        datasets.find_entry(settings, "kang18-pbcm")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sources": []}, "sources|non-empty"),
        ({"citation": {"text": "Somebody"}}, "citation"),
        ({"scale": "lfc"}, "kind"),
        ({"embedded": True}, "prepare"),
        ({"colour": "red"}, "colour"),
        ({"obs": {"perturbation": "x"}}, "obs"),
        ({"obs": {"convention": "gears", "context": ["batch"]}}, "'batch' cannot name a context column"),
        ({"facts": [{"text": "x", "check": "direction"}]}, "facts"),
    ],
)
def test_an_entry_that_breaks_the_schema_names_the_field(
    settings: Settings, tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    path = tmp_path / "x.h5ad"
    path.write_bytes(b"x")
    with pytest.raises(ConfigurationError, match=sentence):
        write_entry(settings, {**document("toy", [source_of(path)]), **changes})


def test_two_sources_need_a_preparation(settings: Settings, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_bytes(name.encode())
    with pytest.raises(ConfigurationError, match=r"2 sources need a prepare\.py"):
        write_entry(settings, document("toy", [source_of(tmp_path / name) for name in "ab"]))


PREPARE = """
import anndata, pandas as pd
def prepare(sources, parameters, output):
    table = pd.read_csv(sources["table.csv"], index_col=0)
    obs = pd.DataFrame({"condition": table.index, "cell_type": "k562"}, index=table.index)
    X, var = table.to_numpy() * parameters["times"], pd.DataFrame(index=table.columns)
    anndata.AnnData(X=X, obs=obs, var=var).write_h5ad(output)
"""


def test_a_preparation_turns_any_source_into_a_dataset(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("row,A,B\ncontrol,0,0\nKLF1,1.5,-1\n", encoding="utf-8")
    fields = document(
        "toy", [source_of(path)], kind="profile", scale="lfc", prepare={"parameters": {"times": 2}}
    )
    data = datasets.load(write_entry(settings, fields, PREPARE), settings)
    assert data.X().block(1, 2).tolist() == [[3.0, -2.0]]
    assert not list(data.folder.glob("*.h5ad"))


def test_content_changes_with_what_decides_the_data_and_with_nothing_else(
    settings: Settings, tmp_path: Path
) -> None:
    entry = toy_entry(settings, toy(obs={"lane": ["a", "b"] * 5}), tmp_path)

    def content(**changes: Any) -> str:
        return Entry(folder=entry.folder, document={**entry.document, **changes}).content

    assert content(title="Another", version=2, splits=[], facts=[], licence="x") == entry.content
    differing = [
        content(scale="log1p-cp10k"),
        content(filter={"lane": ["a"]}),
        content(obs={"convention": "perturbench", "batch": "lane"}),
        content(genes={"identifier": "ensembl"}),
        content(sources=[{**entry.document["sources"][0], "sha256": "0" * 64}]),
    ]
    assert len({entry.content, *differing}) == 6
    explicit = {"perturbation": "condition", "control": ["control"], "context": ["cell_type"]}
    explicit |= {"combination_delimiter": "+", "targets": "perturbation"}
    assert content(obs=explicit) == entry.content


# --- the cache ---------------------------------------------------------------------------------------------


def test_a_second_load_needs_neither_source_nor_network(settings: Settings, tmp_path: Path) -> None:
    entry = toy_entry(settings, toy(), tmp_path / "published")
    first = datasets.load(entry, settings)
    (tmp_path / "published" / "toy.h5ad").unlink()
    (settings.home / "data" / "toy" / "sources" / "toy.h5ad").unlink()
    again = datasets.load(entry, settings)
    pd.testing.assert_frame_equal(first.obs, again.obs)


def _load_in_process(home: Path) -> str:
    settings = Settings(home=home)
    return str(datasets.load(datasets.find_entry(settings, "toy"), settings).X().block(0, 10).sum())


def test_processes_that_load_one_dataset_at_once_all_get_it(settings: Settings, tmp_path: Path) -> None:
    toy_entry(settings, toy(), tmp_path / "published")
    with ProcessPoolExecutor(3, multiprocessing.get_context("spawn")) as pool:
        answers = list(pool.map(_load_in_process, [settings.home] * 6))
    assert len(set(answers)) == 1
    left = sorted(path.name for path in (settings.home / "data" / "toy").iterdir())
    assert len(left) == 2 and left[1] == "sources"


def test_a_folder_whose_writer_died_is_made_again(settings: Settings, tmp_path: Path) -> None:
    entry = toy_entry(settings, toy(), tmp_path / "published")
    folder = settings.home / "data" / "toy" / entry.content[:12]
    folder.mkdir(parents=True)
    (folder / "obs.parquet").write_bytes(b"half")
    assert len(datasets.load(entry, settings).obs) == 10


MEASURE = r"""
import re, sys
from pathlib import Path
from lanner import datasets
from lanner.config import Settings
settings = Settings(home=Path(sys.argv[1]))
datasets.load(datasets.find_entry(settings, "large"), settings)
print(int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1]) >> 10)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_210000_cells_are_normalised_in_less_than_a_gibibyte(settings: Settings, tmp_path: Path) -> None:
    from lanner.h5ad.source import write_source

    rows, genes, repeats = 2_100, 8_000, 100
    block = sp.random(rows, genes, 0.13, "csr", dtype=np.float32, random_state=0)
    labels = np.tile(np.repeat(["control", "A", "B"], rows // 3), repeats)
    obs = pd.DataFrame(
        {"condition": pd.Categorical(labels), "cell_type": pd.Categorical(["x"] * len(labels))}
    )
    obs.index = obs.index.map(str)
    path = tmp_path / "large.h5ad"
    write_source(path, obs, [f"g{i}" for i in range(genes)], ({None: block} for _ in range(repeats)))
    write_entry(settings, document("large", [source_of(path)]))
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(settings.home)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 1024
