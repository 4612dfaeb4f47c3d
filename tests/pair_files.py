"""Write a pair in memory as two .h5ad files, in any layout users have on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
from pairs import MemoryPair, MemorySide

Array = np.ndarray[Any, Any]


def write_side(
    path: Path,
    side: MemorySide,
    labels: Sequence[str],
    genes: Sequence[str],
    *,
    control: str = "control",
    column: str = "target_gene",
    layout: str = "csr",
    dtype: Any = np.float32,
    seed: int | None = None,
    columns: Array | None = None,
    extra: dict[str, Any] | None = None,
    compression: str | None = None,
) -> Path:
    """``seed`` shuffles rows; ``columns`` orders genes."""
    cells = np.concatenate([*side.groups, side.controls]).astype(dtype)
    names = np.repeat([*labels, control], [*(len(group) for group in side.groups), len(side.controls)])
    rows = np.arange(len(cells)) if seed is None else np.random.default_rng(seed).permutation(len(cells))
    columns = np.arange(len(genes)) if columns is None else columns
    cells, names = cells[rows][:, columns], names[rows]
    obs = pd.DataFrame({column: pd.Categorical(names), **(extra or {})})
    obs.index = obs.index.astype(str)
    kinds = {"csr": sp.csr_matrix, "csc": sp.csc_matrix, "dense": np.asarray}
    if layout != "dense" and dtype == np.float16:
        X = kinds[layout](cells.astype(np.float32))
        X.data = X.data.astype(np.float16)
    else:
        X = kinds[layout](cells)
    var = pd.DataFrame(index=[genes[g] for g in columns])
    anndata.AnnData(X=X, obs=obs, var=var).write_h5ad(path, compression=compression)
    return path


def write_pair(folder: Path, pair: MemoryPair, **options: Any) -> dict[str, Path]:
    """Files ``truth``, ``prediction`` and, where the pair has one, ``train``."""
    folder.mkdir(parents=True, exist_ok=True)
    sides = [("truth", pair.truth, pair.perturbations), ("prediction", pair.prediction, pair.perturbations)]
    if pair.train is not None:
        sides.append(("train", pair.train, pair.train_perturbations))
    return {
        name: write_side(folder / f"{name}.h5ad", side, labels, pair.genes, **options)
        for name, side, labels in sides
    }
