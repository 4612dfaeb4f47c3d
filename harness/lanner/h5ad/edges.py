"""Read the edges of a network that a method predicted: gene names and ``/varp/network``, checked first."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from lanner.errors import PredictionError
from lanner.h5ad.structure import Bounds, open_checked

BOUNDS = Bounds(dataset_bytes=1 << 30)
ARRAYS = tuple(f"varp/network/{name}" for name in ("data", "indices", "indptr"))


def read_edges(path: Path) -> pd.DataFrame:
    """Edges of a prediction of the task network-inference, strongest first, ties by name.

    Returns
    -------
    DataFrame
        One row per edge: ``regulator`` and ``target``, gene names, and ``weight``, finite float64.

    Raises
    ------
    PredictionError
        The file is not HDF5, holds no CSR network, or its parts contradict each other.
    """
    try:
        file = h5py.File(open_checked(path, BOUNDS))
    except OSError:
        raise PredictionError(
            "structure", f"{path} is not an HDF5 file; give a run's key or its prediction.h5ad"
        ) from None
    with file:
        missing = [name for name in ("var/_index", *ARRAYS) if not isinstance(file.get(name), h5py.Dataset)]
        if missing:
            raise PredictionError(
                "structure",
                f"{path} has no {missing[0]}; only predictions of the task network-inference hold a network",
            )
        genes = np.array([name.decode() for name in file["var/_index"][:]], dtype=object)
        data, indices, starts = (file[name][:] for name in ARRAYS)
    counts = np.diff(starts.astype(np.int64))
    if (
        len(starts) != len(genes) + 1
        or starts[0] != 0
        or (counts < 0).any()
        or len(data) != counts.sum()
        or len(indices) != len(data)
        or (len(indices) and not 0 <= indices.min() <= indices.max() < len(genes))
        or not np.isfinite(data).all()
    ):
        raise PredictionError("sparse", f"{path}: varp/network is no finite CSR matrix of genes by genes")
    edges = pd.DataFrame(
        {"regulator": np.repeat(genes, counts), "target": genes[indices], "weight": data.astype(np.float64)}
    )
    strength = pd.Series(-np.abs(edges["weight"]), name="strength")
    return edges.assign(strength=strength).sort_values(["strength", "regulator", "target"])[list(edges)]
