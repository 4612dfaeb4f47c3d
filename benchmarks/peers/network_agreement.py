"""Lanner's network metrics on the small networks, beside what CausalBench answered."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import scipy.sparse as sp
from lanner.networks import NETWORK_METRICS, Network, NetworkTruth

from benchmarks.peers import agreement, network_data
from benchmarks.peers.agreement import ATOL, RTOL, Agreement

FOLDER = agreement.FOLDER / "networks"


def small_truth() -> NetworkTruth:
    """The small cells as a sealed truth; every group counts, however few its cells."""
    cells = dict(network_data.small_networks().cells)
    controls = cells.pop(network_data.CONTROL)
    return NetworkTruth(
        genes=network_data.GENES,
        regulators=np.arange(len(network_data.GENES)),
        controls=sp.csr_matrix(controls, dtype=np.float32),
        interventions={gene: sp.csr_matrix(block, dtype=np.float32) for gene, block in cells.items()},
        min_cells=1,
    )


def small_network(name: str) -> Network:
    """One of the small networks; CausalBench knows no weights, all are 1."""
    source, target = np.array(network_data.small_networks().networks[name]).T
    genes = network_data.GENES
    return Network.from_edges(genes, np.arange(len(genes)), (source, target, np.ones(len(source))))


def compare(truth: NetworkTruth, id: str, expected: Mapping[str, float]) -> Agreement:
    """Our metric against the peer's numbers by network."""
    ours = [NETWORK_METRICS[id](small_network(name), truth).value for name in expected]
    theirs = list(expected.values())
    apart = [abs(mine - other) for mine, other in zip(ours, theirs, strict=True)]
    relative = [gap / abs(other) for gap, other in zip(apart, theirs, strict=True) if abs(other) > ATOL]
    return Agreement(
        id=id,
        relative=max(relative, default=0.0),
        absolute=max(apart),
        agrees=all(
            math.isclose(mine, other, rel_tol=RTOL, abs_tol=ATOL)
            for mine, other in zip(ours, theirs, strict=True)
        ),
    )
