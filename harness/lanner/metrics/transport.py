"""Optimal transport between predicted and true cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lanner.metrics import Comparison, Values, metric
from lanner.metrics.population import MIN_CELLS

if TYPE_CHECKING:
    from torch import Tensor

MAX_CELLS = 256
"""Cells of a draw that are matched, a seeded subset of more: an assignment costs their cube."""


@metric(
    id="sinkhorn_w2",
    title="Wasserstein-2 distance (PCA-50)",
    level="population",
    space="PCA of 50 components fitted on train cells; own targets at the PCA's mean",
    distance="2-Wasserstein of Euclidean distance",
    estimator="exact: optimal assignment of equal numbers of cells, the limit of Sinkhorn's without "
    f"regularisation; at most {MAX_CELLS} cells of a draw; drawn without replacement, averaged; above 0 for "
    "two samples of one distribution",
    better="lower",
    best=0.0,
    chance=None,
    invariances=("rotation", "garbage orthogonal to the PCA"),
    undefined="fewer than 20 cells in a truth half, its duplicate or the prediction",
    requires="cells",
    requires_truth="cells",
    min_cells=MIN_CELLS,
    citation="doi:10.1561/2200000073",
)
def sinkhorn_w2(comparison: Comparison) -> Values:
    r"""Wasserstein-2 distance of predicted and true cells in a train-fitted PCA, exactly.

    :math:`\sqrt{\min_\pi m^{-1} \sum_i |x_i - y_{\pi(i)}|^2}` over the permutations of m drawn cells (Peyré
    and Cuturi 2019, section 2.3). With equal m, half a hundred to some hundreds, it is quicker than Sinkhorn
    iterations, and has no regularisation to state.
    """
    cells = comparison.population
    assert cells is not None
    distances = cells.predicted.distances(cells.truth, "pca", masked=cells.masked)
    cost = distances.square().cpu().numpy()
    draws = zip(_drawn(cells.predicted_draws), _drawn(cells.truth_draws), strict=True)
    values = [assignment(cost[np.ix_(p, t)]) for p, t in draws]
    return Values(
        values=distances.new_tensor(values).masked_fill(cells.size < MIN_CELLS, float("nan")),
        scorable=cells.truth_size >= MIN_CELLS,
        undefined=f"fewer than {MIN_CELLS} predicted cells, or staged controls to draw them from",
        unscorable=f"fewer than {MIN_CELLS} cells in a truth half",
    )


def assignment(cost: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float:
    """Root of the mean cost of the best one-to-one assignment; NaN for no cells."""
    from scipy.optimize import linear_sum_assignment  # a quarter of a second that listing cards saves

    if not cost.size:
        return float("nan")
    rows, columns = linear_sum_assignment(cost)
    return float(np.sqrt(cost[rows, columns].mean()))


def _drawn(draws: Tensor) -> list[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Places of the drawn cells of each row, a seeded MAX_CELLS of more."""
    answer = []
    for row, draw in enumerate(draws.cpu().numpy()):
        chosen = np.flatnonzero(draw)
        if len(chosen) > MAX_CELLS:
            chosen = np.sort(np.random.default_rng(row).choice(chosen, MAX_CELLS, replace=False))
        answer.append(chosen)
    return answer
