"""pertpy 1.0.3: distances in gene space, perturbation by perturbation as its users call them, on a subset."""

from __future__ import annotations

import sys

import anndata as ad
import numpy as np
from pertpy.tools import Distance

from benchmarks.peers.stages.clock import Clock

CONTROL, COLUMN = "non-targeting", "target_gene"
SUBSET = {"energy_control_one": 3, "energy_mmd_control": 3, "energy_mmd": 20}


def main(stage: str, truth: str, prediction: str, out: str) -> None:
    sides = [ad.read_h5ad(path) for path in (truth, prediction)]
    groups = [side.obs[COLUMN].astype(str).to_numpy() for side in sides]
    labels = np.unique(groups[0][groups[0] != CONTROL]).astype(str)
    number = min(SUBSET[stage], len(labels))
    chosen = labels[:number]
    cells = [{label: side.X[of == label] for label in chosen} for side, of in zip(sides, groups, strict=True)]
    control = sides[0].X[groups[0] == CONTROL].toarray()
    energy, mmd = Distance("edistance"), Distance("mmd")
    with Clock() as clock:
        if stage == "energy_control_one":
            values = {"truth": [energy(cells[0][label], control) for label in chosen]}
        elif stage == "energy_mmd_control":
            values = {
                "energy": [energy(cells[0][label], control) for label in chosen],
                "mmd_rbf": [mmd(cells[0][label], control, kernel="rbf") for label in chosen],
            }
        else:
            values = {
                "edistance": [energy(cells[0][label], cells[1][label]) for label in chosen],
                "mmd_rbf": [mmd(cells[0][label], cells[1][label], kernel="rbf") for label in chosen],
            }
    np.savez(out, labels=chosen, **{name: np.array(of, float) for name, of in values.items()})
    clock.report(share=number / len(labels))


if __name__ == "__main__":
    main(*sys.argv[1:])
