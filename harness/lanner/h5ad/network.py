"""Read a network from an untrusted HDF5 file: genes by genes in ``/varp/network``, CSR, and nothing else.

Only ``/obs/_index`` and ``/X`` (of no rows, where they are there at all), ``/var/_index`` and the arrays of
``/varp/network`` are read, each against what the harness asked for. This module runs inside the confined
child of ``lanner.ingest``, like ``lanner.h5ad.checked``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import h5py
import numpy as np

from lanner.errors import PredictionError
from lanner.h5ad.checked import BLOCK_BYTES, CsrBlock
from lanner.h5ad.elements import Elements, as_float32, require_float
from lanner.h5ad.names import check_names
from lanner.h5ad.structure import Bounds, open_checked, shown
from lanner.matrix import Matrix

Array = np.ndarray[Any, Any]

NETWORK = "/varp/network"
ONLY = "write var names, varp/network as CSR, and nothing else"
_ADVICE = {
    "/var/_index": "name the genes with an index without a name (adata.var_names.name = None)",
    NETWORK: "write the network there: CSR float32, regulators in rows, targets in columns",
    **{
        f"{NETWORK}/{name}": "write varp/network as CSR (scipy.sparse.csr_matrix)"
        for name in ("data", "indices", "indptr")
    },
}


@dataclass(frozen=True, kw_only=True)
class NetworkExpectation:
    """The only network that is accepted: G x G over ``genes``, rows of ``regulators`` (names) alone.

    At most ``max_edges`` entries are stored, none of them zero.
    """

    layout: ClassVar[str] = "varp-network"

    genes: tuple[str, ...]
    regulators: tuple[str, ...]
    max_edges: int

    @property
    def largest_bytes(self) -> int:
        """Bytes of the edges' weights or of the row starts, whichever is more."""
        return max(4 * self.max_edges, 8 * (len(self.genes) + 1))

    @property
    def allowed(self) -> Array:
        """Bool ``(G,)``: which genes may regulate."""
        wanted = set(self.regulators)
        return np.array([gene in wanted for gene in self.genes], dtype=bool)

    def to_json(self) -> dict[str, Any]:
        """The form in which the child receives it."""
        return {"layout": self.layout, **asdict(self)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read ``to_json`` back."""
        names = {name: tuple(document[name]) for name in ("genes", "regulators")}
        return cls(max_edges=int(document["max_edges"]), **names)

    def open(self, path: os.PathLike[str] | str) -> CheckedNetwork:
        """The file at ``path``, its structure and names checked."""
        return CheckedNetwork(path, self)

    def described(self, n_rows: int, answered: Array) -> tuple[str, int, Array] | None:
        """A network is of one kind and answers no requests."""
        return ("network", 1, np.zeros(0, dtype=bool)) if n_rows == len(self.genes) else None

    def check(self, matrix: Matrix) -> None:
        """ValueError unless it is sparse, small enough, and empty where no regulator is."""
        if not matrix.is_sparse:
            raise ValueError("a network that is not sparse")
        starts = np.load(matrix.folder / "indptr.npy", allow_pickle=False)
        if starts[-1] > self.max_edges or (np.diff(starts) > 0)[~self.allowed].any():
            raise ValueError("edges that were refused")


class CheckedNetwork:
    """An untrusted file of plausible structure, names and row starts; ``blocks()`` checks the rest."""

    is_sparse = True

    def __init__(self, path: os.PathLike[str] | str, expectation: NetworkExpectation) -> None:
        n_genes = len(expectation.genes)
        bounds = Bounds(
            dataset_bytes=max(8 * expectation.max_edges, 300 * (n_genes + 1)) + (1 << 20),
            only=ONLY,
            size_advice=f"a network has at most {expectation.max_edges:,} edges, stored as CSR",
        )
        self._expectation = expectation
        self._elements = Elements(path, open_checked(path, bounds), _ADVICE)
        self.shape = (n_genes, n_genes)
        self.answered = np.ones(n_genes, dtype=bool)
        self._check_no_rows()
        check_names(self._elements.dataset("/var/_index"), list(expectation.genes), "var", bounds)
        self._open_csr()

    def blocks(self) -> Iterator[CsrBlock]:
        """All rows in order, some regulators at a time."""
        start, n_genes = 0, self.shape[0]
        while start < n_genes:
            limit = self._indptr[start] + BLOCK_BYTES // 4
            stop = max(start + 1, int(np.searchsorted(self._indptr, limit, side="right")) - 1)
            yield self._block(start, stop)
            start = stop

    def _check_no_rows(self) -> None:
        for path in ("/obs/_index", "/X", "/X/data"):
            if not self._elements.has(path) or not self._elements.is_dataset(path):
                continue
            shape = self._elements.dataset(path).shape
            if shape[:1] not in ((), (0,)):
                raise PredictionError(
                    "shape", f"{path} has {shape[0]:,} rows; a network is written without cells: {ONLY}"
                )

    def _open_csr(self) -> None:
        n_genes, most = self.shape[0], self._expectation.max_edges
        if self._elements.is_dataset(NETWORK):
            raise PredictionError(
                "sparse", f"{NETWORK} is dense; write it as CSR (scipy.sparse.csr_matrix), edges alone"
            )
        if _encoding(self._elements.group(NETWORK)) == "csc_matrix":
            raise PredictionError("sparse", f"{NETWORK} is CSC; write CSR, with regulators in rows")
        self._data, self._indices, indptr = (
            self._elements.dataset(f"{NETWORK}/{name}") for name in ("data", "indices", "indptr")
        )
        if self._data.ndim != 1 or self._data.shape != self._indices.shape:
            raise PredictionError(
                "sparse",
                f"{NETWORK}/data has shape {self._data.shape}, {NETWORK}/indices {self._indices.shape}; they "
                "must match",
            )
        if indptr.shape != (n_genes + 1,):
            raise PredictionError(
                "shape",
                f"{NETWORK}/indptr has shape {indptr.shape}; expected ({n_genes + 1},): the network is "
                "square, one row and one column per train gene",
            )
        require_float(self._data.dtype, f"{NETWORK}/data")
        for dataset, name in ((self._indices, "indices"), (indptr, "indptr")):
            if dataset.dtype.kind not in "iu":
                raise PredictionError(
                    "dtype", f"{NETWORK}/{name} is {shown(str(dataset.dtype))}; expected int32 or int64"
                )
        self.n_values: int = self._data.shape[0]
        if self.n_values > most:
            raise PredictionError(
                "too-many-edges",
                f"{NETWORK} stores {self.n_values:,} edges; task.json allows max_edges = {most:,}: keep "
                "those of the largest absolute weight",
            )
        starts = indptr[:].astype(np.int64)
        counts = np.diff(starts)
        if starts[0] != 0 or starts[-1] != self.n_values or counts.min(initial=0) < 0:
            raise PredictionError(
                "sparse", f"{NETWORK}/indptr must rise from 0 to the {self.n_values:,} stored edges"
            )
        if counts.max(initial=0) > n_genes:
            raise PredictionError(
                "sparse", f"a row of {NETWORK} stores more edges than there are genes ({n_genes:,})"
            )
        stray = np.flatnonzero((counts > 0) & ~self._expectation.allowed)
        if stray.size:
            gene = self._expectation.genes[int(stray[0])]
            raise PredictionError(
                "regulators",
                f"{NETWORK} has edges from {stray.size:,} genes that are no candidate regulators, such as "
                f"{shown(gene)}; rows are regulators, columns targets: see regulators.csv",
            )
        self._indptr = starts

    def _block(self, start: int, stop: int) -> CsrBlock:
        low, high = int(self._indptr[start]), int(self._indptr[stop])
        data, columns = as_float32(self._data[low:high]), self._indices[low:high]
        counts = np.diff(self._indptr[start : stop + 1])
        genes, n_genes = self._expectation.genes, self.shape[1]
        if columns.size and (columns.min() < 0 or columns.max() >= n_genes):
            raise PredictionError(
                "sparse", f"{NETWORK}/indices must lie between 0 and {n_genes - 1}, the last gene"
            )
        indices = columns.astype(np.int32)
        rows = np.repeat(np.arange(start, stop), counts)
        bad = np.flatnonzero(~np.isfinite(data) | (data == 0))
        if bad.size:
            what = "weight 0 (call eliminate_zeros())" if data[bad[0]] == 0 else "a NaN or infinite weight"
            edge = f"{shown(genes[rows[bad[0]]])} to {shown(genes[indices[bad[0]]])}"
            raise PredictionError(
                "non-finite",
                f"{NETWORK} stores {bad.size:,} edges of {what}, the first from {edge}; leave them out",
            )
        same_row = rows[1:] == rows[:-1]
        wrong = np.flatnonzero(same_row & (np.diff(indices.astype(np.int64)) <= 0))
        if wrong.size:
            row = shown(genes[rows[wrong[0]]])
            raise PredictionError(
                "sparse",
                f"{NETWORK}/indices of row {row} do not rise; store each edge once, sorted "
                "(sum_duplicates())",
            )
        return CsrBlock(data, indices, counts)


def _encoding(group: h5py.Group) -> str:
    """What anndata says the group is; a square CSC matrix cannot be told from CSR in any other way."""
    try:
        value = group.attrs.get("encoding-type", "")
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
