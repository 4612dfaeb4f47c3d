"""Every hostile file is refused for the right reason, and none returns a byte of the truth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pytest
from files import (
    CANARY,
    EXPECTED,
    FINE,
    GENES,
    HOSTILE,
    REQUESTS,
    Builder,
    external_link_at_matrix,
    named,
    raw_storage_of_the_truth,
    values,
    virtual_dataset,
    write_good,
)
from lanner.h5ad.expectation import Expectation

Answer = Callable[..., dict[str, Any]]


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("build", "code"), HOSTILE, ids=[build.__name__ for build, _ in HOSTILE])
def test_a_hostile_file_is_refused(
    build: Builder, code: str, tmp_path: Path, truth: Path, answer_of: Answer
) -> None:
    path = tmp_path / "prediction.h5ad"
    build(path, truth)
    answer = answer_of(path)
    assert (answer["ok"], answer.get("code")) == (False, code), answer
    assert answer["message"].isprintable()
    assert len(answer["message"]) < 500
    emitted = b"".join(file.read_bytes() for file in (tmp_path / "emitted").iterdir())
    assert np.float32(CANARY).tobytes() not in emitted
    assert b"root:" not in emitted


@pytest.mark.parametrize("build", FINE, ids=[build.__name__ for build in FINE])
def test_a_good_or_harmlessly_odd_file_is_read_exactly(
    build: Builder, tmp_path: Path, truth: Path, answer_of: Answer
) -> None:
    path = tmp_path / "prediction.h5ad"
    build(path, truth)
    answer = answer_of(path)
    assert answer == {"ok": True, "n_rows": len(values()), "sparse": answer.get("sparse")}
    parts = {file.stem: np.load(file) for file in (tmp_path / "emitted").iterdir() if file.stat().st_size}
    if answer["sparse"]:
        dense = np.zeros_like(values())
        rows = np.repeat(np.arange(len(dense)), np.diff(parts["indptr"]))
        dense[rows, parts["indices"]] = parts["values"]
    else:
        dense = parts["values"]
    assert dense.dtype == np.float32
    assert np.array_equal(dense, values())


@pytest.mark.filterwarnings("ignore:Element:anndata.OldFormatWarning")
@pytest.mark.parametrize("build", [external_link_at_matrix, raw_storage_of_the_truth, virtual_dataset])
def test_a_plain_reader_would_have_returned_the_truth(build: Builder, tmp_path: Path, truth: Path) -> None:
    """The attack works, so the guard has something to guard; when HDF5 closes it, this test says so."""
    path = tmp_path / "prediction.h5ad"
    build(path, truth)
    assert (anndata.io.read_elem(h5py.File(path)["X"]) == CANARY).all()


@pytest.mark.parametrize(
    ("build", "hint"),
    [
        (named(genes=GENES[::-1]), "the same gene names in another order"),
        (named(genes=GENES[:-1]), "1 gene name(s) missing, such as 'GENE7'"),
        (named(genes=(*GENES[:-1], "OTHER")), "1 that nobody asked for, such as 'OTHER'"),
        (named(genes=(GENES[0], *GENES[:-1])), "1 given more than once"),
        (named(["r0"] * 5), "expected 6 (one profile per request) or 18 (3 cells each)"),
        (named([*REQUESTS[:3], "x", *REQUESTS[4:]]), "/obs/_index[3] is 'x'; expected 'r3'"),
        (named(["\x1b[31m" + "é" * 100, *REQUESTS[1:]]), r"/obs/_index[0] is '\\x1b[31mééé"),
    ],
)
def test_the_message_names_the_first_offender_and_the_likely_cause(
    build: Builder, hint: str, tmp_path: Path, truth: Path, answer_of: Answer
) -> None:
    path = tmp_path / "prediction.h5ad"
    build(path, truth)
    assert hint in answer_of(path)["message"]


def test_a_named_index_is_explained(tmp_path: Path, answer_of: Answer) -> None:
    path = tmp_path / "prediction.h5ad"
    write_good(path)
    with h5py.File(path, "a") as file:
        file.move("obs/_index", "obs/request_id")
    message = answer_of(path)["message"]
    assert "request_id" in message
    assert "obs_names.name = None" in message


def test_rows_not_answered_may_hold_any_finite_value(tmp_path: Path, answer_of: Answer) -> None:
    path = tmp_path / "prediction.h5ad"
    X, answered = values(), np.ones(len(values()), bool)
    X[3:6], answered[3:6] = -1e6, False
    write_good(path, X=X)
    with h5py.File(path, "a") as file:
        file["obs/answered"] = answered
    assert answer_of(path)["ok"]
    assert np.array_equal(np.load(tmp_path / "emitted" / "answered.npy"), answered)


def test_a_linear_method_s_few_negative_values_are_accepted(tmp_path: Path, answer_of: Answer) -> None:
    path = tmp_path / "prediction.h5ad"
    X = values()
    X[:3, 0] = -0.02
    write_good(path, X=X)
    assert answer_of(path)["ok"]


def test_negative_values_are_fine_on_a_log_fold_change_scale(tmp_path: Path, answer_of: Answer) -> None:
    path = tmp_path / "prediction.h5ad"
    write_good(path, X=values() - 2)
    expectation = Expectation.on_scale("lfc", request_ids=REQUESTS, n_cells=3, genes=GENES)
    assert answer_of(path, expectation)["ok"]


def test_an_expectation_survives_its_journey_to_the_child() -> None:
    assert Expectation.from_json(EXPECTED.to_json()) == EXPECTED
