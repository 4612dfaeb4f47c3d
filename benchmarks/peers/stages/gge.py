"""gge-eval 1.0.1: Wasserstein-1 per gene, perturbation by perturbation, on a subset."""

from __future__ import annotations

import sys

import anndata as ad
import numpy as np
from gge.metrics import Wasserstein1Distance

from benchmarks.peers.stages.clock import Clock

CONTROL, COLUMN, SUBSET = "non-targeting", "target_gene", 5


def main(stage: str, truth: str, prediction: str, out: str) -> None:
    sides = [ad.read_h5ad(path) for path in (truth, prediction)]
    groups = [side.obs[COLUMN].astype(str).to_numpy() for side in sides]
    labels = np.unique(groups[0][groups[0] != CONTROL]).astype(str)
    chosen = labels[:SUBSET]
    real, generated = (
        [side.X[of == label].toarray() for label in chosen] for side, of in zip(sides, groups, strict=True)
    )
    metric = Wasserstein1Distance()
    with Clock() as clock:
        values = [metric.compute(x, y).aggregate_value for x, y in zip(real, generated, strict=True)]
    np.savez(out, labels=chosen, values=np.array(values))
    clock.report(share=len(chosen) / len(labels))


if __name__ == "__main__":
    main(*sys.argv[1:])
