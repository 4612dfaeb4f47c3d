"""Files of six conventions become datasets without an edit; wrong ones get a sentence, and leave nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from click.testing import CliRunner, Result
from lanner.cli import lanner
from lanner.datasets.columns import gene_column, guess_organism

GENES = ["KLF1", "MAP2K6", "HBZ", "GAPDH", "ACTB", "CEBPE", "TGFBR2", "JUN", "FOS", "MYC"]
SAID = (
    *("--perturbation-kind", "CRISPRa", "--assay", "Perturb-seq"),
    *("--licence", "MIT", "--citation", "Nobody (2026)"),
)


def counts(n: int, genes: int = len(GENES)) -> sp.csr_matrix:
    return sp.csr_matrix(np.random.default_rng(1).poisson(3.0, (n, genes)).astype(np.float32))


def logs(values: sp.csr_matrix) -> sp.csr_matrix:
    total = np.asarray(values.sum(axis=1)).ravel()
    scaled = sp.diags(1e4 / np.maximum(total, 1)) @ values
    return sp.csr_matrix(scaled.log1p().astype(np.float32))


def frame(labels: list[str], **columns: Any) -> pd.DataFrame:
    table = pd.DataFrame(columns)
    table.index = pd.Index([f"cell{i}" for i in range(len(labels))])
    return table


def write(path: Path, X: Any, obs: pd.DataFrame, var: pd.DataFrame | None = None, **parts: Any) -> Path:
    table = pd.DataFrame(index=GENES) if var is None else var
    anndata.AnnData(X=X, obs=obs, var=table, **parts).write_h5ad(path)
    return path


def labels_of(single: str, double: str, control: str) -> list[str]:
    """Control, two singles and their double, 25 cells each."""
    return [control] * 25 + [single.format("KLF1")] * 25 + [single.format("MAP2K6")] * 25 + [double] * 25


def scperturb(folder: Path) -> Path:
    labels = labels_of("{}", "KLF1_MAP2K6", "control")
    obs = frame(labels, perturbation=labels, cell_line="K562", nperts=[0] * 25 + [1] * 50 + [2] * 25)
    return write(folder / "scperturb.h5ad", counts(100), obs)


def gears(folder: Path) -> Path:
    labels = labels_of("{}+ctrl", "KLF1+MAP2K6", "ctrl")
    obs = frame(labels, condition=labels, cell_type="K562", dose_val="1", control=[1] * 25 + [0] * 75)
    var = pd.DataFrame({"gene_name": GENES}, index=[f"ENSG{i:011d}" for i in range(len(GENES))])
    return write(folder / "gears.h5ad", logs(counts(100)), obs, var)


def perturbench(folder: Path) -> Path:
    labels = labels_of("{}", "KLF1+MAP2K6", "control")
    obs = frame(labels, condition=labels, cell_type=["a", "b"] * 50, treatment="none")
    return write(folder / "perturbench.h5ad", logs(counts(100)), obs, layers={"counts": counts(100)})


def cell_eval(folder: Path) -> Path:
    labels = labels_of("{}", "JUN", "non-targeting")
    obs = frame(labels, target_gene=pd.Categorical(labels), batch=["x", "y"] * 50, cell_type="H1")
    return write(folder / "cell_eval.h5ad", counts(100).astype(np.int64), obs)


def pereggrn(folder: Path) -> Path:
    labels = labels_of("{}", "KLF1,MAP2K6", "GFP")
    obs = frame(labels, perturbation=labels, is_control=[True] * 25 + [False] * 75, cell_type="K562")
    return write(folder / "pereggrn.h5ad", logs(counts(100)).toarray(), obs)


def tenx(folder: Path) -> Path:
    labels = labels_of("{}", "JUN", "non-targeting")
    values = sp.hstack([counts(100), counts(100, 2)]).tocsr()  # two guide features beside the genes
    with h5py.File(folder / "tenx.h5", "w") as file:
        group = file.create_group("matrix")
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(values, name)
        group["shape"] = np.array(values.shape[::-1])
        group["barcodes"] = np.array([f"AC{i}-1" for i in range(100)], dtype="S")
        features = group.create_group("features")
        features["name"] = np.array([*GENES, "guide1", "guide2"], dtype="S")
        features["id"] = np.array([f"ENSG{i:011d}" for i in range(12)], dtype="S")
        features["feature_type"] = np.array(
            ["Gene Expression"] * 10 + ["CRISPR Guide Capture"] * 2, dtype="S"
        )
    table = pd.DataFrame({"cell_barcode": [f"AC{i}-1" for i in range(100)], "target": labels})
    table[:95].to_csv(folder / "guides.csv", index=False)
    return folder / "tenx.h5"


def add(home: Path, *arguments: str) -> Result:
    environment = {"LANNER_HOME": str(home), "LANNER_MIRROR": ""}
    return CliRunner(env=environment).invoke(lanner, ["dataset", "add", *arguments], catch_exceptions=True)


def sentence(result: Result) -> str:
    assert result.exit_code != 0
    return str(result.exception)


@pytest.mark.parametrize(
    ("make", "extra", "convention", "expected"),
    [
        (scperturb, (), "scPerturb", (1, 3, "log1p-cp10k")),
        (gears, (), "GEARS", (1, 3, "log1p-cp10k")),
        (perturbench, (), "PerturBench", (1, 6, "log1p-cp10k")),
        (cell_eval, (), "cell-eval", (0, 3, "log1p-cp10k")),
        (pereggrn, (), "PEREGGRN", (1, 3, "log1p-cp10k")),
        (tenx, ("--guides", "guides.csv", "--context-value", "K562"), None, (0, 3, "log1p-cp10k")),
    ],
)
def test_a_file_of_a_published_convention_is_added_without_an_edit(
    make: Callable[[Path], Path],
    extra: tuple[str, ...],
    convention: str | None,
    expected: tuple[int, int, str],
    tmp_path: Path,
) -> None:
    file = make(tmp_path)
    extra = tuple(str(tmp_path / part) if part.endswith(".csv") else part for part in extra)
    result = add(tmp_path / "home", str(file), *SAID, *extra, "--json")
    assert result.exit_code == 0, result.output + str(result.exception)
    document = json.loads(result.stdout)
    doubles, conditions, scale = expected
    data = document["data"]
    assert (data["combinations"], data["conditions"]) == (doubles, conditions)
    assert data["genes"] == len(GENES)
    assert document["entry"]["scale"] == scale
    assert document["entry"]["organism"] == "human"
    if convention is not None:
        spoken = add(tmp_path / "other", str(file), *SAID, *extra, "--dry-run")
        assert f"the {convention} convention" in spoken.stderr


def test_what_was_added_is_found_and_checked_like_any_other_dataset(tmp_path: Path) -> None:
    assert add(tmp_path / "home", str(scperturb(tmp_path)), *SAID).exit_code == 0
    runner = CliRunner(env={"LANNER_HOME": str(tmp_path / "home")})
    result = runner.invoke(lanner, ["dataset", "check", "scperturb", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["scperturb"]


def test_a_dry_run_shows_the_entry_and_writes_nothing(tmp_path: Path) -> None:
    result = add(tmp_path / "home", str(gears(tmp_path)), *SAID, "--dry-run")
    assert "perturbation: condition" in result.stdout
    assert not (tmp_path / "home").exists()


def test_what_a_file_cannot_say_is_asked_for_in_one_sentence(tmp_path: Path) -> None:
    text = sentence(add(tmp_path / "home", str(gears(tmp_path))))
    for flag in ("--perturbation-kind", "--assay", "--licence", "--citation"):
        assert flag in text


def on_a_terminal(
    home: Path, file: Path, said: str, *arguments: str, monkeypatch: pytest.MonkeyPatch
) -> Result:
    monkeypatch.setattr("lanner.cli.dataset_add.on_terminal", lambda: True)
    environment = {"LANNER_HOME": str(home), "LANNER_MIRROR": ""}
    return CliRunner(env=environment).invoke(lanner, ["dataset", "add", str(file), *arguments], input=said)


def test_on_a_terminal_all_that_a_file_does_not_say_is_asked_for_and_shown_before_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = ["GFP"] * 40 + ["KLF1"] * 30 + ["MYC"] * 30
    file = write(tmp_path / "own.h5ad", logs(counts(100)), frame(labels, colour=labels))
    answers = ["crispri", "Perturb-seq", "MIT", "Nobody (2026)", "colour", "GFP", "K562"]
    given = "\n".join([*answers, "n"]) + "\n"
    refused = on_a_terminal(tmp_path / "home", file, given, monkeypatch=monkeypatch)
    assert refused.exit_code == 2
    assert "perturbation: colour; controls: GFP; no combinations" in refused.stderr
    assert "context: cell_type = K562" in refused.stderr
    assert not list((tmp_path / "home").glob("datasets/*"))
    given = "\n".join([*answers, "y"]) + "\n"
    kept = on_a_terminal(tmp_path / "home", file, given, "--json", monkeypatch=monkeypatch)
    assert kept.exit_code == 0, kept.output + str(kept.exception)
    document = json.loads(kept.stdout)
    assert document["entry"]["perturbation_kind"] == "CRISPRi"
    assert (document["data"]["controls"], document["data"]["perturbations"]) == (40, 2)


def test_a_file_that_cannot_be_added_is_refused_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file, says in ((tmp_path / "none.h5ad", "is not a file"), (not_hdf5(tmp_path), "not an HDF5 file")):
        result = on_a_terminal(tmp_path / "home", file, "", monkeypatch=monkeypatch)
        assert says in str(result.exception)
        assert result.stderr == ""


def test_labels_given_by_hand_win_over_guesses(tmp_path: Path) -> None:
    labels = ["GFP"] * 30 + ["A-KLF1"] * 30 + ["MYC"] * 30
    obs = frame(labels, my_column=labels, line="K562")
    file = write(tmp_path / "own.h5ad", logs(counts(90)), obs)
    arguments = (
        "--perturbation-column",
        "my_column",
        "--control",
        "GFP",
        "--context",
        "line",
        "--id",
        "mine",
    )
    result = add(tmp_path / "home", str(file), *SAID, *arguments, "--json")
    assert result.exit_code == 0, str(result.exception)
    assert json.loads(result.stdout)["data"]["controls"] == 30


def test_cells_without_a_label_are_left_out_and_counted(tmp_path: Path) -> None:
    labels: list[Any] = ["control"] * 40 + ["KLF1"] * 40 + [np.nan] * 10 + ["unassigned"] * 10
    obs = frame(labels, perturbation=labels, cell_type="K562")
    obs["perturbation"] = obs["perturbation"].astype("category")
    file = write(tmp_path / "gaps.h5ad", logs(counts(100)), obs)
    result = add(tmp_path / "home", str(file), *SAID, "--json")
    assert result.exit_code == 0, str(result.exception)
    document = json.loads(result.stdout)
    assert document["data"]["rows"] == 80
    assert any("20 cells without a perturbation label" in note for note in document["notes"])


def good(folder: Path, **changes: Any) -> Path:
    labels = changes.pop("labels", ["control"] * 50 + ["KLF1"] * 50)
    obs = changes.pop("obs", frame(labels, perturbation=labels, cell_type="K562"))
    return write(folder / "wrong.h5ad", changes.pop("X", logs(counts(len(labels)))), obs, **changes)


def not_hdf5(folder: Path) -> Path:
    (folder / "wrong.h5ad").write_text("perturbation,KLF1\n")
    return folder / "wrong.h5ad"


def cut_off(folder: Path) -> Path:
    path = good(folder)
    path.write_bytes(path.read_bytes()[:3000])
    return path


def empty(folder: Path) -> Path:
    (folder / "wrong.h5ad").touch()
    return folder / "wrong.h5ad"


def not_anndata(folder: Path) -> Path:
    with h5py.File(folder / "wrong.h5ad", "w") as file:
        file["matrix"] = np.ones(3)
    return folder / "wrong.h5ad"


def of(**changes: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        return good(folder, **changes)

    return make


def nan_values(folder: Path) -> Path:
    X = logs(counts(100)).toarray()
    X[3, 2] = np.nan
    return good(folder, X=X)


def repeated_genes(folder: Path) -> Path:
    with pytest.warns(UserWarning, match="not unique"):
        return good(folder, var=pd.DataFrame(index=["KLF1", *GENES[:-1]]))


WRONG: list[tuple[Callable[[Path], Path], str, str]] = [
    (not_hdf5, "is not an HDF5 file", ".h5ad"),
    (cut_off, "is not an HDF5 file", ".h5ad"),
    (empty, "is empty", "copy it again"),
    (not_anndata, "has no obs", "AnnData"),
    (of(obs=pd.DataFrame(index=[f"c{i}" for i in range(100)])), "obs has no columns", "done to each cell"),
    (
        of(obs=frame(["a"] * 100, n_counts=range(100), colour=["a"] * 100)),
        "no obs column reads as the perturbation",
        "--perturbation-column",
    ),
    (of(labels=["KLF1"] * 50 + ["MYC"] * 50), "reads as a control", "--control"),
    (of(labels=["control"] * 100), "every label", "--perturbation-column"),
    (
        of(obs=frame(["c"] * 100, perturbation=["control"] * 50 + ["KLF1"] * 50)),
        "cell type or line",
        "--context-value",
    ),
    (nan_values, "NaN", "leave those cells or genes out"),
    (of(X=logs(counts(100)) - sp.csr_matrix(np.ones((100, 10)))), "centred or scaled", "counts"),
    (of(X=counts(100) * np.float32(1234.56)), "normalised but not logged", "log1p"),
    (of(X=sp.csr_matrix((100, 10), dtype=np.float32)), "zero everywhere", "give the file"),
    (repeated_genes, "gene names occur twice", "var_names_make_unique"),
    (
        of(var=pd.DataFrame(index=[f"probe_{i}" for i in range(10)]), labels=["control"] * 50 + ["x"] * 50),
        "do not say the organism",
        "--organism",
    ),
    (tenx, "does not say what was done", "--guides"),
]


@pytest.mark.parametrize(("make", "problem", "fix"), WRONG)
def test_a_wrong_file_gets_one_sentence_with_the_problem_and_the_fix(
    make: Callable[[Path], Path], problem: str, fix: str, tmp_path: Path
) -> None:
    result = add(tmp_path / "home", str(make(tmp_path)), *SAID)
    text = sentence(result)
    assert problem in text
    assert fix in text
    assert "\n" not in text
    assert not list((tmp_path / "home").glob("datasets/*/dataset.yaml"))


def test_an_id_that_is_taken_is_refused_and_the_first_entry_stays(tmp_path: Path) -> None:
    file = str(scperturb(tmp_path))
    assert add(tmp_path / "home", file, *SAID).exit_code == 0
    assert "exists in" in sentence(add(tmp_path / "home", file, *SAID))
    assert [path.parent.name for path in (tmp_path / "home").glob("datasets/*/dataset.yaml")] == ["scperturb"]


def test_organisms_are_told_by_how_genes_are_written() -> None:
    assert guess_organism(["KLF1", "MYC", "HBA1"]) == "human"
    assert guess_organism(["Klf1", "Myc", "Hba1"]) == "mouse"
    assert guess_organism(["ENSMUSG00000000001", "ENSMUSG00000000002"]) == "mouse"
    assert guess_organism(["1", "2"]) is None


def test_symbols_in_var_are_preferred_where_labels_are_symbols() -> None:
    var = pd.DataFrame({"gene_name": ["KLF1", "MYC"]}, index=["ENSG00000000001", "ENSG00000000002"])
    assert gene_column(var, ["KLF1+ctrl"]) == ("symbol", "gene_name")
    assert gene_column(var[[]], ["KLF1"]) == ("ensembl", None)
