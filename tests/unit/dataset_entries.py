"""Small entries and source files for the tests of datasets, written as a person would write them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
from lanner.config import Settings
from lanner.datasets import Entry, find_entry

LABELS = ("control",) * 4 + ("KLF1",) * 3 + ("MAP2K6+KLF1",) * 3


def toy(
    labels: Sequence[Any] = LABELS,
    *,
    X: Any = None,
    genes: Sequence[str] = ("KLF1", "MAP2K6", "HBZ", "GAPDH", "ACTB"),
    names: Sequence[str] | None = None,
    obs: Mapping[str, Sequence[Any]] | None = None,
    layers: Mapping[str, Any] | None = None,
) -> anndata.AnnData:
    """An AnnData of one row per label, log-normalised unless X is given."""
    n = len(labels)
    if X is None:
        values = np.random.default_rng(0).gamma(1.0, 1.0, (n, len(genes))).astype(np.float32)
        X = sp.csr_matrix(np.where(values > 0.5, values, 0.0).astype(np.float32))
    table = pd.DataFrame({"condition": list(labels), "cell_type": ["k562"] * n, **(obs or {})})
    table.index = pd.Index(names if names is not None else [f"cell{i}" for i in range(n)])
    return anndata.AnnData(X=X, obs=table, var=pd.DataFrame(index=list(genes)), layers=dict(layers or {}))


def source_of(path: Path, **changes: Any) -> dict[str, Any]:
    """The ``sources`` item that describes a file, with a file:// address."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {
        "name": path.name,
        "urls": [path.resolve().as_uri()],
        "sha256": digest,
        "bytes": path.stat().st_size,
        "licence": "MIT",
        **changes,
    }


def document(name: str, sources: Sequence[Mapping[str, Any]], **changes: Any) -> dict[str, Any]:
    """A valid entry; ``changes`` replace whole fields, and None removes one."""
    fields: dict[str, Any] = {
        "id": name,
        "version": 1,
        "title": "A toy",
        "organism": "human",
        "assay": "none",
        "perturbation_kind": "CRISPRa",
        "kind": "cells",
        "scale": "log1p-normalised",
        "licence": "MIT",
        "citation": {"text": "Nobody", "reason": "a toy"},
        "sources": list(sources),
        "obs": {"convention": "perturbench"},
        "genes": {"identifier": "symbol"},
        **changes,
    }
    return {key: value for key, value in fields.items() if value is not None}


def write_entry(settings: Settings, fields: Mapping[str, Any], prepare: str | None = None) -> Entry:
    """Put the entry where ``$LANNER_HOME/datasets`` is searched, and find it there."""
    folder = settings.home / "datasets" / str(fields["id"])
    folder.mkdir(parents=True, exist_ok=True)
    # JSON is YAML, and needs no second library here.
    (folder / "dataset.yaml").write_text(json.dumps(fields, indent=2), encoding="utf-8")
    if prepare is not None:
        (folder / "prepare.py").write_text(prepare, encoding="utf-8")
    return find_entry(settings, str(fields["id"]))


def toy_entry(
    settings: Settings, adata: anndata.AnnData, folder: Path, name: str = "toy", **changes: Any
) -> Entry:
    """An entry whose only source is ``adata``, published under a file:// address."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.h5ad"
    adata.write_h5ad(path)
    return write_entry(settings, document(name, [source_of(path)], **changes))
