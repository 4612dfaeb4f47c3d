"""Correlation and error on few genes: those changed most clearly, and those controls express most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lanner.metrics import RESOLUTION, Comparison, Metric, Values, metric
from lanner.metrics.correlation import CONTROL
from lanner.metrics.expression import delta_correlation

if TYPE_CHECKING:
    from torch import Tensor

TOP = (20, 50, 100)
MIN_CELLS = 20
HIGHEST = 1000


def _few(k: int) -> str:
    return f"fewer than {k} genes with a t statistic, under {MIN_CELLS} cells, or a constant change of them"


_TIED = "genes tied at the last place all count"
_CORRELATION: dict[str, Any] = {
    "level": "centroid",
    "reference": CONTROL,
    "better": "higher",
    "best": 1.0,
    "chance": 0.0,
    "invariances": ("scale of the predicted change", "a shift common to all genes"),
    "tolerance": RESOLUTION,
}
_ERROR: dict[str, Any] = {
    "level": "centroid",
    "distance": "squared error",
    "better": "lower",
    "best": 0.0,
    "chance": None,
    "invariances": ("the same gene-wise shift of prediction and truth",),
}


def _top(k: int) -> dict[str, Any]:
    return {
        "space": f"the {k} unmasked genes of largest |t| of the truth part against sealed controls; "
        "t with overestimated variance, as scanpy's t-test_overestim_var",
        "ties": _TIED,
        "requires_truth": "cells",
        "min_cells": MIN_CELLS,
    }


def _add_top(k: int) -> tuple[Metric, Metric]:
    """Register pearson_delta and mse on the truth's top k genes."""

    def correlation(comparison: Comparison) -> Values:
        chosen, scorable = _largest(comparison, k)
        answer = delta_correlation(
            comparison, comparison.predicted_reference, comparison.truth_reference, chosen
        )
        return Values(
            values=answer.values,
            scorable=answer.scorable & scorable,
            undefined=answer.undefined,
            unscorable=_few(k),
        )

    def error(comparison: Comparison) -> Values:
        chosen, scorable = _largest(comparison, k)
        return Values(
            values=_mean_square(comparison, chosen),
            scorable=scorable & comparison.truth.isfinite().all(dim=-1),
            unscorable=_few(k),
        )

    correlation.__doc__ = f"""Pearson Δ from control on the {k} genes the truth changes most clearly.

    r(p - a, t - b) over the {k} genes of largest |t|, t = (t_g - b_g) / sqrt((v + v_b) / n) with the
    variances of the truth part's n cells and of the sealed controls (top 20 as GEARS and Systema report it,
    by another choice of genes). Genes are chosen on the truth part itself, so that their true change is
    exaggerated.
    """
    error.__doc__ = f"""Mean squared error on the {k} genes the truth changes most clearly.

    Genes as in pearson_delta/top{k}, own targets left out.
    """
    return (
        metric(
            id=f"pearson_delta/top{k}",
            title=f"Pearson Δ (top {k})",
            undefined=f"a change that is constant over the genes; {_few(k)}",
            citation="doi:10.1038/s41587-025-02777-8",
            **_CORRELATION,
            **_top(k),
        )(correlation),
        metric(
            id=f"mse/top{k}",
            title=f"MSE (top {k})",
            undefined=_few(k),
            citation="doi:10.1038/s41587-023-01905-6",
            **_ERROR,
            **_top(k),
        )(error),
    )


for _k in TOP:
    _add_top(_k)

_HIGHEST: dict[str, Any] = {
    "space": f"the {HIGHEST:,} unmasked genes of highest mean in the sealed controls",
    "ties": _TIED,
    "citation": "doi:10.1038/s41592-025-02772-6",
}
_TOO_FEW_GENES = f"fewer than {HIGHEST:,} genes are measured"


@metric(
    id="pearson_delta/heg1000",
    title="Pearson Δ (1,000 highest)",
    undefined=f"a change that is constant over the genes; {_TOO_FEW_GENES}",
    **_CORRELATION,
    **_HIGHEST,
)
def pearson_delta_heg(comparison: Comparison) -> Values:
    """Pearson Δ from control on the 1,000 genes that controls express most (Ahlmann-Eltze 2025)."""
    chosen, scorable = _expressed(comparison)
    answer = delta_correlation(comparison, comparison.predicted_reference, comparison.truth_reference, chosen)
    return Values(
        values=answer.values,
        scorable=answer.scorable & scorable,
        undefined=answer.undefined,
        unscorable=_TOO_FEW_GENES,
    )


@metric(id="mse/heg1000", title="MSE (1,000 highest)", undefined=_TOO_FEW_GENES, **_ERROR, **_HIGHEST)
def mse_heg(comparison: Comparison) -> Values:
    r"""Mean squared error on the 1,000 genes that controls express most (Ahlmann-Eltze 2025).

    Their L2 is :math:`\sqrt{1000\,\mathrm{mse}}`.
    """
    chosen, scorable = _expressed(comparison)
    return Values(
        values=_mean_square(comparison, chosen),
        scorable=scorable & comparison.truth.isfinite().all(dim=-1),
        unscorable=_TOO_FEW_GENES,
    )


def _largest(comparison: Comparison, k: int) -> tuple[Tensor, Tensor]:
    """The k unmasked genes of largest |t| in each row, and whether there are that many and cells to test."""
    assert comparison.statistics is not None
    t = comparison.statistics.t_of_change()
    t = t.masked_fill(comparison.masked | t.isnan(), 0.0)
    return _first(t, k, (t > 0).sum(dim=-1) >= k, comparison.n_cells >= MIN_CELLS)


def _expressed(comparison: Comparison) -> tuple[Tensor, Tensor]:
    keep = ~comparison.masked
    level = comparison.truth_reference.masked_fill(comparison.masked, float("-inf"))
    enough = (keep.sum(dim=-1) >= HIGHEST).expand(len(comparison.truth))
    return _first(level, HIGHEST, enough, enough)


def _first(score: Tensor, k: int, enough: Tensor, tested: Tensor) -> tuple[Tensor, Tensor]:
    """Genes scored at least as high as the k-th of their row."""
    k = min(k, score.shape[-1])
    last = score.topk(k, dim=-1).values[:, -1:]
    return score >= last, enough & tested


def _mean_square(comparison: Comparison, chosen: Tensor) -> Tensor:
    keep = (chosen & ~comparison.masked).double()
    squared = (comparison.predicted - comparison.truth).square() * keep
    return squared.sum(dim=-1) / keep.sum(dim=-1)
