"""Norman 2019 log fold changes from an .npz: one row per condition and a control row of zeros."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
from lanner.h5ad.source import write_anndata


def prepare(sources: Mapping[str, Path], parameters: Mapping[str, Any], output: Path) -> None:
    """Write singles, doubles and control as rows; no effect is 0 on this scale."""
    with np.load(sources["norman_effect_bundle.npz"], allow_pickle=False) as bundle:
        labels = ["control", *bundle["sing_labels"].tolist(), *bundle["doub_labels"].tolist()]
        control = np.zeros((1, bundle["lfc_s"].shape[1]), dtype=np.float32)
        X = np.vstack([control, bundle["lfc_s"], bundle["lfc_d"]]).astype(np.float32)
        genes = [str(name) for name in bundle["genes_hvg"]]
    obs = pd.DataFrame({"perturbation": labels}, index=labels)
    write_anndata(output, anndata.AnnData(X=X, obs=obs, var=pd.DataFrame(index=genes)))
