"""cell-eval 0.8.2: overlap, agreement and number of significant genes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from lanner.compat import Pair, PeerMetric, PeerValues, peer_metric
from lanner.compat.cell_eval_calls import calls, ranked
from lanner.compat.rows import spearman

Array = np.ndarray[Any, Any]

FAULTS = (
    "the prediction is tested against predicted controls, which can be chosen to please; a gene absent from "
    "one group has an infinite fold change and ranks first; the table is rounded to float32"
)
de_metric: Callable[..., Callable[[Callable[[Pair], PeerValues]], PeerMetric]] = partial(
    peer_metric,
    peer="cell-eval",
    peer_version="0.8.2",
    reference="each file's own control cells",
    estimator="tie-corrected Mann-Whitney, BH within the perturbation, FDR < 0.05",
    needs=("cells", "prediction controls"),
    citation="cell-eval 0.8.2 and pdex 0.3.0 (Arc Institute)",
)
CUTS = (None, 50, 100, 200, 500)


def _at(pair: Pair, k: int | None, *, of_truth: bool) -> PeerValues:
    values = []
    for true, predicted in ranked(pair):
        listed = len(true) if of_truth else len(predicted)
        k_eff = min(k or listed, listed)
        shared = np.intersect1d(true[:k_eff], predicted[:k_eff], assume_unique=True).size
        values.append(shared / k_eff if k_eff else 0.0)
    return PeerValues(values=np.array(values))


def _define_at(k: int | None) -> None:
    """Register overlap and precision at one cut; at N the cut is the whole list."""
    name, genes = ("n", "all") if k is None else (str(k), f"the {k} strongest")
    options: dict[str, Any] = {
        "ties": "equal fold changes in the order of the file",
        "better": "higher",
        "best": 1.0,
        "undefined": "0",
    }

    def overlap(pair: Pair) -> PeerValues:
        return _at(pair, k, of_truth=True)

    def precision(pair: Pair) -> PeerValues:
        return _at(pair, k, of_truth=False)

    overlap.__doc__ = f"""Share of {genes} truly significant genes found among as many predicted ones.

    ``|top_k(truth) & top_k(prediction)| / k``, significant genes by falling |log2 fold change|, k at most the
    truth's number of significant genes; 0 where there is none.
    """
    precision.__doc__ = f"""Share of {genes} genes predicted significant that are among as many true ones.

    As ``overlap_at_{name}``, with k no more than the prediction's number of significant genes.
    """
    faults = f"{FAULTS}; 0 where no gene is significant in the truth; the direction of change is ignored"
    de_metric(id=f"cell_eval/overlap_at_{name}", family="de overlap", faults=faults, **options)(overlap)
    de_metric(id=f"cell_eval/precision_at_{name}", family="de precision", faults=faults, **options)(precision)


for cut in CUTS:
    _define_at(cut)


@de_metric(
    id="cell_eval/de_spearman_sig",
    family="de number",
    better="higher",
    best=1.0,
    ties="mid-ranks",
    per="file",
    faults=f"{FAULTS}; perturbations without a truly significant gene are dropped; 1 if none has any",
)
def de_spearman_sig(pair: Pair) -> PeerValues:
    """Spearman correlation, over perturbations, of the number of significant genes.

    One number for the file, over perturbations with a significant gene in the truth. NaN for fewer than two
    of them and for constant numbers.
    """
    true = calls(pair.truth).significant.sum(axis=1)
    predicted = calls(pair.prediction).significant.sum(axis=1)
    kept = true > 0
    if not kept.any():
        return PeerValues(values=np.ones(1))
    return PeerValues(
        values=spearman(true[None, kept], predicted[None, kept]),
        reason="the numbers of significant genes are constant over perturbations",
    )


def _on_significant(pair: Pair, agreement: Callable[[Array, Array], float]) -> PeerValues:
    """``agreement`` of true and predicted fold changes on the truth's significant genes; NaN without any."""
    truth, prediction = calls(pair.truth), calls(pair.prediction)
    values = np.full(len(pair.perturbations), np.nan)
    for p, genes in enumerate(truth.significant):
        if genes.any():
            values[p] = agreement(truth.log2_fold_change[p, genes], prediction.log2_fold_change[p, genes])
    return PeerValues(values=values, reason="no truly significant gene, or constant fold changes")


@de_metric(
    id="cell_eval/de_direction_match",
    family="de direction",
    better="higher",
    best=1.0,
    faults=f"{FAULTS}; the prediction need not call the gene",
)
def de_direction_match(pair: Pair) -> PeerValues:
    """Share of the truth's significant genes whose predicted fold change has the true sign."""
    return _on_significant(pair, lambda true, predicted: float((np.sign(true) == np.sign(predicted)).mean()))


@de_metric(
    id="cell_eval/de_spearman_lfc_sig",
    family="de fold change",
    better="higher",
    best=1.0,
    ties="mid-ranks, infinite fold changes among them",
    faults=FAULTS,
)
def de_spearman_lfc_sig(pair: Pair) -> PeerValues:
    """Spearman correlation of true and predicted fold changes over the truth's significant genes."""
    return _on_significant(
        pair, lambda true, predicted: float(spearman(true[None, :], predicted[None, :])[0])
    )


@de_metric(
    id="cell_eval/de_sig_genes_recall",
    family="de recall",
    better="higher",
    best=1.0,
    faults=f"{FAULTS}; calling every gene is perfect",
)
def de_sig_genes_recall(pair: Pair) -> PeerValues:
    """Share of the truth's significant genes that are significant in the prediction."""
    true, predicted = calls(pair.truth).significant, calls(pair.prediction).significant
    numbers = true.sum(axis=1)
    values = np.full(len(numbers), np.nan)
    np.divide((true & predicted).sum(axis=1), numbers, out=values, where=numbers > 0)
    return PeerValues(values=values, reason="no gene is significant in the truth")


@de_metric(id="cell_eval/de_nsig_counts_real", family="de number", better="neither", best=0.0, faults=FAULTS)
def de_nsig_counts_real(pair: Pair) -> PeerValues:
    """Number of significant genes in the truth."""
    return PeerValues(values=calls(pair.truth).significant.sum(axis=1).astype(np.float64))


@de_metric(id="cell_eval/de_nsig_counts_pred", family="de number", better="neither", best=0.0, faults=FAULTS)
def de_nsig_counts_pred(pair: Pair) -> PeerValues:
    """Number of significant genes in the prediction."""
    return PeerValues(values=calls(pair.prediction).significant.sum(axis=1).astype(np.float64))
