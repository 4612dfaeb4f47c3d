"""cell-eval's table of differential expression, on which its nineteen DE columns are computed.

pdex 0.3.0 as cell-eval 0.8.2 calls it: Mann-Whitney of each perturbation against the control of the same
file, Benjamini-Hochberg within the perturbation, fold changes of geometric means without pseudocount; the
table is then cast to float32, as cell-eval casts it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lanner.compat import Pair, Side
from lanner.compat.once import once

__all__ = ["Calls", "calls", "ranked"]

Array = np.ndarray[Any, Any]
FDR = np.float32(0.05)


@dataclass(frozen=True)
class Calls:
    """DE of one file against its own controls: float32 ``(P, G)`` each; ``significant`` is ``fdr < 0.05``."""

    fdr: Array
    log2_fold_change: Array
    significant: Array


@once
def calls(side: Side) -> Calls:
    """``log2(expm1(mean) / expm1(control mean))`` (0 / 0 is 0, x / 0 infinite) and BH-adjusted p."""
    from scipy.stats import false_discovery_control

    _, p = side.mann_whitney()
    fdr = np.full(p.shape, np.nan, dtype=np.float32)
    tested = ~np.isnan(p).any(axis=1)  # not so without control cells
    if tested.any():
        fdr[tested] = false_discovery_control(np.clip(p[tested], 0.0, 1.0), axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        lfc = np.log2(np.expm1(side.means()) / np.expm1(side.control_mean()))
    lfc[np.isnan(lfc)] = 0.0
    return Calls(fdr, lfc.astype(np.float32), fdr < FDR)


@once
def ranked(pair: Pair) -> list[tuple[Array, Array]]:
    """Significant genes of truth and of prediction, by falling absolute fold change, for each perturbation.

    Genes of equal fold change (all infinite ones are) keep the order of the file.
    """
    return [
        (_ranked(calls(pair.truth), p), _ranked(calls(pair.prediction), p))
        for p in range(len(pair.perturbations))
    ]


def _ranked(table: Calls, p: int) -> Array:
    genes = np.flatnonzero(table.significant[p])
    return genes[np.argsort(-np.abs(table.log2_fold_change[p, genes]), kind="stable")]
