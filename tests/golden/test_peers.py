"""Compatibility metrics against numbers the peers made themselves: ``python -m benchmarks.peers --write``."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from lanner.compat import COMPAT
from pairs import MemoryPair, MemorySide

from benchmarks.peers import answers, data

FOLDER = Path(__file__).parent / "peers"
DOCUMENTS = {path.stem: answers.read(path) for path in sorted(FOLDER.glob("*.json"))}
PREFIX = {"cell-eval": "cell_eval", "gge-eval": "gge", "pertpy": "pertpy", "scperteval": "scperteval"}
RTOL, ATOL = 1e-9, 1e-12
"""Peers compute the small data in float64 where they can; where they cannot it says so below."""
TOLERANCE: dict[str, tuple[float, float]] = {
    # The peer takes distances from inner products: that of a cell to itself is up to 1e-7 instead of 0.
    "scperteval/energy_distance_pca_k": (1e-7, 1e-8),
}
TIED = {
    "cell_eval/discrimination_score_l1": {"twin_a", "twin_b"},
    "cell_eval/discrimination_score_l2": {"twin_a", "twin_b"},
    "cell_eval/discrimination_score_cosine": {"twin_a", "twin_b", "gene_050"},
}
"""Equal distances, which the peer ranks by an unstable sort: twins, and the cosine of a zero vector."""
CASES = [
    (peer, f"{PREFIX[peer]}/{name.lower().replace('=', '_')}", name)
    for peer, document in DOCUMENTS.items()
    for name in document["values"]
]


@cache
def pair() -> MemoryPair:
    small = data.small()
    labels = tuple(sorted(data.SIZES))
    sides = [
        MemorySide([side.groups[label] for label in labels], side.controls)
        for side in (small.truth, small.prediction)
    ]
    return MemoryPair(labels, data.GENES, *sides, control=data.CONTROL)


@pytest.mark.parametrize("peer", DOCUMENTS)
def test_the_peer_saw_the_data_this_test_generates(peer: str) -> None:
    assert DOCUMENTS[peer]["data"]["sha256"] == data.small().sha256


@pytest.mark.parametrize(("peer", "id", "name"), CASES, ids=[id for _, id, _ in CASES])
def test_a_compatibility_metric_gives_the_peers_own_number(peer: str, id: str, name: str) -> None:
    expected = DOCUMENTS[peer]["values"][name]
    found = COMPAT[id](pair()).values
    if COMPAT[id].card.per == "file":
        assert found.shape == (1,)
        found = np.broadcast_to(found, len(expected))
    rtol, atol = TOLERANCE.get(id, (RTOL, ATOL))
    kept = [p not in TIED.get(id, ()) for p in pair().perturbations]
    wanted = np.array([expected[p] for p in pair().perturbations])
    np.testing.assert_allclose(found[kept], wanted[kept], rtol=rtol, atol=atol)


@pytest.mark.parametrize("id", [id for id in TIED if id in COMPAT])
def test_twins_share_the_ranks_the_peer_gave_them(id: str) -> None:
    expected = DOCUMENTS["cell-eval"]["values"][id.partition("/")[2]]
    found = dict(zip(pair().perturbations, COMPAT[id](pair()).values, strict=True))
    assert {found["twin_a"], found["twin_b"]} == {expected["twin_a"], expected["twin_b"]}


@pytest.mark.parametrize("peer", DOCUMENTS)
def test_every_metric_of_a_peer_has_a_number_of_the_peers_own(peer: str) -> None:
    golden = {id for of, id, _ in CASES if of == peer}
    assert {id for id in COMPAT if id.startswith(f"{PREFIX[peer]}/")} == golden
