"""DREAM4 in-silico size 100, network 1: the published table of genes by samples as AnnData."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
from lanner.h5ad.source import write_anndata

KNOCK = re.compile(r"(G\d+)\((-/-|\+/-)\)")
DOSES = {"-/-": "knockout", "+/-": "knockdown"}


def prepare(sources: Mapping[str, Path], parameters: Mapping[str, Any], output: Path) -> None:
    """Write one row per sample: X log1p of the published relative concentration, and what was done to it."""
    table = pd.read_csv(sources["dream4_expression.tsv"], sep="\t")
    obs = pd.DataFrame([label(name) for name in table.columns], index=table.columns)
    X = np.log1p(table.to_numpy(dtype=np.float64)).T.astype(np.float32)
    write_anndata(output, anndata.AnnData(X=X, obs=obs, var=pd.DataFrame(index=list(table.index))))


def label(sample: str) -> dict[str, str]:
    """Perturbation, dose and experiment of a sample: ``wt``, ``G1(-/-)``, ``G1(+/-)`` or ``TS_1delt_50``."""
    knock = KNOCK.fullmatch(sample)
    if knock:
        return {"perturbation": knock[1], "dose": DOSES[knock[2]], "experiment": "steady-state"}
    experiment = "steady-state" if sample == "wt" else "time-series"
    return {"perturbation": "control", "dose": "", "experiment": experiment}
