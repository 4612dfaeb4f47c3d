"""What the prepare.py of an entry made by ``dataset add`` calls: counts to log1p, a 10x matrix to AnnData."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from lanner.errors import ConfigurationError
from lanner.h5ad.source import SourceFile, write_source
from lanner.h5ad.tenx import TenxFile

VERSION = 1
"""Raised when the same file would be prepared to other numbers; entries state it, so it is in their hash."""

BLOCK_ROWS = 4096


def prepare_counts(sources: Mapping[str, Path], parameters: Mapping[str, Any], output: Path) -> None:
    """An AnnData file with counts in X: X becomes log1p of counts per 10,000, the counts become a layer.

    ``parameters``: ``version`` of this module, and ``genes``: the var column of gene names, or null.
    """
    _check_version(parameters)
    with SourceFile(next(iter(sources.values()))) as source:
        column = parameters.get("genes")
        genes = source.var.index if column is None else source.var[column]
        blocks = (_with_logs(sp.csr_matrix(block)) for _, _, block in source.blocks())
        write_source(output, source.obs, genes.astype(str), blocks)


def prepare_10x(sources: Mapping[str, Path], parameters: Mapping[str, Any], output: Path) -> None:
    """A 10x matrix and a table that gives each barcode its guide or target; cells without one are left out.

    ``parameters``: ``version``, ``matrix`` and ``guides`` (names of the two sources), ``barcode`` and
    ``perturbation`` (columns of the table).
    """
    _check_version(parameters)
    table = read_guides(sources[parameters["guides"]])
    barcode, perturbation = parameters["barcode"], parameters["perturbation"]
    labels = table.dropna(subset=[perturbation]).drop_duplicates(barcode).set_index(barcode)
    with TenxFile(sources[parameters["matrix"]]) as matrix:
        rows = np.flatnonzero(np.isin(matrix.barcodes, labels.index.astype(str)))
        if rows.size == 0:
            raise ConfigurationError(
                f"{parameters['guides']}: none of its barcodes ({labels.index[0]!r}, ...) is in the matrix "
                f"({matrix.barcodes[0]!r}, ...); give the table of this library"
            )
        obs = labels.set_axis(labels.index.astype(str)).loc[matrix.barcodes[rows]].astype(str)
        obs.index.name = None
        genes = matrix.genes
        write_source(output, obs, genes.names, _tenx_blocks(matrix, rows, genes.columns))


def read_guides(path: Path) -> pd.DataFrame:
    """The guide table: CSV or TSV with a header, every value a text."""
    try:
        return pd.read_csv(path, sep=None, engine="python", dtype=str)
    except (ValueError, UnicodeDecodeError, pd.errors.ParserError):
        raise ConfigurationError(f"{path.name} is no table; give a CSV or TSV with a header line") from None


def _check_version(parameters: Mapping[str, Any]) -> None:
    if parameters.get("version") != VERSION:
        raise ConfigurationError(
            f"the entry was made for version {parameters.get('version')} of lanner.datasets.preparing, "
            f"this is {VERSION}; add the dataset again"
        )


def _tenx_blocks(
    matrix: TenxFile, rows: np.ndarray[Any, Any], columns: np.ndarray[Any, Any]
) -> Iterator[dict[str | None, sp.csr_matrix]]:
    for start in range(0, len(rows), BLOCK_ROWS):
        yield _with_logs(matrix.rows(rows[start : start + BLOCK_ROWS])[:, columns])


def _with_logs(counts: sp.csr_matrix) -> dict[str | None, sp.csr_matrix]:
    """X and counts of some cells; an empty cell stays zero."""
    counts = counts.astype(np.float32)
    counts.sum_duplicates()
    counts.eliminate_zeros()
    total = np.maximum(np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel(), 1.0)
    logs = counts.copy()
    logs.data = np.log1p(counts.data * np.repeat(1e4 / total, np.diff(counts.indptr))).astype(np.float32)
    return {None: logs, "counts": counts}
