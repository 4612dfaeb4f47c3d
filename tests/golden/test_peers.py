"""Compatibility metrics against numbers the peers made themselves: ``python -m benchmarks.peers --write``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import anndata
import pandas as pd
import pytest
import scipy.sparse as sp
from lanner.compat import COMPAT, Pair
from lanner.pairs import open_pair

from benchmarks.peers import agreement, answers, data
from benchmarks.peers.agreement import PREFIX, TIED, metric_id
from tests.pairs import MemoryPair

DOCUMENTS = {path.stem: answers.read(path) for path in sorted(agreement.FOLDER.glob("*.json"))}
CASES = [(peer, name) for peer, document in DOCUMENTS.items() for name in document["values"]]


@cache
def pair() -> MemoryPair:
    return agreement.small_pair()


def test_all_four_peers_have_answered() -> None:
    assert set(DOCUMENTS) == set(PREFIX)


@pytest.mark.parametrize("peer", DOCUMENTS)
def test_the_peer_saw_the_data_this_test_generates(peer: str) -> None:
    assert DOCUMENTS[peer]["data"]["sha256"] == data.small().sha256


@pytest.mark.parametrize(("peer", "name"), CASES, ids=[metric_id(*case) for case in CASES])
def test_a_compatibility_metric_gives_the_peers_own_number(peer: str, name: str) -> None:
    expected = DOCUMENTS[peer]["values"][name]
    found = agreement.compare(pair(), metric_id(peer, name), expected)
    assert found.agrees, found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """The same data as two files, float32 as people have them, opened by the quick implementation."""
    folder, small = tmp_path_factory.mktemp("files"), data.small()
    paths = [folder / "truth.h5ad", folder / "prediction.h5ad"]
    for path, side in zip(paths, (small.truth, small.prediction), strict=True):
        cells, labels = side.stacked()
        obs = pd.DataFrame({"perturbation": labels}, index=[f"cell_{i}" for i in range(len(labels))])
        var = pd.DataFrame(index=list(data.GENES))
        anndata.AnnData(X=sp.csr_matrix(cells.astype("float32")), obs=obs, var=var).write_h5ad(path)
    with open_pair(*paths, control=data.CONTROL, perturbation_column="perturbation") as opened:
        yield opened


@pytest.mark.parametrize(("peer", "name"), CASES, ids=[metric_id(*case) for case in CASES])
def test_two_files_give_the_peers_own_number(files: Pair, peer: str, name: str) -> None:
    expected = DOCUMENTS[peer]["values"][name]
    # Distances between cells are taken in float32 where many are averaged.
    rtol = 1e-6 if COMPAT[metric_id(peer, name)].card.family == "energy" else agreement.RTOL
    found = agreement.compare(files, metric_id(peer, name), expected, rtol=rtol)
    assert found.agrees, found


@pytest.mark.parametrize("id", TIED)
def test_twins_share_the_ranks_the_peer_gave_them(id: str) -> None:
    expected = DOCUMENTS["cell-eval"]["values"][id.partition("/")[2]]
    found = dict(zip(pair().perturbations, COMPAT[id](pair()).values, strict=True))
    assert {found["twin_a"], found["twin_b"]} == {expected["twin_a"], expected["twin_b"]}


@pytest.mark.parametrize("id", sorted(metric_id(*case) for case in CASES))
def test_a_metric_gives_one_number_per_perturbation_or_one_for_the_file(id: str) -> None:
    metric = COMPAT[id]
    assert len(metric(pair()).values) == (1 if metric.card.per == "file" else len(data.SIZES))


@pytest.mark.parametrize("peer", DOCUMENTS)
def test_every_metric_of_a_peer_has_a_number_of_the_peers_own(peer: str) -> None:
    golden = {metric_id(of, name) for of, name in CASES if of == peer}
    assert {id for id in COMPAT if id.startswith(f"{PREFIX[peer]}/")} == golden
