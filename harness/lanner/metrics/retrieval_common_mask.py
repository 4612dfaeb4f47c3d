"""Retrieval with the targets of all requested conditions hidden from every comparison."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from lanner.metrics import RESOLUTION, Comparison, Metric, Values, metric
from lanner.metrics.retrieval import discrimination
from lanner.metrics.retrieval_distances import euclidean, manhattan, ranked_by

LARGEST_SHARE = 0.1
"""A mask of more genes is refused: it would hide effects, not only targets (half of IFNGR1's in Papalexi)."""


def _add(name: str, distance: str, ranked: Callable[[Comparison], Values]) -> Metric:
    """Register the common-mask variant of a discrimination score."""

    def rank(comparison: Comparison) -> Values:
        hidden = comparison.masked.any(dim=0, keepdim=True)
        answer = ranked(dataclasses.replace(comparison, masked=hidden.expand_as(comparison.masked)))
        few = hidden.double().mean() <= LARGEST_SHARE
        return Values(
            values=answer.values,
            scorable=answer.scorable & few,
            undefined=answer.undefined,
            unscorable=answer.unscorable if bool(few) else "the targets are more than 10 % of the genes",
        )

    rank.__doc__ = f"""Perturbation discrimination by {distance} distance, all targets hidden everywhere.

    As {name}, on the genes that are no requested condition's target: one gene set for all comparisons, at the
    price of effects that targets have on each other. Without a mask (the @unmasked variants) it is {name}.
    """
    return metric(
        id=f"{name}/common-mask",
        title=f"PDS ({distance}, common mask)",
        level="retrieval",
        space="genes that are the target of no requested condition of the context",
        reference="mean of the train perturbation centroids, perturbation-equal"
        if name == "pds_cosine"
        else "none",
        distance=distance,
        estimator="1 - (rank - 1) / (N - 1)",
        candidates="truth centroids of the requested conditions of the same context; N < 5 is undefined",
        ties="mid-rank; distances that differ by rounding tie",
        better="higher",
        best=1.0,
        chance=0.5,
        invariances=("scale of the predicted change",)
        if name == "pds_cosine"
        else ("the same gene-wise shift of prediction and truth",),
        undefined="fewer than 5 candidates, or targets that are more than 10 % of the genes",
        min_conditions=10,
        tolerance=RESOLUTION if name == "pds_cosine" else 0.0,
        citation="doi:10.48550/arXiv.2511.16954",
    )(rank)


for _name, _distance, _ranked in (
    ("pds_cosine", "cosine", discrimination),
    ("pds_l1", "Manhattan", lambda comparison: ranked_by(comparison, manhattan)),
    ("pds_l2", "Euclidean", lambda comparison: ranked_by(comparison, euclidean)),
):
    _add(_name, _distance, _ranked)
