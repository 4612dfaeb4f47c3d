"""Zhu et al. (Briefings in Bioinformatics 2025): AUPRC of changed genes and R2, by the paper and by the code.

Formulas after the paper and a reading of hxzhu491/Cell-Perturbation-evaluation-Metric at 3b5f8a2 (the
PBMC scripts); the repository has no licence.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from lanner.compat import Pair, PeerMetric, PeerValues, peer_metric
from lanner.compat.once import once
from lanner.compat.precision_recall import davis_goadrich, precision_at_recall, trapezoid
from lanner.compat.rows import pearson
from lanner.compat.t_statistics import moderated, welch_to_control

Array = np.ndarray[Any, Any]
CHANGE = 0.3
P_PAPER = 1e-10
FDR_CODE = 1e-5
RECALLS = (25, 50, 75)
zhu_metric: Callable[..., Callable[[Callable[[Pair], PeerValues]], PeerMetric]] = partial(
    peer_metric,
    peer="Zhu et al.",
    peer_version="3b5f8a2",
    citation="https://github.com/hxzhu491/Cell-Perturbation-evaluation-Metric",
)
PAPER_LABELS = "changed: Welch p < 1e-10 and |difference of log1p means| > 0.3, true cells against control"
CODE_LABELS = (
    "changed: BH-adjusted p < 1e-5 of limma's moderated t and |difference of log1p means| > 0.3, true cells "
    "against control"
)
CONTROL = "control of the truth file, for prediction and truth"
UNIT = "the paper's fold change is a log2 ratio, its 0.3 holds for differences of natural log1p means"
NO_DEG = "no gene is truly changed"


def change(pair: Pair) -> tuple[Array, Array]:
    """True and predicted difference of log1p means from control, ``(P, G)`` each."""
    control = pair.truth.control_mean()
    return pair.truth.means() - control, pair.prediction.means() - control


@once
def paper_labels(pair: Pair) -> Array:
    """Genes the paper calls changed, bool ``(P, G)``."""
    _, p = welch_to_control(pair.truth, pair.truth)
    labels: Array = (p < P_PAPER) & (np.abs(change(pair)[0]) > CHANGE)
    return labels


@once
def code_labels(pair: Pair) -> Array:
    """Genes the PBMC script calls changed, bool ``(P, G)``."""
    from scipy.stats import false_discovery_control

    truth = pair.truth
    control = truth.control_mean(), truth.control_variance(), truth.n_control()
    adjusted = np.ones(truth.means().shape)
    for i, n in enumerate(truth.n_cells()):
        if n > 1:
            p = moderated(truth.means()[i], truth.variances()[i], int(n), *control)
            adjusted[i] = false_discovery_control(p)
    labels: Array = (adjusted < FDR_CODE) & (np.abs(change(pair)[0]) > CHANGE)
    return labels


def size(pair: Pair) -> Array:
    """``|predicted change|``, ``(P, G)``."""
    return np.abs(change(pair)[1])


@once
def gated_size(pair: Pair) -> Array:
    """``|predicted change|`` where predicted cells differ from control with p < 1e-10, else 0."""
    _, p = welch_to_control(pair.prediction, pair.truth)
    gated: Array = np.where(p < P_PAPER, size(pair), 0.0)
    return gated


def _of_rows(area: Callable[[Array, Array], float], labels: Array, scores: Array) -> PeerValues:
    values = [area(of_labels, of_scores) for of_labels, of_scores in zip(labels, scores, strict=True)]
    return PeerValues(values=np.array(values), reason=NO_DEG)


@zhu_metric(
    id="zhu/auprc",
    family="de auprc",
    space=PAPER_LABELS,
    reference=CONTROL,
    estimator="Davis-Goadrich area",
    ties="one block, interpolated as Davis and Goadrich do",
    better="higher",
    best=1.0,
    needs=("cells",),
    faults="the gate makes one block of all genes that pass no test, and is a choice: 0.599 with, 0.615 "
    "without on CD4 T cells; predicted cells decide their own significance, so more of them pass more "
    f"genes; {UNIT}",
)
def auprc(pair: Pair) -> PeerValues:
    """AUPRC of truly changed genes by predicted change, 0 where the prediction's own test fails.

    Score: ``|p - c|`` if Welch's p of predicted cells against control is below 1e-10, else 0 (the paper).
    """
    return _of_rows(davis_goadrich, paper_labels(pair), gated_size(pair))


@zhu_metric(
    id="zhu/auprc_ungated",
    family="de auprc",
    space=PAPER_LABELS,
    reference=CONTROL,
    estimator="Davis-Goadrich area",
    ties="one block, interpolated as Davis and Goadrich do",
    better="higher",
    best=1.0,
    needs=("truth cells",),
    faults=f"the truth itself does not reach 1: labels need a small p, the score does not; {UNIT}",
)
def auprc_ungated(pair: Pair) -> PeerValues:
    """AUPRC of truly changed genes by ``|predicted change|``, Davis-Goadrich, no gate."""
    return _of_rows(davis_goadrich, paper_labels(pair), size(pair))


@zhu_metric(
    id="zhu/auprc_code",
    family="de auprc",
    space=CODE_LABELS,
    reference=CONTROL,
    estimator="trapezoid from (recall 0, precision 1), yardstick::pr_auc",
    ties="one straight line",
    better="higher",
    best=1.0,
    needs=("truth cells",),
    faults="not what the paper defines: other labels, no gate, trapezoid; a constant score earns "
    "(1 + prevalence) / 2; the truth itself does not reach 1",
)
def auprc_code(pair: Pair) -> PeerValues:
    """AUPRC as the PBMC script computes it: limma labels, ``|predicted change|``, trapezoid."""
    return _of_rows(trapezoid, code_labels(pair), size(pair))


def _define_precision(recall: int) -> None:
    def precision(pair: Pair) -> PeerValues:
        return _of_rows(
            lambda labels, scores: precision_at_recall(labels, scores, recall / 100),
            paper_labels(pair),
            gated_size(pair),
        )

    precision.__doc__ = f"Precision where {recall} % of the truly changed genes are recalled; gated score."
    zhu_metric(
        id=f"zhu/precision_at_recall_{recall}",
        family="de precision",
        space=PAPER_LABELS,
        reference=CONTROL,
        estimator="read off the Davis-Goadrich curve",
        ties="one block, interpolated as Davis and Goadrich do",
        better="higher",
        best=1.0,
        needs=("cells",),
        faults=f"the gate is a choice (see zhu/auprc); {UNIT}",
    )(precision)


for _recall in RECALLS:
    _define_precision(_recall)


def _squared(x: Array, y: Array) -> Array:
    square: Array = pearson(x, y) ** 2
    return square


SQUARED = "squared Pearson correlation: blind to scale, offset and sign"


@zhu_metric(
    id="zhu/r2",
    family="r2 profile",
    estimator="squared correlation",
    better="higher",
    best=1.0,
    faults=f"{SQUARED}; near 1 for no change at all; rounded to two decimals (not here)",
)
def r2(pair: Pair) -> PeerValues:
    """Squared correlation of predicted and true mean, all genes."""
    return PeerValues(
        values=_squared(pair.truth.means(), pair.prediction.means()), reason="a mean alike in all genes"
    )


@zhu_metric(
    id="zhu/r2_logfc",
    family="r2 delta",
    reference=CONTROL,
    estimator="squared correlation",
    better="higher",
    best=1.0,
    faults=f"{SQUARED}; called log fold change, a difference of log1p means",
)
def r2_logfc(pair: Pair) -> PeerValues:
    """Squared correlation of predicted and true change, all genes."""
    return PeerValues(values=_squared(*change(pair)), reason="a change that is the same in all genes")


@zhu_metric(
    id="zhu/r2_deg",
    family="r2 profile",
    space=PAPER_LABELS,
    reference="control of the truth file, for the labels only",
    estimator="squared correlation",
    undefined="NaN below two changed genes",
    better="higher",
    best=1.0,
    needs=("truth cells",),
    faults=f"{SQUARED}; 1 for any two genes; the script takes the labels of zhu/auprc_code",
)
def r2_deg(pair: Pair) -> PeerValues:
    """Squared correlation of predicted and true mean over the truly changed genes."""
    true, predicted = pair.truth.means(), pair.prediction.means()
    values = [
        _squared(true[p : p + 1, genes], predicted[p : p + 1, genes])[0]
        for p, genes in enumerate(paper_labels(pair))
    ]
    return PeerValues(values=np.array(values), reason="fewer than two changed genes")
