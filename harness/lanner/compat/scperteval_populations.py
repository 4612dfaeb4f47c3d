"""scPertEval 0.2.0: distances between predicted and true cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, eigsh
from scipy.spatial.distance import cdist, pdist

from lanner.compat import Pair, PeerValues
from lanner.compat.once import once
from lanner.compat.scperteval_profiles import GENES, gene_set
from lanner.compat.scperteval_reference import FAULTS, NOT_SCORED, protocol, scored

Array = np.ndarray[Any, Any]

COMPONENTS = 50
DENSE_GENES = 2000
"""Up to here all eigenvectors of the covariance are found at once; above, the leading 50 by Lanczos."""


@once
def components(pair: Pair) -> Array:
    """The 50 leading principal axes of all true cells, controls among them, ``(G, <= 50)``.

    Centred, not scaled. Their signs do not matter to distances.
    """
    truth = pair.truth
    parts = [truth.cells(p) for p in range(len(pair.perturbations))]
    cells = sp.vstack([*parts, truth.control_cells()], format="csr").astype(np.float64)
    number, genes = cells.shape
    mean = np.asarray(cells.mean(axis=0)).ravel()
    wanted = min(COMPONENTS, number, genes)
    if genes <= DENSE_GENES or wanted >= genes:
        covariance = (cells.T @ cells).toarray() - number * np.outer(mean, mean)
        return np.asarray(np.linalg.eigh(covariance)[1][:, ::-1][:, :wanted])

    def multiply(vector: Array) -> Array:
        vector = vector.ravel()
        return np.asarray(cells.T @ (cells @ vector) - number * mean * (mean @ vector))

    operator = LinearOperator((genes, genes), matvec=multiply, dtype=np.float64)
    values, vectors = eigsh(operator, k=wanted, v0=np.ones(genes))
    return np.asarray(vectors[:, np.argsort(-values)])


def _populations(pair: Pair, p: int, space: str) -> tuple[Array, Array]:
    """True and predicted cells of one perturbation in a space, float64."""
    true, predicted = (side.cells(p).astype(np.float64) for side in (pair.truth, pair.prediction))
    if space == "pca_k":
        return np.asarray(true @ components(pair)), np.asarray(predicted @ components(pair))
    columns = gene_set(pair, p, space)
    return true[:, columns].toarray(), predicted[:, columns].toarray()


def energy(x: Array, y: Array) -> float:
    """``2 E|x - y| - E|x - x'| - E|y - y'|``, Euclid, U-statistic; a lone cell is at distance 0 to itself."""
    within = [pdist(cells).mean() if len(cells) > 1 else 0.0 for cells in (x, y)]
    return float(2.0 * cdist(x, y).mean() - within[0] - within[1])


def mmd(x: Array, y: Array) -> float:
    """Unbiased squared MMD, ``exp(-d^2 / 2 s^2)``, s the median distance of the pooled cells; 0 for s = 0."""
    if len(x) < 2 or len(y) < 2:
        return float("nan")
    squares = [pdist(x, "sqeuclidean"), pdist(y, "sqeuclidean"), cdist(x, y, "sqeuclidean").ravel()]
    median = float(np.median(np.sqrt(np.concatenate(squares))))
    if median <= 0:
        return 0.0
    within_x, within_y, between = (np.exp(-square / (2.0 * median**2)).mean() for square in squares)
    return float(within_x + within_y - 2.0 * between)


def _define(name: str, family: str, distance: Callable[[Array, Array], float], space: str) -> None:
    def metric(pair: Pair) -> PeerValues:
        values = np.full(len(pair.perturbations), np.nan)
        for p in scored(pair):
            values[p] = distance(*_populations(pair, p, space))
        return PeerValues(values=values, reason=NOT_SCORED)

    pca = space == "pca_k"
    wording = f"{COMPONENTS} principal components of all true cells" if pca else GENES[space].space
    summary, _, formula = (distance.__doc__ or "").partition("; ")
    metric.__doc__ = f"""{"Energy distance" if family == "energy" else "RBF-MMD"} of predicted and true cells.

    {summary}; {formula}
    Protocol ``{name}`` of scPertEval. Features: {wording}.
    """
    solver = "; from 500 cells or genes on the peer's PCA is a randomised approximation, here it is exact"
    protocol(
        id=f"scperteval/{name}",
        family=family,
        space=wording,
        estimator="U-statistic",
        better="lower",
        best=0.0,
        needs=("cells",),
        faults=FAULTS + (solver if pca else ""),
    )(metric)


for space in ("top_k", "pca_k"):
    _define(f"energy_distance_{space}", "energy", energy, space)
    _define(f"unbiased_mmd_median_{space}", "mmd", mmd, space)
