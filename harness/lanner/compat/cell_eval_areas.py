"""cell-eval 0.8.2: recovery of significant genes as areas under curves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lanner.compat import Pair, PeerValues
from lanner.compat.cell_eval_calls import calls
from lanner.compat.cell_eval_de import FAULTS, de_metric
from lanner.compat.ranking_areas import average_precision, roc_auc

Array = np.ndarray[Any, Any]

REASON = "no gene, or every gene, is significant in the truth"


def _areas(pair: Pair, area: Callable[[Array, Array], float]) -> PeerValues:
    """Labels: truly significant. Score: ``-log10`` of the predicted FDR, at least 1e-10, in float32."""
    labels = calls(pair.truth).significant
    fdr = np.clip(calls(pair.prediction).fdr, np.float32(1e-10), np.float32(1.0))
    scores = -(np.log(fdr) / np.log(np.float32(10)))
    return PeerValues(
        values=np.array([area(labels[p], scores[p]) for p in range(len(labels))]), reason=REASON
    )


@de_metric(
    id="cell_eval/pr_auc",
    family="de auprc",
    better="higher",
    best=1.0,
    ties="one threshold for equal scores; all FDR below 1e-10 are equal",
    faults=FAULTS,
)
def pr_auc(pair: Pair) -> PeerValues:
    """Average precision of the predicted FDR for the truth's significant genes."""
    return _areas(pair, average_precision)


@de_metric(
    id="cell_eval/roc_auc",
    family="de auroc",
    better="higher",
    best=1.0,
    ties="one threshold for equal scores; all FDR below 1e-10 are equal",
    faults=FAULTS,
)
def auc(pair: Pair) -> PeerValues:
    """Area under the ROC curve of the predicted FDR for the truth's significant genes."""
    return _areas(pair, roc_auc)
