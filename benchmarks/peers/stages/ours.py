"""Lanner's side of the table."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from lanner.compat import COMPAT
from lanner.compat.cell_eval_calls import calls
from lanner.pairs import FilePair, open_pair

from benchmarks.peers.stages.clock import Clock

CONTROL = "non-targeting"
PDS = [f"cell_eval/discrimination_score_{distance}" for distance in ("l1", "l2", "cosine")]


def de(pair: FilePair) -> dict[str, Any]:
    table = calls(pair.truth)
    u, p = pair.truth.mann_whitney()
    return {"u": u, "p": p, "fdr": table.fdr}


def pearson_delta(pair: FilePair) -> dict[str, Any]:
    return {"values": COMPAT["cell_eval/pearson_delta"](pair).values}


def pds(pair: FilePair) -> dict[str, Any]:
    return {id.rpartition("_")[2]: COMPAT[id](pair).values for id in PDS}


def energy_control(pair: FilePair) -> dict[str, Any]:
    return {"truth": pair.truth.energy_to_control(), "prediction": pair.prediction.energy_to_control()}


def energy_control_one(pair: FilePair) -> dict[str, Any]:
    return {"truth": pair.truth.energy_to_control()}


def energy_mmd_control(pair: FilePair) -> dict[str, Any]:
    energy, mmd = pair.truth.distances_to_control((1.0,))
    return {"energy": energy, "mmd_rbf": mmd}


def energy_mmd(pair: FilePair) -> dict[str, Any]:
    return {name: COMPAT[f"pertpy/{name}"](pair).values for name in ("edistance", "mmd_rbf")}


def w1(pair: FilePair) -> dict[str, Any]:
    return {"values": pair.wasserstein_by_gene().mean(axis=1)}


WORK: dict[str, tuple[Callable[[FilePair], dict[str, Any]], bool]] = {
    "de": (de, False),
    "pearson_delta": (pearson_delta, True),
    "pds": (pds, False),
    "energy_control": (energy_control, False),
    "energy_control_one": (energy_control_one, False),
    "energy_mmd_control": (energy_mmd_control, False),
    "energy_mmd": (energy_mmd, False),
    "w1": (w1, False),
    "read": (lambda pair: {"values": pair.truth.means()}, True),
}
"""Stages, and whether reading and checking the files belongs to what is timed."""


def main(stage: str, truth: str, prediction: str, out: str) -> None:
    work, from_files = WORK[stage]
    if stage.startswith("energy"):
        import torch  # noqa: F401  an import, not work
    if from_files:
        with Clock() as clock, open_pair(truth, prediction, control=CONTROL) as pair:
            values = work(pair)
    else:
        with open_pair(truth, prediction, control=CONTROL) as pair, Clock() as clock:
            values = work(pair)
    labels = np.array(pair.perturbations)
    np.savez(out, labels=labels, **values)
    clock.report(torch_loaded="torch" in sys.modules)


if __name__ == "__main__":
    main(*sys.argv[1:])
