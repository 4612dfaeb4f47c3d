"""Wessels 2023 CaRPool-seq profiles from an .npz: effects as expression, and two measured halves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
from lanner.h5ad.source import write_anndata


def prepare(sources: Mapping[str, Path], parameters: Mapping[str, Any], output: Path) -> None:
    """Write the control mean, control + effect of singles and doubles (``all``), and the doubles' halves.

    ``double_m1`` and ``double_m2`` are means of disjoint halves of a double's cells on the scale of ``ctrl``
    (their average differs from ``ctrl + double_eff`` by 0.003 on average), so all rows are on one scale.
    """
    with np.load(sources["carpool_substrate.npz"], allow_pickle=False) as bundle:
        control = bundle["ctrl"][None, :]
        singles, doubles = bundle["single_genes"].tolist(), bundle["doubles"].tolist()
        parts = [
            (["control"], control, "all"),
            (singles, control + bundle["atoms"], "all"),
            (doubles, control + bundle["double_eff"], "all"),
            (doubles, bundle["double_m1"], "half1"),
            (doubles, bundle["double_m2"], "half2"),
        ]
        genes = [str(name) for name in bundle["genes"]]
    X = np.vstack([values for _, values, _ in parts]).astype(np.float32)
    obs = pd.DataFrame(
        {
            "perturbation": [label for labels, _, _ in parts for label in labels],
            "replicate": [replicate for labels, _, replicate in parts for _ in labels],
        }
    )
    obs.index = pd.Index(obs["perturbation"] + "/" + obs["replicate"])
    write_anndata(output, anndata.AnnData(X=X, obs=obs, var=pd.DataFrame(index=genes)))
