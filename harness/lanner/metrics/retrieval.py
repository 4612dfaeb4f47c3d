"""Whether a prediction is nearest to the perturbation it was made for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lanner.metrics import RESOLUTION, Comparison, Values, metric

if TYPE_CHECKING:
    from torch import Tensor

MIN_CANDIDATES = 5
TIE = 1e-12
"""Cosine distances closer than this tie: the masked sums behind them differ in float64 rounding only."""


@metric(
    id="pds_cosine",
    title="PDS (cosine)",
    level="retrieval",
    space="genes, without the targets of the two conditions compared",
    reference="mean of the train perturbation centroids, perturbation-equal",
    distance="cosine",
    estimator="1 - (rank - 1) / (N - 1)",
    candidates="truth centroids of the requested conditions of the same context; N < 5 is undefined",
    ties="mid-rank; distances within 1e-12 tie; a prediction equal to the reference ties with all candidates",
    better="higher",
    best=1.0,
    chance=0.5,
    invariances=("scale of the predicted change",),
    undefined="fewer than 5 candidates, or a true change of zero",
    min_conditions=10,
    tolerance=RESOLUTION,
    citation="doi:10.48550/arXiv.2511.16954",
)
def pds_cosine(comparison: Comparison) -> Values:
    r"""Perturbation discrimination: normalised rank of the own truth among all candidate truths.

    Distances of :math:`p_i - m` to every :math:`t_j - m`. Whether candidate j is nearer than the own truth
    i is decided on the genes that are targets of neither, for both distances.
    """
    return discrimination(comparison)


def discrimination(comparison: Comparison) -> Values:
    """Rank of the own truth by cosine of changes from the train mean."""
    mean, keep = comparison.train_reference, (~comparison.masked).double()
    predicted = _change(comparison.predicted, mean)
    truth = _change(comparison.truth, mean)
    candidate = truth.isfinite().all(dim=-1)
    truth = truth.nan_to_num()
    own, other = pairwise_cosine(predicted.expand_as(truth), truth, keep)
    moved = (truth * keep).square().sum(dim=-1) > 0
    return normalised_rank(own, other, candidate, moved)


@metric(
    id="retrieval_transpose",
    title="Retrieval by truth (cosine)",
    level="retrieval",
    space="genes, without the targets of the two conditions compared",
    reference="mean of the train perturbation centroids, perturbation-equal",
    distance="cosine",
    estimator="1 - (rank - 1) / (N - 1)",
    candidates="predictions for the requested conditions of the same context, an unanswered one standing at "
    "the "
    "train mean; N < 5 is undefined",
    ties="mid-rank; distances within 1e-12 tie: one prediction for all conditions ties with itself",
    better="higher",
    best=1.0,
    chance=0.5,
    invariances=("scale of the predicted change",),
    undefined="fewer than 5 candidates, or a true change of zero",
    min_conditions=10,
    tolerance=RESOLUTION,
    citation="doi:10.48550/arXiv.2408.10609",
)
def retrieval_transpose(comparison: Comparison) -> Values:
    r"""Normalised rank of the own prediction among all predictions, seen from the truth.

    The rank metric of PerturBench turned to 1 = best: distances of :math:`t_i - m` to every :math:`p_j - m`,
    each rival judged on the genes that are targets of neither.
    """
    mean, keep = comparison.train_reference, (~comparison.masked).double()
    truth = _change(comparison.truth, mean)
    candidate = truth.isfinite().all(dim=-1)
    truth = truth.nan_to_num()
    predicted = _change(comparison.predicted, mean).expand_as(truth)
    own, other = pairwise_cosine(truth, predicted, keep)
    moved = (truth * keep).square().sum(dim=-1) > 0
    return normalised_rank(own, other, candidate, moved)


def normalised_rank(own: Tensor, other: Tensor, candidate: Tensor, scorable: Tensor) -> Values:
    """1 - (mid-rank - 1) / (N - 1) from similarities ``(N, N)`` of i with itself and with candidate j.

    ``candidate`` and ``scorable`` are bool ``(N,)``: who can be ranked, and whom the truth lets be scored.
    """
    ahead = (other > own + TIE).double() + 0.5 * ((other - own).abs() <= TIE).double()
    rivals = candidate.double().expand_as(ahead).clone().fill_diagonal_(0.0)
    n_rivals = rivals.sum(dim=-1)
    values = 1 - (ahead * rivals).sum(dim=-1) / n_rivals
    enough = n_rivals + 1 >= MIN_CANDIDATES
    return Values(
        values=values,
        scorable=candidate & enough & scorable,
        unscorable=f"fewer than {MIN_CANDIDATES} candidates in the context, or a true change of zero",
    )


def _change(profile: Tensor, reference: Tensor) -> Tensor:
    """Change from ``reference``, exactly zero where it is below the float32 resolution of the profile."""
    change = profile - reference
    size = profile.norm(dim=-1).maximum(reference.norm(dim=-1))
    return change.masked_fill((change.norm(dim=-1) <= RESOLUTION * size)[:, None], 0.0)


def pairwise_cosine(predicted: Tensor, truth: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines of prediction i with truth i and with truth j over the genes kept by both i and j.

    ``predicted``, ``truth`` and ``keep`` (0 or 1) are ``(N, n_genes)``; both answers are ``(N, N)``. Sums
    over the genes kept by i and j are sums over those kept by i, less those that only j hides; few genes
    are hidden, so one full matrix product is enough.
    """
    hidden_somewhere = (keep == 0).any(dim=0)
    hides = 1 - keep[:, hidden_somewhere]

    def sums(products: Tensor) -> Tensor:
        """``(N, n_genes)`` products of row i, summed over the genes kept by i and j: ``(N, N)``."""
        inside = products * keep
        return inside.sum(dim=-1, keepdim=True) - inside[:, hidden_somewhere] @ hides.T

    predicted_norm = sums(predicted.square()).clamp_min(0).sqrt()
    truth_norm = sums(truth.square()).clamp_min(0).sqrt()
    own = _ratio(sums(predicted * truth), predicted_norm * truth_norm)
    other = _ratio((predicted * keep) @ (truth * keep).T, predicted_norm * truth_norm.T)
    return own, other


def _ratio(dot: Tensor, norms: Tensor) -> Tensor:
    """Cosine; 0, that of a right angle, where a change is zero."""
    return (dot / norms.masked_fill(norms == 0, 1.0)).masked_fill(norms == 0, 0.0)
