"""Retrieval by Manhattan and Euclidean distance, which the scale of a prediction decides too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lanner.metrics import Comparison, Values, metric
from lanner.metrics.retrieval import MIN_CANDIDATES, TIE

if TYPE_CHECKING:
    from torch import Tensor

_CARD: dict[str, Any] = {
    "level": "retrieval",
    "space": "genes, without the targets of the two conditions compared",
    "estimator": "1 - (rank - 1) / (N - 1)",
    "ties": "mid-rank; distances within 1e-12 of the farthest candidate's tie",
    "better": "higher",
    "best": 1.0,
    "chance": 0.5,
    "invariances": ("the same gene-wise shift of prediction and truth",),
    "undefined": "fewer than 5 candidates",
    "min_conditions": 10,
}
_REQUESTED = "truth centroids of the requested conditions of the same context; N < 5 is undefined"
_FEW = f"fewer than {MIN_CANDIDATES} candidates in the context"


@metric(
    id="pds_l1",
    title="PDS (L1)",
    distance="Manhattan",
    candidates=_REQUESTED,
    citation="https://github.com/ArcInstitute/cell-eval",
    **_CARD,
)
def pds_l1(comparison: Comparison) -> Values:
    """Perturbation discrimination by Manhattan distance: rank of the own truth among all.

    Distances of p_i to every t_j, each rival judged on the genes that are targets of neither. A change
    predicted too small is punished, one too large hardly (arXiv 2511.16954): see pds_cosine.
    """
    return ranked_by(comparison, manhattan)


@metric(
    id="pds_l2",
    title="PDS (L2)",
    distance="Euclidean",
    candidates=_REQUESTED,
    citation="doi:10.48550/arXiv.2511.16954",
    **_CARD,
)
def pds_l2(comparison: Comparison) -> Values:
    """Perturbation discrimination by Euclidean distance: rank of the own truth among all.

    As pds_l1 with Euclidean distance.
    """
    return ranked_by(comparison, euclidean)


@metric(
    id="centroid_accuracy",
    title="Centroid accuracy",
    distance="Euclidean",
    candidates="truth centroids of the requested conditions and centroids of the train perturbations of the "
    "same "
    "context; N < 5 is undefined. Train centroids are of all cells and so less noisy than truth halves: "
    "chance "
    "holds for candidates of equal noise only",
    citation="doi:10.1038/s41587-025-02777-8",
    **_CARD,
)
def centroid_accuracy(comparison: Comparison) -> Values:
    """Share of other perturbations, trained on or held out, farther than the own truth.

    The centroid accuracy of Systema (Viñas Torné et al. 2025) with ties at one half instead of failing, and
    without the targets of the two conditions compared.
    """
    assert comparison.train_candidates is not None
    import torch

    truth, candidate, keep = _requested(comparison)
    seen, targets = comparison.train_candidates()
    return _rank(
        comparison,
        euclidean,
        torch.cat([truth, seen]),
        torch.cat([candidate, candidate.new_ones(len(seen))]),
        torch.cat([keep, (~(targets & comparison.masked.any())).double()]),
    )


def ranked_by(comparison: Comparison, distances: Any) -> Values:
    """Rank of the own truth among the requested ones, by ``manhattan`` or ``euclidean``."""
    return _rank(comparison, distances, *_requested(comparison))


def _requested(comparison: Comparison) -> tuple[Tensor, Tensor, Tensor]:
    """Candidate profiles, which of them exist, and 1 where a gene is no target of theirs."""
    keep = (~comparison.masked).double()
    return comparison.truth.nan_to_num(), comparison.truth.isfinite().all(dim=-1), keep


def _rank(comparison: Comparison, distances: Any, candidates: Tensor, exists: Tensor, keep: Tensor) -> Values:
    """Normalised mid-rank of candidate i for prediction i; the first n candidates are the own truths."""
    n = len(comparison.truth)
    mean = comparison.train_reference  # taken off both sides, so that squares do not cancel
    predicted = (comparison.predicted - mean).expand(n, -1)
    own, other = distances(predicted, candidates - mean, keep)
    tie = TIE * other.amax(dim=-1, keepdim=True)  # rounding is relative to the squares that were summed
    ahead = (other < own - tie).double() + 0.5 * ((other - own).abs() <= tie).double()
    rivals = exists.double().expand_as(ahead).clone()
    rivals[:, :n].fill_diagonal_(0.0)
    n_rivals = rivals.sum(dim=-1)
    return Values(
        values=1 - (ahead * rivals).sum(dim=-1) / n_rivals,
        scorable=exists[:n] & (n_rivals + 1 >= MIN_CANDIDATES),
        unscorable=_FEW,
    )


def manhattan(predicted: Tensor, candidates: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
    """L1 distances of prediction i to its own truth i and to candidate j, over genes kept by i and j.

    ``predicted`` ``(n, n_genes)``; ``candidates`` and ``keep`` (0 or 1) ``(N, n_genes)``, N >= n, whose
    first n rows are those of the predictions; both answers ``(n, N)``.
    """
    import torch

    n = len(predicted)
    absolute = (predicted - candidates[:n]).abs()
    hidden = (keep == 0).any(dim=0)
    shown = ~hidden
    other = torch.cdist(predicted[:, shown], candidates[:, shown], p=1)
    for i in range(n if bool(hidden.any()) else 0):
        rows = (predicted[i, hidden] - candidates[:, hidden]).abs()
        other[i] += (rows * keep[:, hidden] * keep[i, hidden]).sum(dim=-1)
    return _own(absolute, keep, n), other


def euclidean(predicted: Tensor, candidates: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
    """Squared L2 distances; shapes as in ``manhattan``. Ranks are those of the distances themselves."""
    n = len(predicted)
    squared = (predicted - candidates[:n]).square()
    p, c = predicted * keep[:n], candidates * keep
    other = (p * p) @ keep.T + keep[:n] @ (c * c).T - 2 * p @ c.T
    return _own(squared, keep, n), other.clamp_min(0.0)


def _own(errors: Tensor, keep: Tensor, n: int) -> Tensor:
    """Errors of prediction i against its own truth, summed over the genes kept by i and j: ``(n, N)``."""
    return (errors * keep[:n]) @ keep.T
