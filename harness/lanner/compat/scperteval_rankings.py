"""scPertEval 0.2.0: retrieval of perturbations, and recovery of differentially expressed genes."""

from __future__ import annotations

from typing import Any

import numpy as np

from lanner.compat import Pair, PeerValues
from lanner.compat.ranking_areas import average_precision, roc_auc
from lanner.compat.scperteval_reference import FAULTS, NOT_SCORED, effects, protocol, scored

Array = np.ndarray[Any, Any]

NOISE_SEED, NOISE = 42, 1e-12
OVERLAP = 50
LABELS = "Welch's t against the other true perturbations, BH-adjusted p < 0.05"


def _ranks(pair: Pair, *, among_truths: bool) -> PeerValues:
    """Rank from 0, over N - 1, of each perturbation's own pair among the squared distances of its column."""
    kept = scored(pair)
    predicted, true = pair.prediction.means()[kept], pair.truth.means()[kept]
    norms = (predicted**2).sum(axis=1)[:, None] + (true**2).sum(axis=1)[None, :]
    distances = np.maximum(norms - 2.0 * predicted @ true.T, 0.0)
    if among_truths:
        distances = distances.T
    noisy = distances + np.random.default_rng(NOISE_SEED).uniform(0, NOISE, size=distances.shape)
    values = np.full(len(pair.perturbations), np.nan)
    values[kept] = (noisy < np.diag(noisy)[None, :]).sum(axis=0) / max(len(kept) - 1, 1)
    return PeerValues(values=values, reason=NOT_SCORED)


TIES = "a seeded noise of up to 1e-12 decides, no larger than the rounding of the distances"


@protocol(id="scperteval/rank", family="pds", ties=TIES, better="lower", best=0.0)
def rank(pair: Pair) -> PeerValues:
    """Share of other predictions nearer than its own prediction to a true mean profile (Euclid)."""
    return _ranks(pair, among_truths=False)


@protocol(id="scperteval/transpose_rank", family="pds", ties=TIES, better="lower", best=0.0)
def transpose_rank(pair: Pair) -> PeerValues:
    """Share of other true mean profiles nearer than its own to a prediction (Euclid)."""
    return _ranks(pair, among_truths=True)


@protocol(id="scperteval/nir", family="pds", ties=TIES, better="higher", best=1.0)
def nir(pair: Pair) -> PeerValues:
    """Normalised inverse rank: one minus ``transpose_rank``."""
    found = _ranks(pair, among_truths=True)
    return PeerValues(values=1.0 - found.values, reason=found.reason)


def _areas(pair: Pair, area: Any) -> PeerValues:
    truth, prediction = effects(pair)
    values = np.full(len(pair.perturbations), np.nan)
    for p in scored(pair):
        values[p] = area(truth.adjusted_p[p] < 0.05, np.abs(prediction.t[p]))
    return PeerValues(values=values, reason="fewer than 30 true cells, or genes of one class only")


@protocol(
    id="scperteval/de_auprc",
    family="de auprc",
    estimator=LABELS,
    ties="one threshold for equal scores",
    better="higher",
    best=1.0,
    needs=("cells",),
)
def de_auprc(pair: Pair) -> PeerValues:
    """Average precision of the prediction's |t| for the truth's significant genes.

    Both t compare with the true cells of all other perturbations.
    """
    return _areas(pair, average_precision)


@protocol(
    id="scperteval/de_auroc",
    family="de auroc",
    estimator=LABELS,
    ties="one threshold for equal scores",
    better="higher",
    best=1.0,
    needs=("cells",),
)
def de_auroc(pair: Pair) -> PeerValues:
    """Area under the ROC curve of the prediction's |t| for the truth's significant genes."""
    return _areas(pair, roc_auc)


@protocol(
    id="scperteval/de_overlap_k",
    family="de overlap",
    estimator="Welch's t against the other true perturbations",
    ties="equal |t| at the cut in the order of the file; the peer leaves them to a partial sort",
    better="higher",
    best=1.0,
    needs=("cells",),
    faults=f"{FAULTS}; genes need not be significant, so 50 genes of noise count as labels",
)
def de_overlap_k(pair: Pair) -> PeerValues:
    """Share of the truth's 50 genes of largest |t| that are among the prediction's 50."""
    truth, prediction = effects(pair)
    values = np.full(len(pair.perturbations), np.nan)
    if len(pair.genes) > OVERLAP:
        for p in scored(pair):
            true, predicted = (
                np.argsort(-np.abs(t[p]), kind="stable")[:OVERLAP] for t in (truth.t, prediction.t)
            )
            values[p] = np.intersect1d(true, predicted, assume_unique=True).size / OVERLAP
    return PeerValues(values=values, reason="fewer than 30 true cells, or no more than 50 genes")
