"""Csendes et al. (BMC Genomics 2025): scGPT's four correlations, and two without the target.

Definitions after turbine-ai/PerturbSeqPredBenchmark, commit e42855d (MIT), ``compute_perturbation_metrics``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lanner.compat import Pair, PeerValues, peer_metric
from lanner.compat.changed_genes import DE_20, LIST_TIES, by_welch, without_targets
from lanner.compat.rows import pearson

Array = np.ndarray[Any, Any]
CONTROL = "control mean of the truth file, for prediction and truth"
LIST = "the peer reads GEARS's stored list rank_genes_groups_cov_all; here it is computed anew"
REASON = "a profile or change that is the same in all genes, or a true profile of zeros"


def correlations(pair: Pair, reference: Array, genes: list[Array] | None) -> Array:
    """Pearson's r of means less ``reference`` over each perturbation's genes; NaN for a truth of zeros."""
    true, predicted = pair.truth.means(), pair.prediction.means()
    if genes is None:
        values = pearson(true - reference, predicted - reference)
        return np.where((true == 0).all(axis=1), np.nan, values)
    values = np.full(len(true), np.nan)
    for p, chosen in enumerate(genes):
        if (true[p, chosen] != 0).any():
            change = (x[p : p + 1, chosen] - reference[chosen] for x in (true, predicted))
            values[p] = pearson(*change)[0]
    return values


def _define(name: str, *, delta: bool, listed: str) -> None:
    def correlation(pair: Pair) -> PeerValues:
        reference = pair.truth.control_mean() if delta else np.zeros(len(pair.genes))
        genes = None
        if listed == "de":
            genes = list(by_welch(pair)[:, :20])
        elif listed == "no self":
            genes = without_targets(pair, by_welch(pair), 20)
        return PeerValues(values=correlations(pair, reference, genes), reason=REASON)

    where = {"": "all genes", "de": DE_20, "no self": f"{DE_20}, the targets passed over"}[listed]
    short = {"": "all genes", "de": "20 changed genes", "no self": "20 changed genes but the targets"}[listed]
    what = "change" if delta else "mean"
    correlation.__doc__ = f"""Pearson correlation of predicted and true {what}, {short}.

    r(p - c, t - c) with c {"the control mean" if delta else "= 0"}, on {where}.
    """
    faults = {
        "": "the target gene counts",
        "de": f"{LIST}; the target gene counts",
        "no self": f"{LIST}; the peer's branches for Norman and other data are swapped, so in Norman the "
        "targets of doubles stay on the list: here none stays",
    }[listed]
    peer_metric(
        id=f"csendes/{name}",
        peer="Csendes et al.",
        peer_version="e42855d",
        family="pearson delta" if delta else "pearson profile",
        space=where,
        reference=CONTROL if delta else "none",
        ties=LIST_TIES if listed else "none",
        undefined="NaN, and the mean over perturbations with it; a truth of zeros is passed over",
        better="higher",
        best=1.0,
        needs=("truth cells",) if listed else (),
        faults=faults,
        citation="doi:10.1186/s12864-025-11600-2",
    )(correlation)


_define("pearson", delta=False, listed="")
_define("pearson_delta", delta=True, listed="")
_define("pearson_de", delta=False, listed="de")
_define("pearson_de_delta", delta=True, listed="de")
_define("pearson_de_noself", delta=False, listed="no self")
_define("pearson_de_delta_noself", delta=True, listed="no self")
