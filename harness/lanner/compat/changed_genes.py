"""Lists of genes that a perturbation changes most, as GEARS makes them and several peers use them."""

from __future__ import annotations

from typing import Any

import numpy as np

from lanner.compat import Pair
from lanner.compat.once import once
from lanner.compat.t_statistics import welch_to_control

__all__ = ["DE_20", "LIST_TIES", "by_welch", "non_dropout_20", "strongest", "without_targets"]

Array = np.ndarray[Any, Any]
LIST_TIES = "equal statistics in the order of gene names; the peer's order depends on its sort"
DE_20 = "20 genes of largest |Welch t| of true cells against the truth file's control"
"""In words, what ``by_welch(pair)[:, :20]`` is."""


def strongest(genes: tuple[str, ...], values: Array) -> Array:
    """Columns of ``(P, G)`` by falling absolute value, ties by gene name, int64 ``(P, G)``."""
    by_name = np.argsort(np.array(genes, dtype=object), kind="stable")
    order: Array = by_name[np.argsort(-np.abs(values[:, by_name]), axis=1, kind="stable")]
    return order


@once
def by_welch(pair: Pair) -> Array:
    """All genes by falling ``|t|`` of the truth against its control, int64 ``(P, G)``.

    GEARS's ``rank_genes_groups_cov_all``: scanpy's default test, ranked by absolute value. GEARS stores the
    list with its datasets; here it is computed anew from the truth file.
    """
    t, _ = welch_to_control(pair.truth, pair.truth)
    return strongest(pair.genes, t)


@once
def non_dropout_20(pair: Pair) -> list[Array]:
    """First 20 of ``by_welch`` whose true mean is not 0 or whose control mean is 0 too.

    GEARS's ``top_non_dropout_de_20``.
    """
    seen = (pair.truth.means() != 0) | (pair.truth.control_mean() == 0)[None, :]
    return [order[seen[p, order]][:20] for p, order in enumerate(by_welch(pair))]


def without_targets(pair: Pair, orders: Array, k: int) -> list[Array]:
    """First ``k`` columns of each row that are not the perturbation's own targets."""
    return [order[~np.isin(order, targets)][:k] for order, targets in zip(orders, pair.targets, strict=True)]
