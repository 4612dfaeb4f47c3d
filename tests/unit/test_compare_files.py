"""Two files by every metric of a name: ``lanner metric compare``, and all peers' metrics on open files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from lanner import catalogue
from lanner.cli import lanner as command
from lanner.compat import COMPAT
from lanner.pairs import FilePair, open_pair
from lanner.pairs.scores import score_pair
from pair_files import write_pair, write_side
from pairs import MemoryPair, MemorySide, simulated_pair


@pytest.fixture(scope="module")
def expected() -> MemoryPair:
    return simulated_pair(4, n_genes=120, sizes=(31, 42, 28, 35, 30), n_control=60)


@pytest.fixture(scope="module")
def files(expected: MemoryPair, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_pair(tmp_path_factory.mktemp("files"), expected)


@pytest.fixture(scope="module")
def opened(files: dict[str, Path]) -> Iterator[FilePair]:
    with open_pair(files["truth"], files["prediction"], control="control", train=files["train"]) as pair:
        yield pair


def compare(name: str, files: dict[str, Path], *options: str) -> Result:
    arguments = ["--truth", str(files["truth"]), "--prediction", str(files["prediction"])]
    return CliRunner().invoke(
        command, ["metric", "compare", name, *arguments, "--control", "control", "--device", "cpu", *options]
    )


@pytest.mark.parametrize("id", list(COMPAT))
def test_a_peers_metric_is_the_same_on_files_as_in_memory(
    id: str, opened: FilePair, expected: MemoryPair
) -> None:
    found, wanted = COMPAT[id](opened).values, COMPAT[id](expected).values
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_the_ids_in_a_table_of_scores_are_the_declared_ones(opened: FilePair) -> None:
    asked = [name for name in COMPAT if COMPAT[name].card.family in {"pds", "mse"}]
    assert set(score_pair(opened, asked)["metric"]) == set(asked)


def test_compare_shows_every_variant_of_the_name_and_says_how_far_they_disagree(
    files: dict[str, Path],
) -> None:
    result = compare("pds", files, "--train", str(files["train"]))
    assert result.exit_code == 0, result.output
    assert re.match(r"(\d+) of \1 variants of pds have a value", result.stdout)
    assert "Kendall's tau between" in result.stdout.splitlines()[0]
    assert all(name in result.stdout for name in catalogue.members("pds")[1])


def test_compare_gives_the_values_of_the_metrics_as_json(
    files: dict[str, Path], expected: MemoryPair
) -> None:
    document = json.loads(compare("perturbench/cosine_logfc", files, "--json").stdout)
    assert document["family"] == "cosine delta"
    variants: dict[str, dict[str, Any]] = {row["metric"]: row for row in document["variants"]}
    for name in ("perturbench/cosine_logfc", "l_li/cosine_similarity_delta"):
        assert variants[name]["value"] == pytest.approx(COMPAT[name](expected).values.mean(), rel=1e-5)
        assert (variants[name]["n"], variants[name]["best"]) == (5, 1.0)
    missing = variants["cosine_delta/train-mean"]
    assert missing["value"] is None
    assert missing["without"] == "5 not applicable: it needs training cells: give --train"
    assert {row["first"] for row in document["agreements"]} <= set(variants)


def test_a_prediction_of_one_row_each_has_no_score_that_needs_cells(
    files: dict[str, Path], expected: MemoryPair, tmp_path: Path
) -> None:
    profiles = MemorySide(
        [group.mean(axis=0, keepdims=True) for group in expected.prediction.groups],
        expected.prediction.controls,
    )
    single = write_side(tmp_path / "p.h5ad", profiles, expected.perturbations, expected.genes)
    result = compare("de overlap", {**files, "prediction": single}, "--json")
    variants = {row["metric"]: row for row in json.loads(result.stdout)["variants"]}
    wanted = "5 not applicable: it needs cells, and the prediction has one row per perturbation"
    assert variants["perturbench/top_k_recall_50"]["without"] == wanted
    assert variants["systema/jaccard"]["n"] == 5


def test_an_unknown_name_is_a_usage_error_that_suggests_the_nearest(files: dict[str, Path]) -> None:
    result = compare("pearson deltas", files)
    assert "did you mean 'pearson delta'" in str(result.exception)


def test_both_files_are_asked_for() -> None:
    result = CliRunner().invoke(command, ["metric", "compare", "pds"])
    assert result.exit_code == 2
    assert "give --truth, --prediction and --control" in result.output
