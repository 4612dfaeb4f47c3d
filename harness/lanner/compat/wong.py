"""Wong et al. (Bioinformatics 2025): their retrieval rank, and correlations as scGPT has them.

Definitions after pfizer-opensource/perturb_seq, commit 41f7098 (MIT).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from lanner.compat import Pair, PeerValues, peer_metric
from lanner.compat.changed_genes import DE_20, LIST_TIES, by_welch
from lanner.compat.own_ranks import mid_rank_of_own
from lanner.compat.rows import pearson

Array = np.ndarray[Any, Any]
CITATION = "doi:10.1093/bioinformatics/btaf317"


def _define(name: str, *, delta: bool, listed: bool) -> None:
    def correlation(pair: Pair) -> PeerValues:
        reference = pair.truth.control_mean() if delta else np.zeros(len(pair.genes))
        true, predicted = pair.truth.means() - reference, pair.prediction.means() - reference
        if listed:
            genes = by_welch(pair)[:, :20]
            true, predicted = (np.take_along_axis(x, genes, axis=1) for x in (true, predicted))
        return PeerValues(values=pearson(predicted, true), reason="a vector that is the same in all genes")

    correlation.__doc__ = f"""Pearson correlation of predicted and true {"change" if delta else "mean"}, {
        "20 changed genes" if listed else "all genes"
    }."""
    peer_metric(
        id=f"wong/{name}",
        peer="Wong et al.",
        peer_version="41f7098",
        family="pearson delta" if delta else "pearson profile",
        space=DE_20 if listed else "all genes",
        reference="control mean of the truth file, for prediction and truth" if delta else "none",
        ties=LIST_TIES if listed else "none",
        undefined="NaN; the peer's mean leaves it out",
        better="higher",
        best=1.0,
        needs=("truth cells",) if listed else (),
        faults="the target gene counts, and a mean with the target set by hand beats deep models by it"
        + ("; GEARS's stored list is computed anew" if listed else ""),
        citation=CITATION,
    )(correlation)


_define("pearson", delta=False, listed=False)
_define("pearson_delta", delta=True, listed=False)
_define("pearson_de", delta=False, listed=True)
_define("pearson_de_delta", delta=True, listed=True)


@peer_metric(
    id="wong/rank",
    peer="Wong et al.",
    peer_version="41f7098",
    family="pds",
    space="all genes, mean log1p expression",
    ties="middle rank; the peer's order comes from a Python set and varies by process",
    better="lower",
    best=0.0,
    citation=CITATION,
    faults="worst is 1 - 1 / P and chance (P - 1) / 2P, not 1 and 0.5; cosine of whole profiles, which are "
    "nearly parallel whatever the perturbation; ties by set order (not reproduced)",
)
def rank(pair: Pair) -> PeerValues:
    """Rank of the own prediction among all, by falling cosine to the true mean; 0 is best.

    Position from 0 over P.
    """
    true, predicted = pair.truth.means(), pair.prediction.means()
    distances = cdist(true, predicted, "cosine")
    distances[~true.any(axis=1)] = np.nan
    distances[:, ~predicted.any(axis=1)] = np.nan
    return PeerValues(values=mid_rank_of_own(distances) / len(distances))
