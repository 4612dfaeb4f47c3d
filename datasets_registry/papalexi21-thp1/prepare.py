"""Papalexi 2021 from sceptre's example data: an R list with two dgTMatrix objects and two tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import rdata
import scipy.sparse as sp
from lanner.h5ad.source import write_anndata

CONTROL = "non-targeting"


def prepare(sources: Mapping[str, Path], parameters: Mapping[str, Any], output: Path) -> None:
    """Write cells by panel genes: X log1p of counts per 10,000 of the panel, counts, guide label, replicate.

    A cell's perturbation is the target of its most abundant guide (the first of equals).
    """
    bundle = read_rda(sources["lowmoi_example_data.rda"])["lowmoi_example_data"]
    counts, genes = matrix(bundle["response_matrix"])
    guides, guide_names = matrix(bundle["grna_matrix"])
    table = bundle["grna_target_data_frame"]
    target = dict(zip(table["grna_id"].astype(str), table["grna_target"].astype(str), strict=True))
    top = np.array(guide_names)[np.asarray(guides.argmax(axis=1)).ravel()]
    obs = pd.DataFrame(
        {
            "perturbation": [target[name] for name in top],
            "guide": top,
            "bio_rep": bundle["extra_covariates"]["bio_rep"].astype(str).to_numpy(),
        },
        index=[f"cell{i}" for i in range(counts.shape[0])],
    )
    var = pd.DataFrame(index=genes)
    adata = anndata.AnnData(X=log1p_cp10k(counts), obs=obs, var=var, layers={"counts": counts})
    write_anndata(output, adata)


def read_rda(path: Path) -> dict[str, Any]:
    """The objects of an .rda file; an S4 matrix becomes a dict of its slots."""

    def slots(value: Any, attributes: Mapping[str, Any]) -> dict[str, Any]:
        return dict(attributes)

    classes = {**rdata.conversion.DEFAULT_CLASS_MAP, "dgTMatrix": slots}
    return dict(rdata.conversion.convert(rdata.parser.parse_file(path), constructor_dict=classes))


def matrix(slots: Mapping[str, Any]) -> tuple[sp.csr_matrix, list[str]]:
    """A dgTMatrix of features by cells as cells by features, and the features' names."""
    shape = tuple(int(size) for size in slots["Dim"])
    by_feature = sp.coo_matrix((slots["x"].astype(np.float32), (slots["i"], slots["j"])), shape=shape)
    return by_feature.T.tocsr(), [str(name) for name in slots["Dimnames"][0]]


def log1p_cp10k(counts: sp.csr_matrix) -> sp.csr_matrix:
    """log1p of counts per 10,000 of each cell's sum over the panel; an empty cell stays zero."""
    total = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1.0)
    scaled = counts.copy()
    scaled.data = np.log1p(counts.data * np.repeat(1e4 / total, np.diff(counts.indptr))).astype(np.float32)
    return scaled
